"""One optimiser step on transcripts with advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from baselines.losses import clipped_policy_loss, token_entropy, token_logprobs
from baselines.optimizer import ScheduledAdamW
from baselines.transcripts import Transcript, collate, micro_batches


@dataclass(frozen=True)
class Experience:
    """Transcripts of one role with their advantages.

    Attributes:
        transcripts: Transcripts that the updated policy sampled.
        advantages: One advantage per transcript, (n,).
        token_count: Number of sampled tokens that the loss is divided by; larger than that of `transcripts`
            if transcripts without an advantage were left out.
        weight: Factor on this role's loss.
    """

    transcripts: Sequence[Transcript]
    advantages: Tensor
    token_count: int
    weight: float = 1.0


class PolicyUpdate:
    """Applies clipped policy-gradient steps to a model.

    Args:
        model: The policy.
        optimizer: The optimiser of its parameters.
        temperature: Temperature at which the transcripts were sampled.
        micro_batch_tokens: Most tokens of a forward pass, padding included.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        optimizer: ScheduledAdamW,
        *,
        temperature: float = 1.0,
        micro_batch_tokens: int = 8192,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.temperature = temperature
        self.micro_batch_tokens = micro_batch_tokens

    def step(self, experiences: Sequence[Experience], step: int) -> dict[str, float]:
        """Take one optimiser step on the weighted sum of the roles' token-mean losses.

        Returns:
            `loss`, `grad_norm`, `entropy` (nats per sampled token), `max_ratio_error` (largest |ratio - 1|,
            0 on policy) and `trained_tokens`. Without any transcript no step is taken and all are 0.
        """
        totals = dict.fromkeys(("loss", "entropy", "trained_tokens", "max_ratio_error"), 0.0)
        for experience in experiences:
            for indices in micro_batches(experience.transcripts, self.micro_batch_tokens):
                self._accumulate(experience, indices, totals)
        if not totals["trained_tokens"]:
            return {**totals, "grad_norm": 0.0}
        totals["entropy"] /= totals["trained_tokens"]
        return {**totals, "grad_norm": self.optimizer.apply(step)}

    def _accumulate(self, experience: Experience, indices: Sequence[int], totals: dict[str, float]) -> None:
        batch = collate([experience.transcripts[i] for i in indices])
        advantages = experience.advantages[list(indices)]
        logits = self.model(input_ids=batch.ids, attention_mask=batch.attention.long()).logits
        logprobs = token_logprobs(logits, batch.ids, self.temperature)
        losses = clipped_policy_loss(logprobs, batch.logprobs, advantages, batch.loss_mask)
        loss = experience.weight * losses.sum() / experience.token_count
        loss.backward()
        with torch.no_grad():
            mask = batch.loss_mask
            totals["loss"] += float(loss)
            totals["entropy"] += float(token_entropy(logits, self.temperature)[mask].sum())
            totals["trained_tokens"] += float(mask.sum())
            error = (logprobs - batch.logprobs)[mask].exp().sub(1.0).abs().max()
            totals["max_ratio_error"] = max(totals["max_ratio_error"], float(error))
