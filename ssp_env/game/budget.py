"""What one seat may use up in a game."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one seat, from its first turn to its last.

    Attributes:
        max_searches: Searches executed; later ones get a notice (paper section 4.1: 10).
        max_turns: Turns taken; a search asked for in the last one is not executed.
        retries: Malformed turns the seat may take before it forfeits.
        max_tokens: Tokens sampled over all turns, or None for no limit. A reply that exceeds it has no effect
            and the seat forfeits. Counted are the token ids of a `Reply`: a reply without them costs nothing.

    Raises:
        ValueError: If a limit is out of its range; the message names the range.
    """

    max_searches: int = 10
    max_turns: int = 12
    retries: int = 1
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, bound in (("max_searches", 0), ("max_turns", 1), ("retries", 0), ("max_tokens", 1)):
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name} must be at least {bound}, got {value}")
