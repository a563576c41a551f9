"""The mutual information of tasks and proposals, which falls when a proposer stops reading its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from baselines.learner import Learner
from baselines.samples import Sample, Segment, collate

PROPOSALS = 4
"""Proposals of a step whose tasks are exchanged; the mutual information is at most the logarithm of this."""


def mutual_information(learner: Learner, proposals: Sequence[Sample]) -> float | None:
    """Estimate in nats how much what a proposer does depends on its task.

    Each conversation is scored behind the prompt of every task: the mean over conversations of
    log p(c | its task) - log mean_t p(c | t), which is 0 where tasks make no difference, and at most the
    logarithm of their number (InfoNCE; RAGEN-2, arXiv 2604.06268, has it beside entropy as the better sign).

    Args:
        learner: Scores with the weights that sampled.
        proposals: Conversations of the proposer; the first few about different tasks count.

    Returns:
        The estimate; None if there are fewer than two tasks.
    """
    chosen = _of_different_tasks(proposals)
    if len(chosen) < 2:
        return None
    exchanged = [
        replace(sample, segments=(other.segments[0], *sample.segments[1:]))
        for sample in chosen
        for other in chosen
    ]
    batch = collate(exchanged)
    logprobs = learner.scored(batch, learner.policy).sum(1).view(len(chosen), len(chosen)).double()
    marginal = logprobs.logsumexp(1) - torch.tensor(float(len(chosen))).log()
    return float((logprobs.diagonal() - marginal).mean())


def _of_different_tasks(proposals: Sequence[Sample]) -> list[Sample]:
    """Return the first proposals whose prompts differ, of those that begin with one."""
    found: dict[Segment, Sample] = {}
    for sample in proposals:
        opening = sample.segments[0]
        if len(found) < PROPOSALS and not opening.sampled and sample.sampled_count:
            found.setdefault(opening, sample)
    return list(found.values())
