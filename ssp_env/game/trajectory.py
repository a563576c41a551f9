"""What every seat of a game read and sampled, as tokens, and what it was paid: what trainers learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ssp_env.game.events import TurnTaken
from ssp_env.game.view import PROPOSER_SEAT, Reply, Role

if TYPE_CHECKING:
    from ssp_env.game.game import Game


class TokensMissing(ValueError):
    """A player returned text without the tokens that a trainer needs; the message says which are needed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens of one origin: `sampled` by the policy, or context it was shown.

    Attributes:
        token_ids: The tokens.
        sampled: Whether the policy sampled them.
        logprobs: Log-probability of each token at sampling time; empty if unknown.
        weights_version: Version of the weights that sampled them; empty if unknown, and for context.
    """

    token_ids: tuple[int, ...]
    sampled: bool
    logprobs: tuple[float, ...] = ()
    weights_version: str = ""


def segments_of(replies: Iterable[Reply]) -> tuple[Segment, ...]:
    """Return the turns of one conversation as context and sampled tokens by turns."""
    return tuple(
        segment
        for reply in replies
        for segment in (
            Segment(reply.context_ids, sampled=False),
            Segment(reply.token_ids, True, reply.logprobs, reply.weights_version),
        )
    )


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The whole conversation of one seat, and what it was paid.

    It begins with what the policy read and ends with what it sampled: no observation comes last.

    Attributes:
        game_id: The game it belongs to.
        seat: The seat whose conversation it is.
        segments: Context and sampled segments in order; only sampled ones carry a loss.
        role: `proposer` or `solver`.
        group: Trajectories whose rewards are compared with each other: attempts at one question, or proposals
            for one answer.
        reward: Reward of the whole conversation; NaN if it could not be scored.
        hops: Hops that the task asked for; 0 if it asked for no number.
        truncated: Whether the conversation ended at a limit, without a question or an answer.
        complete: Whether every turn came with its tokens. A turn that did not leaves unknown what the policy
            had read when it sampled the next one, so that the conversation cannot be trained on.
    """

    game_id: str
    seat: str
    segments: tuple[Segment, ...]
    role: Role = "solver"
    group: str = ""
    reward: float = 0.0
    hops: int = 0
    truncated: bool = False
    complete: bool = True

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """What was read before the first token was sampled."""
        return tuple(chain.from_iterable(each.token_ids for each in self.segments[: self._prompt_segments]))

    @property
    def response_ids(self) -> tuple[int, ...]:
        """Everything after the prompt: what was sampled, and the observations in between."""
        return tuple(chain.from_iterable(each.token_ids for each in self.segments[self._prompt_segments :]))

    @property
    def response_mask(self) -> tuple[int, ...]:
        """1 where a token of `response_ids` was sampled, 0 where it was read."""
        return sampled_mask(self.segments[self._prompt_segments :])

    @property
    def response_logprobs(self) -> tuple[float, ...]:
        """Log-probabilities of `response_ids` at sampling time, 0 where they were read; empty if unknown."""
        return sampled_logprobs(self.segments[self._prompt_segments :])

    @property
    def weights_versions(self) -> tuple[str, ...]:
        """Version of the weights that sampled each turn, in order; empty texts if unknown."""
        return tuple(segment.weights_version for segment in self.segments if segment.sampled)

    @property
    def _prompt_segments(self) -> int:
        """Number of segments before the first sampled one."""
        sampled = (place for place, each in enumerate(self.segments) if each.sampled)
        return next(sampled, len(self.segments))

    @property
    def sampled_count(self) -> int:
        """Number of tokens the policy sampled."""
        return sum(len(segment.token_ids) for segment in self.segments if segment.sampled)

    @property
    def length(self) -> int:
        """Number of tokens in all."""
        return sum(len(segment.token_ids) for segment in self.segments)


def sampled_mask(segments: Sequence[Segment]) -> tuple[int, ...]:
    """Return 1 for every sampled token and 0 for every other.

    >>> sampled_mask([Segment((5, 6), sampled=True), Segment((7,), sampled=False)])
    (1, 1, 0)
    """
    return tuple(chain.from_iterable([int(each.sampled)] * len(each.token_ids) for each in segments))


def sampled_logprobs(segments: Sequence[Segment]) -> tuple[float, ...]:
    """Return the log-probability of every sampled token and 0 for every other; nothing if one is unknown."""
    if any(len(each.logprobs) != len(each.token_ids) for each in segments if each.sampled):
        return ()
    return tuple(
        chain.from_iterable(
            each.logprobs if each.sampled else [0.0] * len(each.token_ids) for each in segments
        )
    )


def trajectories(game: Game) -> list[Trajectory]:
    """Return what the seats of a game have sampled and were paid, for a trainer.

    A game that failed pays nobody and gives none; an invalid question gives the proposer's alone.

    Args:
        game: A game that is over.

    Raises:
        ValueError: If the game is not over.
        TokensMissing: If a turn came without its tokens; the message names the seat and the turn.

    >>> from ssp_env.game import Game, Reply, Task
    >>> game = Game(Task("Tavor", question="Who?"))
    >>> game.submit("solver_0/turn/0", Reply("<answer> Tavor </answer>", (8, 9), (-1.0, -0.5), (1, 2, 3)))
    >>> [each] = trajectories(game)
    >>> each.prompt_ids, each.response_ids, each.response_mask, each.response_logprobs, each.reward
    ((1, 2, 3), (8, 9), (1, 1), (-1.0, -0.5), 1.0)
    """
    if game.outcome is None:
        raise ValueError(f"game {game.id!r} is not over: its seats are not paid yet")
    if game.outcome.verdict == "error":
        return []
    found = seat_trajectories(game)
    for trajectory in found:
        if not trajectory.complete:
            raise TokensMissing(_missing(trajectory))
    return found


def seat_trajectories(game: Game) -> list[Trajectory]:
    """Collect the conversations of all seats that played a turn, those without their tokens as well.

    Each says of itself whether it is `complete`; its reward is NaN while the game is not over.
    """
    turns: dict[str, list[TurnTaken]] = {}
    for event in game.events:
        if isinstance(event, TurnTaken):
            turns.setdefault(event.seat, []).append(event)
    return [_trajectory(game, seat, taken) for seat, taken in turns.items()]


def _trajectory(game: Game, seat: str, turns: Sequence[TurnTaken]) -> Trajectory:
    role: Role = "proposer" if seat == PROPOSER_SEAT else "solver"
    return Trajectory(
        game.id,
        seat,
        segments_of(turn.reply for turn in turns),
        role=role,
        group=_group(game, role),
        reward=game.outcome.rewards[seat] if game.outcome else float("nan"),
        hops=game.task.hops or 0,
        truncated=turns[-1].action.kind not in ("question", "answer"),
        complete=all(turn.reply.token_ids and turn.reply.context_ids for turn in turns),
    )


def _group(game: Game, role: Role) -> str:
    """Proposals share the answer they are for, attempts the question, which their task or their game has."""
    if role == "proposer":
        return f"answer {game.task.id or game.id}"
    return f"question {game.task.id or game.id}" if game.task.question else game.id


def _missing(trajectory: Trajectory) -> str:
    places = zip(trajectory.segments[::2], trajectory.segments[1::2], strict=True)
    turn, (_, sampled) = next(
        (number, pair) for number, pair in enumerate(places) if not (pair[0].token_ids and pair[1].token_ids)
    )
    lacking = "context_ids" if sampled.token_ids else "token_ids"
    return (
        f"turn {turn} of {trajectory.seat} in game {trajectory.game_id!r} came without its tokens: the "
        f"player must return a `Reply` with `token_ids` and `context_ids`, got no {lacking}"
    )
