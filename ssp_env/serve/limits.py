"""What a server takes on."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TOP_K = 3


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        max_queries: Most queries in a request.
        max_query_chars: Most characters in a query.
        max_body_bytes: Most bytes in the body of a request.
        max_top_k: Most passages per query.
        body_seconds: Longest time in which the body of a request arrives.
    """

    max_queries: int = 10_000
    max_query_chars: int = 10_000
    max_body_bytes: int = 16 * 2**20
    max_top_k: int = 100
    body_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
