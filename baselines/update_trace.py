"""What an update did with single tokens: advantages, entropies and values, for the records of games."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from baselines.processes import Processes
from baselines.samples import Batch, Sample

if TYPE_CHECKING:
    from ssp_env.game import Role

TRACED = {"advantages": "advantages", "values": "old_values", "returns": "returns"}
"""What is traced beside entropies, and the names that it has in batches."""


class UpdateTrace:
    """Keeps what a learner sees of the samples of each role in the first epoch of an update.

    A learner whose `trace` it is fills it; all processes must have one then.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, dict[str, Tensor]] = {}
        self._trained: dict[str, Tensor] = {}
        self._lengths: dict[str, list[int]] = {}

    def begin(self, name: str, batch: Batch, needed: Tensor | None) -> None:
        """Take in the samples of a role before the first step; see `baselines.learner.Experience`."""
        kept = {key: batch[there] for key, there in TRACED.items() if there in batch.extras}
        self._tokens[name] = {**kept, "entropies": torch.zeros(batch.ids.shape)}
        self._lengths[name] = batch.attention.sum(1).tolist()
        self._trained[name] = batch.mask.any(1) if needed is None else batch.mask.any(1) & needed

    def add(self, name: str, rows: Sequence[int], entropy: Tensor) -> None:
        """Take in the entropies of some rows, (rows, length), in nats."""
        self._tokens[name]["entropies"][list(rows), : entropy.shape[1]] = entropy.detach().cpu().float()

    def end(self, name: str, processes: Processes) -> None:
        """Bring together what the processes have seen; all of them must call it."""
        self._tokens[name]["entropies"] = processes.sum(self._tokens[name]["entropies"])

    def by_game(self, samples: Mapping[Role, Sequence[Sample]]) -> dict[str, dict[str, Any]]:
        """Return plain data by game and seat.

        Args:
            samples: By role, the samples that were learnt from, in the order in which the learner got them.

        Returns:
            For each seat whether it was `trained`, and by its turns what there is of `advantages`,
            `entropies`, `values` and `returns` of the tokens that it sampled. Nothing of a role whose
            algorithm gave the learner other samples.
        """
        found: dict[str, dict[str, Any]] = {}
        for role, its in samples.items():
            if self._lengths.get(role) != [sample.length for sample in its]:
                continue
            for row, sample in enumerate(its):
                found.setdefault(sample.game_id, {})[sample.seat] = self._of_sample(role, row, sample)
        return found

    def _of_sample(self, role: str, row: int, sample: Sample) -> dict[str, Any]:
        tokens, trained = self._tokens[role], bool(self._trained[role][row])
        # What has no gradient did not go through the model, so that nobody knows its entropy.
        names = [name for name in tokens if trained or name != "entropies"]
        return {"trained": trained, **{name: _by_turn(sample, tokens[name][row]) for name in names}}


def _by_turn(sample: Sample, values: Tensor) -> list[list[float]]:
    """Return the values of the sampled tokens, turn by turn, to five digits."""
    turns, start = [], 0
    for segment in sample.segments:
        end = start + len(segment.token_ids)
        if segment.sampled:
            turns.append([float(f"{value:.5g}") for value in values[start:end].tolist()])
        start = end
    return turns
