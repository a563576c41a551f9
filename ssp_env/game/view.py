"""What a player sees and what it replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MessageRole = Literal["system", "user", "assistant", "tool"]
SeatPhase = Literal["propose", "verify", "solve"]
Probe = Literal["recovery", "closed_book", "uniqueness"]
"""What a reading checks: the answer follows from the evidence; memory is not enough; no other answer fits."""


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `tool` messages are written by the environment, `assistant` ones by the player."""

    role: MessageRole
    content: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything a seat may know when it is its turn.

    Attributes:
        game_id: Identifier of the game, unique among games played together.
        seat: `proposer_0`, `solver_0`, `solver_1`, ...
        phase: `propose`, `verify` (one turn as a reader, no search) or `solve`.
        messages: The conversation so far, oldest first.
        turns_left: Turns this seat may still take, this one included.
        searches_left: Searches that would still be executed.
        tokens_left: Tokens the seat may still sample; None without a limit.
        probe: What a reading checks; None in the other phases.
    """

    game_id: str
    seat: str
    phase: SeatPhase
    messages: tuple[Message, ...]
    turns_left: int
    searches_left: int
    tokens_left: int | None = None
    probe: Probe | None = None

    @property
    def conversation_id(self) -> tuple[str, str, str]:
        """Key under which an agent may keep state (a KV cache, say) between the turns of one conversation."""
        if self.probe in (None, "recovery"):
            return (self.game_id, self.seat, self.phase)
        return (self.game_id, self.seat, f"{self.phase}/{self.probe}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a player wrote, with the tokens it sampled if it has them.

    Attributes:
        text: The reply.
        token_ids: Sampled token ids, in order; empty if unknown.
        logprobs: Log-probability of each sampled token at the sampling temperature, or empty.
        context_ids: Ids of the prompt or observation tokens the policy read since its previous reply.

    Raises:
        TypeError: If `text` is not a string.
        ValueError: If `logprobs` is given and its length differs from `token_ids`.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    context_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"a reply must be a string, got {type(self.text).__name__}")
        if self.logprobs and len(self.logprobs) != len(self.token_ids):
            raise ValueError(
                "a reply needs one log-probability per token, "
                f"got {len(self.logprobs)} for {len(self.token_ids)}"
            )


def as_reply(value: str | Reply) -> Reply:
    """Wrap plain text; a `Reply` passes through."""
    return value if isinstance(value, Reply) else Reply(value)
