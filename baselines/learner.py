"""Optimiser steps on samples: epochs, minibatches and micro-batches, with guards against bad input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.config.learner import LearnerConfig
from baselines.losses import importance_weights, kl
from baselines.optimizers import make_optimizer
from baselines.policies.causal_lm import Policy, Scores
from baselines.policies.sharding import clip_gradients, is_shared_out
from baselines.policies.shared_prefixes import alike
from baselines.processes import Processes
from baselines.samples import Batch, Sample, collate, micro_batches
from baselines.seeding import derive_rng
from baselines.update_trace import UpdateTrace
from ssp_env.game.trajectory import TokensMissing


class Totals(NamedTuple):
    """What a loss is divided by: over the whole minibatch, whatever the micro-batches are.

    Attributes:
        tokens: Sampled tokens.
        sequences: Samples with a sampled token.
    """

    tokens: float
    sequences: float


class Loss(NamedTuple):
    """The loss of a micro-batch and figures to log.

    Attributes:
        value: The scalar that is minimised; losses of micro-batches are added.
        sums: Sums over sampled tokens by metric name; they are divided by the number of sampled tokens.
    """

    value: Tensor
    sums: Mapping[str, Tensor] = {}  # never changed


LossFunction = Callable[[Batch, Scores, Totals], Loss]


@dataclass(frozen=True)
class Experience:
    """Samples that are ready to be learnt from.

    Attributes:
        name: Prefix of its metrics, the role that played for example.
        batch: The samples, with `advantages` and `old_logprobs` and whatever else the loss reads in `extras`.
        loss: The loss of an algorithm.
        weight: Factor on the loss.
        needed: Rows that have a gradient; the others are left out of the forward passes, and count in what
            the loss is divided by. None for all.
        metrics: Figures that are known before the first step.
    """

    name: str
    batch: Batch
    loss: LossFunction
    weight: float = 1.0
    needed: Tensor | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Learner:
    """Changes the weights of one policy.

    Batches are made, and advantages computed, on the CPU; one micro-batch at a time goes to the device of the
    policy.

    Args:
        policy: The policy.
        config: How it is updated.
        processes: Those that share the work; only this one if None.

    Attributes:
        reference: Frozen policy that a KL penalty refers to; None without one.
        steps: Optimiser steps taken so far.
        trace: What `fit` tells about single tokens; None for nothing.
    """

    def __init__(self, policy: Policy, config: LearnerConfig, processes: Processes | None = None) -> None:
        self.policy = policy
        self.processes = processes or Processes()
        self.config = config
        self.reference: Policy | None = None
        self.steps = 0
        self.trace: UpdateTrace | None = None
        self._shared_out = is_shared_out(policy.trainable_parameters())
        self.optimizer = make_optimizer(policy, config)

    def add_parameters(self, parameters: Sequence[nn.Parameter], learning_rate: float) -> None:
        """Let the optimiser change further parameters, as a critic's, at a learning rate of their own."""
        self.optimizer.add_param_group({"params": list(parameters), "lr": learning_rate})
        self.optimizer.param_groups[-1]["peak"] = learning_rate

    # -- before the update -----------------------------------------------------------------------------

    def prepare(self, samples: Sequence[Sample], *, score: bool = True) -> tuple[Batch, dict[str, float]]:
        """Collate samples and add what losses refer to: `old_logprobs`, `importance` and `reference`.

        Args:
            samples: The samples.
            score: Whether recomputed log-probabilities are needed before the update; if not, they and
                `importance` are left to `fit`.

        Returns:
            The batch, and what is known before the update: `mismatch_mean` and `mismatch_max` of
            |old / sampled - 1| between sampler and trainer, and `reference_kl`, KL(old || reference) by k3.

        Raises:
            TokensMissing: If log-probabilities of the sampler are needed and missing.
        """
        batch = collate(samples)
        recomputed = self.config.old_logprobs == "recomputed"
        if not recomputed and not batch.logprobs_known:
            raise TokensMissing(
                "the player returned token ids without log-probabilities: return `Reply.logprobs` with them, "
                "or set old_logprobs to 'recomputed'"
            )
        if self.reference is not None:
            batch = batch.with_extras(reference=self.scored(batch, self.reference))
        if recomputed and not score:
            return batch, {}
        return self._with_old(
            batch, self.scored(batch, self.policy) if recomputed else batch.sampled_logprobs
        )

    def _with_old(self, batch: Batch, old: Tensor) -> tuple[Batch, dict[str, float]]:
        """Add the log-probabilities of the old policy and what follows from them; return its metrics."""
        metrics: dict[str, float] = {}
        extras = {"old_logprobs": old}
        if self.config.old_logprobs == "recomputed" and batch.logprobs_known and batch.mask.any():
            error = (old - batch.sampled_logprobs)[batch.mask].exp().sub(1.0).abs()
            metrics = {"mismatch_mean": float(error.mean()), "mismatch_max": float(error.max())}
        if self.config.importance_cap is not None and batch.logprobs_known:
            extras["importance"] = importance_weights(
                old,
                batch.sampled_logprobs,
                batch.mask,
                level=self.config.importance_level,
                cap=self.config.importance_cap,
            )
        if "reference" in batch.extras:
            distance = kl(old, batch["reference"], batch.mask, estimator="k3")
            metrics["reference_kl"] = float(distance.sum() / batch.mask.sum().clamp(min=1))
        return batch.with_extras(**extras), metrics

    @torch.no_grad()
    def scored(self, batch: Batch, policy: Policy) -> Tensor:
        """Return a policy's log-probabilities of all sampled tokens, (batch, length), without a gradient."""
        return self.map_micro_batches(batch, lambda micro: policy.score(micro).logprobs)

    @torch.no_grad()
    def map_micro_batches(self, batch: Batch, function: Callable[[Batch], Tensor]) -> Tensor:
        """Apply a function of micro-batches to all rows; its results are (rows, length) each.

        The function is given micro-batches on the device of the policy; the result is where the batch is.
        """
        return self._map(batch, self.micro_batches(batch), function)

    def _map(
        self, batch: Batch, groups: Iterable[Sequence[int]], function: Callable[[Batch], Tensor]
    ) -> Tensor:
        result = torch.zeros(batch.ids.shape, device=batch.ids.device)
        for rows in groups:
            value = function(self.micro_batch(batch, rows))
            if not rows:
                continue
            result[torch.tensor(rows), : value.shape[1]] = value.to(result)
        # Rows of other processes are 0 here.
        return self.processes.sum(result)

    def micro_batch(self, batch: Batch, rows: Sequence[int]) -> Batch:
        """Return some of the samples on the device of the policy, where losses are computed.

        Without rows it is a sample of which nothing counts as sampled, so that its losses are 0.
        """
        if not rows:
            empty = batch.select([0])
            return replace(empty, mask=torch.zeros_like(empty.mask)).to(self.policy.device)
        return batch.select(rows).to(self.policy.device)

    def micro_batches(self, batch: Batch, rows: Sequence[int] | None = None) -> Iterator[list[int]]:
        """Yield rows whose samples go through the model together; several processes get a share each.

        Where the model is sharded, all processes go through it equally often, some of them without rows.
        """
        chosen = list(range(len(batch.ids)) if rows is None else rows)
        lengths = batch.attention.sum(1)[chosen].tolist()
        order = alike(batch.ids[chosen], lengths) if self.policy.shares_prefixes else None
        groups = micro_batches(lengths, self.config.micro_batch_tokens, order)
        own = [[chosen[i] for i in group] for group in self.processes.share(groups)]
        yield from own
        if self._shared_out:
            yield from [[]] * (math.ceil(len(groups) / self.processes.size) - len(own))

    # -- the update ------------------------------------------------------------------------------------

    def fit(self, experiences: Sequence[Experience]) -> dict[str, float]:
        """Go through the experiences of one or more roles and take the optimiser steps.

        Every step adds the gradients of a minibatch of each experience, each divided by its own totals.

        Returns:
            By experience, as `name/metric`: `entropy` and what its loss reports, means over sampled tokens;
            `loss`, the mean of the optimiser steps; `max_ratio_error`, the largest |ratio - 1| in the first
            minibatch, 0 if the old log-probabilities are recomputed; `mismatch_mean` and `mismatch_max`
            between sampler and trainer, in the first minibatch if the old log-probabilities are sampled;
            `trained_tokens`; and its own `metrics`. Besides `grad_norm`, the mean of the optimiser steps.
            Without a gradient no step is taken.

        Raises:
            ValueError: If an advantage or a return is NaN or infinite, before anything is changed; or if a
                loss is (see `backward`).
        """
        for experience in experiences:
            _refuse_non_finite(experience.batch)
        if self.config.old_logprobs == "recomputed":
            experiences = [self._recomputed(each, number) for number, each in enumerate(experiences)]
        if self.trace is not None:
            for each in experiences:
                self.trace.begin(each.name, each.batch, each.needed)
        logs = [_Log(self.processes) for _ in experiences]
        norms: list[float] = []
        for epoch in range(self.config.epochs):
            parts = [self._parts(len(e.batch.ids), epoch, number) for number, e in enumerate(experiences)]
            for part in range(self.config.minibatches):
                trained = False
                for experience, minibatches, log in zip(experiences, parts, logs, strict=True):
                    rows = minibatches[part]
                    trained |= self._accumulate(experience, rows, log, epoch, part)
                if trained:
                    norms.append(self.step())
        if self.trace is not None:
            for each in experiences:
                self.trace.end(each.name, self.processes)
        metrics = {"grad_norm": sum(norms) / max(1, len(norms))}
        for experience, log in zip(experiences, logs, strict=True):
            # An experience's own mismatch is that of all its samples.
            measured = {**log.means(max(1, len(norms))), **experience.metrics}
            metrics |= {f"{experience.name}/{name}": value for name, value in measured.items()}
        return metrics

    def _parts(self, count: int, epoch: int, number: int) -> list[list[int]]:
        """Return the rows of each minibatch of an epoch."""
        parts = self.config.minibatches
        if parts == 1:
            return [list(range(count))]
        rng = derive_rng(self.config.seed, self.steps, epoch, number, "minibatches")
        order = [int(row) for row in rng.permutation(count)]
        return [order[part::parts] for part in range(parts)]

    @torch.no_grad()
    def _recomputed(self, experience: Experience, number: int) -> Experience:
        """Score the old log-probabilities in the very micro-batches of the first epoch.

        In bfloat16 a score depends on what it is padded to and computed beside, by several per cent.
        """
        batch = experience.batch
        minibatches = [_kept(experience, rows) for rows in self._parts(len(batch.ids), 0, number)]
        trained = {row for rows in minibatches for row in rows}
        rest = [row for row in range(len(batch.ids)) if row not in trained and batch.mask[row].any()]
        groups = (group for rows in (*minibatches, rest) for group in self.micro_batches(batch, rows))
        old = self._map(batch, groups, lambda micro: self.policy.score(micro).logprobs)
        batch, metrics = self._with_old(batch, old)
        return replace(experience, batch=batch, metrics={**experience.metrics, **metrics})

    def _accumulate(
        self, experience: Experience, rows: Sequence[int], log: _Log, epoch: int, part: int
    ) -> bool:
        batch = experience.batch
        mask = batch.mask[list(rows)]
        totals = Totals(max(1.0, float(mask.sum())), max(1.0, float(mask.any(1).sum())))
        kept = _kept(experience, rows)
        for group in self.micro_batches(batch, kept):
            micro = self.micro_batch(batch, group)
            scores = self.policy.score(micro)
            loss = experience.loss(micro, scores, totals)
            value = experience.weight * loss.value if group else 0.0 * loss.value
            # All processes go back through a sharded model, even if only a critic learns.
            self.backward(value + 0.0 * scores.logprobs.sum() if self._shared_out else value)
            if not group:
                continue
            log.add(value, loss.sums, scores, micro, first=epoch == part == 0)
            if self.trace is not None and epoch == 0:
                self.trace.add(experience.name, group, scores.entropy)
        return bool(kept)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss.

        Raises:
            ValueError: If the loss is NaN or infinite; the gradients so far are dropped.
        """
        if not bool(torch.isfinite(loss)):
            self.optimizer.zero_grad(set_to_none=True)
            raise ValueError(
                f"the loss of a micro-batch is {float(loss)}: expected a finite number; look at its rewards, "
                "advantages and log-probabilities"
            )
        loss.backward()

    def step(self) -> float:
        """Clip the gradients, take an optimiser step and clear them.

        Returns:
            The norm of the gradients before clipping. If it is NaN or infinite the weights stay as they are.
        """
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.processes.add_gradients(parameters)
        norm = float(clip_gradients(parameters, self.config.max_grad_norm))
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("peak", self.config.learning_rate) * self._schedule(self.steps)
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self._move_reference()
        return norm

    def _move_reference(self) -> None:
        """Bring a moving reference nearer to the policy, if it is time."""
        config = self.config
        if self.reference is None or config.reference == "fixed" or self.steps % config.reference_every:
            return
        present, kept = self.policy.state_dict(), config.reference_decay
        before = self.reference.state_dict()
        self.reference.load_state_dict(
            {name: kept * before[name] + (1.0 - kept) * weight for name, weight in present.items()}
        )

    def _schedule(self, step: int) -> float:
        config = self.config
        warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "constant":
            return warm
        done = min(1.0, step / config.total_steps)
        left = 1.0 - done if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return min(warm, config.floor + (1.0 - config.floor) * left)


def _kept(experience: Experience, rows: Sequence[int]) -> list[int]:
    """Return those of some rows that have a gradient."""
    needed, mask = experience.needed, experience.batch.mask
    return [row for row in rows if (needed is None or needed[row]) and mask[row].any()]


class _Log:
    """Adds up what the micro-batches of an update report."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._sums: dict[str, float] = {"entropy": 0.0}
        self._plain = dict.fromkeys(("loss", "trained_tokens", "compared", "mismatch"), 0.0)
        self._ratio_error = self._mismatch = 0.0

    @torch.no_grad()
    def add(
        self, loss: Tensor, sums: Mapping[str, Tensor], scores: Scores, batch: Batch, *, first: bool
    ) -> None:
        """Take in the loss of a micro-batch and what it reports."""
        mask = batch.mask
        self._plain["loss"] += float(loss)
        self._plain["trained_tokens"] += float(mask.sum())
        self._sums["entropy"] += float(scores.entropy[mask].sum())
        for name, value in sums.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        if not first or "old_logprobs" not in batch.extras:
            return
        error = (scores.logprobs - batch["old_logprobs"])[mask].exp().sub(1.0).abs()
        self._ratio_error = max(self._ratio_error, float(error.max()))
        if batch.logprobs_known:
            error = (scores.logprobs - batch.sampled_logprobs)[mask].exp().sub(1.0).abs()
            self._plain["compared"] += error.numel()
            self._plain["mismatch"] += float(error.sum())
            self._mismatch = max(self._mismatch, float(error.max()))

    def means(self, steps: int) -> dict[str, float]:
        """Return sums divided by sampled tokens, and the loss divided by optimiser steps."""
        # A process may have had no micro-batch, and then knows only some of the names.
        parts = self._processes.gather([(self._sums, self._plain)])
        sums = {name: sum(part.get(name, 0.0) for part, _ in parts) for part, _ in parts for name in part}
        plain = {name: sum(part[name] for _, part in parts) for name in self._plain}
        worst = self._processes.most(self._mismatch)
        metrics = {
            **{name: value / max(1.0, plain["trained_tokens"]) for name, value in sums.items()},
            "loss": plain["loss"] / steps,
            "max_ratio_error": self._processes.most(self._ratio_error),
            "trained_tokens": plain["trained_tokens"],
        }
        if plain["compared"]:
            metrics |= {"mismatch_mean": plain["mismatch"] / plain["compared"], "mismatch_max": worst}
        return metrics


def _refuse_non_finite(batch: Batch) -> None:
    for name in ("advantages", "returns"):
        values = batch.extras.get(name)
        if values is None:
            continue
        wrong = ~torch.isfinite(values) & batch.mask
        if wrong.any():
            row = int(wrong.any(1).nonzero()[0])
            raise ValueError(
                f"{name} of sample {row} are not finite: expected numbers, got {float(values[wrong][0])}; "
                "samples that could not be scored need an advantage of 0"
            )
