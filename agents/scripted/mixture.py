"""Strengths as mixtures of strategies, drawn per conversation and reproducibly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ssp_env.game import View

Strength: TypeAlias = str | Mapping[str, float]
"""Name of a mixture, or a mixture of one's own: weights by strategy."""


def resolve_mixture(
    strength: Strength, named: Mapping[str, Mapping[str, float]], strategies: Sequence[str]
) -> dict[str, float]:
    """Return the weights of a strength, scaled to sum to 1.

    Args:
        strength: A key of `named`, or weights by strategy.
        named: The mixtures that have names.
        strategies: The strategies there are.

    Raises:
        ValueError: If the name or a strategy is unknown, a weight is negative, or all are zero.

    >>> resolve_mixture({"chain": 1, "guess": 3}, {}, ("chain", "guess"))
    {'chain': 0.25, 'guess': 0.75}
    """
    if isinstance(strength, str):
        if strength not in named:
            raise ValueError(f"strength must be one of {', '.join(named)}, got {strength!r}")
        strength = named[strength]
    if unknown := [name for name in strength if name not in strategies]:
        raise ValueError(f"a mixture is made of {', '.join(strategies)}, got {unknown[0]!r}")
    total = sum(strength.values())
    if total <= 0 or min(strength.values()) < 0:
        raise ValueError(f"weights must be at least 0 and not all 0, got {dict(strength)}")
    return {name: weight / total for name, weight in strength.items()}


def generator(seed: int, view: View, purpose: str) -> np.random.Generator:
    """A private generator that depends on the seed, the conversation and the purpose, and on nothing else.

    An agent keeps no state between turns, so it draws what it drew before: whatever else is played, in
    whatever batch, and after a snapshot.
    """
    key = "\x1f".join((str(seed), *view.conversation_id, purpose))
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def draw_strategy(mixture: Mapping[str, float], seed: int, view: View) -> str:
    """The strategy this conversation is played with."""
    names = list(mixture)
    return names[int(generator(seed, view, "strategy").choice(len(names), p=list(mixture.values())))]


def pick(options: Sequence[str], seed: int, view: View, purpose: str) -> str:
    """One of the options, uniformly."""
    return options[int(generator(seed, view, purpose).integers(len(options)))]
