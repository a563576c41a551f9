"""How a language model samples its turns: temperature, nucleus, length and seed, for each role."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ssp_env.game import Role, View
from ssp_env.game.view import ROLES

DEFAULT_TEMPERATURE = 0.7
LOCAL_MAX_NEW_TOKENS = 96
"""Most tokens of a turn of a model in this process, where nobody says otherwise."""
ENDPOINT_MAX_NEW_TOKENS = 1024
"""The same for a model behind an endpoint or a server, which is larger and may think first."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one role's turns are sampled.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: Mass of the likeliest tokens sampled from, in (0, 1].
        max_new_tokens: Most tokens of a turn.
        seed: What is sampled depends on it, on the conversation, on the turn and on the version of the
            weights, and on nothing else: not on the games played beside, nor on their order.

    Raises:
        ValueError: If a value is out of its range.
    """

    temperature: float = DEFAULT_TEMPERATURE
    top_p: float = 0.95
    max_new_tokens: int = LOCAL_MAX_NEW_TOKENS
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def limit(self, view: View) -> int:
        """Most tokens of this turn: `max_new_tokens`, or what the seat's budget has left if that is less."""
        left = self.max_new_tokens if view.tokens_left is None else view.tokens_left
        return max(1, min(self.max_new_tokens, left))

    def turn_seed(self, view: View, weights_version: str = "") -> int:
        """Return the seed of one turn, from 0 to 2^63 - 1, the same on every platform.

        Every version of the weights has seeds of its own, so that a trainer may play games of the same names
        again.

        >>> view = View("g", "solver_0", "solve", (), 5, 5)
        >>> SamplingParams().turn_seed(view) == SamplingParams(seed=1).turn_seed(view)
        False
        """
        # A conversation only grows, so its length tells its turns apart.
        named = (weights_version,) if weights_version else ()
        key = (self.seed, *view.conversation_id, len(view.messages), *named)
        digest = hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def rng(self, view: View, weights_version: str = "") -> np.random.Generator:
        """Return the private generator of one turn."""
        return np.random.default_rng(self.turn_seed(view, weights_version))


SamplingByRole = SamplingParams | Mapping[Role, SamplingParams]


def sampling_by_role(given: SamplingByRole) -> dict[Role, SamplingParams]:
    """Return how each role samples: all alike, or as a mapping says; roles left out get the defaults.

    Raises:
        ValueError: If the mapping names a role that does not exist.

    >>> sampling_by_role({"solver": SamplingParams(temperature=0)})["reader"].temperature
    0.7
    """
    if isinstance(given, SamplingParams):
        return dict.fromkeys(ROLES, given)
    check_roles(given, "sampling")
    return {role: given.get(role, SamplingParams()) for role in ROLES}


def prompt_room(sampling: Mapping[Role, SamplingParams], context_window: int) -> int:
    """Return how many tokens of a context window are left for prompts beside the longest turn.

    Raises:
        ValueError: If there are none.

    >>> prompt_room(sampling_by_role(SamplingParams(max_new_tokens=96)), 512)
    416
    """
    longest = max(params.max_new_tokens for params in sampling.values())
    if longest >= context_window:
        raise ValueError(
            f"max_new_tokens must be below the context window of {context_window} tokens, got {longest}"
        )
    return context_window - longest


def check_roles(given: Mapping[Role, object], what: str) -> None:
    """Raise ValueError if a mapping by role has a key that is no role; `what` names the mapping."""
    if unknown := sorted(set(given) - set(ROLES)):
        raise ValueError(f"{what} is given by role, one of {', '.join(ROLES)}; got {', '.join(unknown)}")
