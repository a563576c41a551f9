"""What each player of a recorded game saw and wrote, as one trajectory per conversation with its reward."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from ssp_env.game import Game, Message, Read, Reply, Role, Turn
from ssp_env.game.events import AnswerScored, ReadingGiven, TurnTaken
from ssp_env.game.view import READINGS
from ssp_env.records.replay import Retold, Step


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One conversation of a game.

    Attributes:
        role: Who played.
        seat: `proposer_0`, `solver_0`, ...; `reader` for the RAG check, `reader/closed_book` and
            `reader/uniqueness` for the other readings.
        messages: The whole conversation; what the player wrote is as the game shows it in later turns, up to
            the end of the action.
        reward: Reward of the seat; None for the reader, who has none.
        correct: Whether the answer was right; None if none was scored.
        replies: What the player wrote, turn by turn, as sampled.
    """

    role: Role
    seat: str
    messages: tuple[Message, ...]
    reward: float | None
    correct: bool | None
    replies: tuple[Reply, ...] = field(default=())

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Tokens read and sampled, in order; empty if any turn came without tokens."""
        if not all(reply.token_ids for reply in self.replies):
            return ()
        return tuple(chain.from_iterable((*reply.context_ids, *reply.token_ids) for reply in self.replies))

    @property
    def loss_mask(self) -> tuple[int, ...]:
        """1 where `input_ids` were sampled, 0 where they were read."""
        if not self.input_ids:
            return ()
        return tuple(
            chain.from_iterable(
                (*[0] * len(reply.context_ids), *[1] * len(reply.token_ids)) for reply in self.replies
            )
        )

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Log-probabilities at sampling time, 0 where tokens were read; empty if any turn came without."""
        if not self.input_ids or not all(reply.logprobs for reply in self.replies):
            return ()
        return tuple(
            chain.from_iterable((*[0.0] * len(reply.context_ids), *reply.logprobs) for reply in self.replies)
        )


def trajectories(told: Retold) -> list[Trajectory]:
    """Collect the conversations of a replayed game, in the order in which they began."""
    conversations: dict[tuple[Role, str], tuple[tuple[Message, ...], tuple[Reply, ...]]] = {}
    for step in told.steps:
        if isinstance(step.request, Turn | Read) and isinstance(step.result, Reply):
            view = step.request.view
            key = (view.role, view.seat if view.probe is None else READINGS[view.probe])
            _, replies = conversations.get(key, ((), ()))
            said = _said(told.game, step)
            conversations[key] = ((*view.messages, said), (*replies, step.result))
    rewards = told.game.outcome.rewards if told.game.outcome else {}
    correct = {event.seat: event.correct for event in told.game.events if isinstance(event, AnswerScored)}
    return [
        Trajectory(
            role=role,
            seat=seat,
            messages=messages,
            reward=rewards.get(seat),
            correct=correct.get(seat),
            replies=replies,
        )
        for (role, seat), (messages, replies) in conversations.items()
    ]


def _said(game: Game, step: Step) -> Message:
    """The player's turn as its conversation shows it, up to the end of the action."""
    action = next(event.action for event in step.events if isinstance(event, TurnTaken | ReadingGiven))
    return game.protocol.said(action)
