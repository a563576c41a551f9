"""The processes that train together: each plays its share of the games and scores its share of the tokens.

All of them hold the same weights and see the same samples; the micro-batches of an update are dealt out among
them, and gradients are added up. So an update does not depend on their number.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

T = TypeVar("T")


class Processes:
    """One process, or several that `torchrun` started, through `accelerate`.

    Args:
        launched: How many were started.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
    """

    def __init__(self, launched: int = 1) -> None:
        self.rank, self.size = 0, launched
        self._accelerator: Any = None
        if self.size > 1:
            from accelerate import Accelerator

            self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
            self.rank = self._accelerator.process_index
            self.size = self._accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return every `size`-th item, from `rank` on: the share of this process."""
        return items[self.rank :: self.size]

    def gather(self, shares: Iterable[T]) -> list[T]:
        """Return the items of all processes, in the order in which `share` dealt them out."""
        own = list(shares)
        if self.size == 1:
            return own
        from accelerate.utils import gather_object

        everybody: list[list[T]] = gather_object([own])
        longest = max(map(len, everybody))
        return [items[place] for place in range(longest) for items in everybody if place < len(items)]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size == 1:
            return values
        total: Tensor = self._accelerator.reduce(values.to(self._accelerator.device), reduction="sum")
        return total.to(values.device)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; waits for all of them."""
        return any(self.gather([flag]))

    def most(self, value: float) -> float:
        """Return the largest number of all processes."""
        return max(self.gather([value]))

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes; where a process has none, it counts as 0.

        A parameter without a gradient in any process stays without one, and the optimiser leaves it alone.
        Sharded parameters have had their gradients added up in the backward pass.
        """
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
        if not trained:
            return
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten().float() for p in trained]
        known = torch.tensor([float(p.grad is not None) for p in trained], device=flat[0].device)
        *totals, having = self.sum(torch.cat([*flat, known])).split([*map(len, flat), len(known)])
        for parameter, total, count in zip(trained, totals, having.tolist(), strict=True):
            if count:
                parameter.grad = total.view_as(parameter).to(parameter.dtype)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            self._accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Part from the others once all have come here; one that just ends may be aborted by its threads."""
        if self.size > 1:
            self.wait()
            self._accelerator.end_training()


def join() -> Processes:
    """Join the processes that `torchrun` started with this one; without it there are no others."""
    return Processes(int(os.environ.get("WORLD_SIZE", 1)))
