"""AdamW with gradient clipping and a learning rate that is a function of the step alone.

The schedulers of torch keep a state of their own, which a resumed run would have to restore, and those of
transformers warm up from a rate of 0 and begin the cosine only afterwards: neither gives the rates below.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

Schedule = Callable[[int], float]


def constant_schedule(warmup_steps: int) -> Schedule:
    """Return a linear warm-up that is followed by 1."""
    return lambda step: min(1.0, (step + 1) / max(1, warmup_steps))


def cosine_schedule(steps: int, *, warmup_share: float = 0.05, floor: float = 0.1) -> Schedule:
    """Return half a cosine from 1 down to `floor`, under a linear warm-up over a share of the steps."""
    warmup = max(1, int(steps * warmup_share))

    def factor(step: int) -> float:
        decay = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))
        return min((step + 1) / warmup, decay)

    return factor


class ScheduledAdamW:
    """Applies the accumulated gradients of a model.

    Args:
        model: The model; its parameters are updated in place.
        learning_rate: Peak learning rate.
        schedule: Factor on the learning rate at each step.
        weight_decay: Decoupled weight decay.
        max_grad_norm: The gradient is clipped to this norm.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        learning_rate: float,
        schedule: Schedule,
        *,
        weight_decay: float = 0.0,
        max_grad_norm: float = 1.0,
    ) -> None:
        self.parameters = list(model.parameters())
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.adamw = torch.optim.AdamW(
            self.parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay
        )

    def apply(self, step: int) -> float:
        """Clip the gradients, take a step and clear them; return their norm before clipping."""
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm))
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate * self.schedule(step)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        return norm
