"""Conversations as segments of tokens, each tokenised exactly once, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ssp_env.game import Game, Message, Reply, Role, View
from ssp_env.game.events import TurnTaken
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent, act_all


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


@dataclass(frozen=True, slots=True)
class Sample:
    """The whole conversation of one seat, and what it was paid.

    Attributes:
        game_id: The game it belongs to.
        seat: The seat whose conversation it is.
        segments: Context and sampled segments in order; only sampled ones carry a loss.
        role: `proposer` or `solver`.
        group: Samples whose rewards are compared with each other: attempts at one question, or proposals
            for one answer.
        reward: Reward of the whole conversation; NaN if it could not be scored.
        turn_rewards: Reward of each sampled turn, or empty; added to `reward`.
        hops: Hops that the task asked for; 0 if it asked for no number.
        truncated: Whether the conversation ended at a limit, without a question or an answer.
        complete: Whether every turn came with its tokens. A turn that did not leaves unknown what the policy
            had read when it sampled the next one, so that the sample cannot be trained on.
    """

    game_id: str
    seat: str
    segments: tuple[Segment, ...]
    role: Role = "solver"
    group: str = ""
    reward: float = 0.0
    turn_rewards: tuple[float, ...] = ()
    hops: int = 0
    truncated: bool = False
    complete: bool = True

    @property
    def sampled_count(self) -> int:
        """Number of tokens the policy sampled."""
        return sum(len(segment.token_ids) for segment in self.segments if segment.sampled)

    @property
    def length(self) -> int:
        """Number of tokens in all."""
        return sum(len(segment.token_ids) for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded samples; all tensors are (batch, length).

    Attributes:
        ids: Token ids, padded on the right with 0.
        attention: True where there is a token.
        mask: True where the token was sampled by the policy.
        turns: Number of the sampled turn that a token belongs to; -1 outside the mask.
        sampled_logprobs: Log-probability at sampling time; 0 elsewhere.
        extras: Further tensors over tokens by name, which algorithms add: advantages, returns, ...
        logprobs_known: Whether every sampled token has its log-probability at sampling time.
    """

    ids: Tensor
    attention: Tensor
    mask: Tensor
    turns: Tensor
    sampled_logprobs: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    logprobs_known: bool = True

    def __getitem__(self, name: str) -> Tensor:
        return self.extras[name]

    def with_extras(self, **extras: Tensor) -> Batch:
        """Return the batch with more tensors over its tokens."""
        return replace(self, extras={**self.extras, **extras})

    def to(self, device: torch.device) -> Batch:
        """Return the batch with all tensors on a device; the batch itself if they are there."""
        if self.ids.device == device:
            return self
        return Batch(
            self.ids.to(device),
            self.attention.to(device),
            self.mask.to(device),
            self.turns.to(device),
            self.sampled_logprobs.to(device),
            {name: tensor.to(device) for name, tensor in self.extras.items()},
            self.logprobs_known,
        )

    def select(self, rows: Sequence[int]) -> Batch:
        """Return some of the samples, cut to the longest of them."""
        index = torch.tensor(rows)
        length = int(self.attention[index].sum(1).max())
        return Batch(
            self.ids[index, :length],
            self.attention[index, :length],
            self.mask[index, :length],
            self.turns[index, :length],
            self.sampled_logprobs[index, :length],
            {name: tensor[index, :length] for name, tensor in self.extras.items()},
            self.logprobs_known,
        )


class TokensMissing(ValueError):
    """A player returned text without the tokens that a trainer needs; the message says which are needed."""


def game_samples(game: Game) -> list[Sample]:
    """Collect the conversations of all seats that played a turn; the game is the group of all of them."""
    turns: dict[str, list[TurnTaken]] = {}
    for event in game.events:
        if isinstance(event, TurnTaken):
            turns.setdefault(event.seat, []).append(event)
    return [_sample(game, seat, taken) for seat, taken in turns.items()]


def _sample(game: Game, seat: str, turns: Sequence[TurnTaken]) -> Sample:
    return Sample(
        game.id,
        seat,
        segments_of(turn.reply for turn in turns),
        role="proposer" if seat == PROPOSER_SEAT else "solver",
        group=game.id,
        reward=game.outcome.rewards[seat] if game.outcome else float("nan"),
        hops=game.task.hops or 0,
        truncated=turns[-1].action.kind not in ("question", "answer"),
        complete=all(turn.reply.token_ids and turn.reply.context_ids for turn in turns),
    )


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


def text_sample(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, game_id: str = "", seat: str = ""
) -> Sample:
    """Tokenise a conversation that was played in text; assistant messages count as sampled."""
    segments = tuple(
        Segment(
            tuple(tokenizer.backend_tokenizer.encode(message.content).ids),
            sampled=message.role == "assistant",
        )
        for message in messages
    )
    return Sample(game_id, seat, segments)


class ConversationRecorder:
    """Passes views to an agent and keeps each conversation up to its latest turn."""

    def __init__(self, agent: AnyAgent) -> None:
        self._agent = agent
        self.conversations: dict[tuple[str, str, str], tuple[Message, ...]] = {}

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return the agent's replies and keep the conversations."""
        replies = act_all(self._agent, views)
        for view, reply in zip(views, replies, strict=True):
            said = Message("assistant", reply.text)
            self.conversations[view.conversation_id] = (*view.messages, said)
        return replies


def collate(samples: Sequence[Sample]) -> Batch:
    """Pad samples on the right into tensors.

    Raises:
        TokensMissing: If the first token of a sample was sampled: there is nothing to predict it from.
    """
    length = max((sample.length for sample in samples), default=0)
    shape = (len(samples), length)
    ids, turns = torch.zeros(shape, dtype=torch.long), torch.full(shape, -1)
    attention = torch.zeros(shape, dtype=torch.bool)
    logprobs = torch.zeros(shape)
    for row, sample in enumerate(samples):
        start = turn = 0
        for segment in sample.segments:
            end = start + len(segment.token_ids)
            ids[row, start:end] = torch.tensor(segment.token_ids, dtype=torch.long)
            if segment.sampled and end > start:
                if start == 0:
                    raise TokensMissing(
                        f"{sample.seat} in game {sample.game_id!r} sampled a token before it had read any: "
                        "`Reply.context_ids` of its first turn must hold the prompt"
                    )
                turns[row, start:end] = turn
                turn += 1
                if segment.logprobs:
                    logprobs[row, start:end] = torch.tensor(segment.logprobs)
            start = end
        attention[row, :start] = True
    return Batch(ids, attention, turns >= 0, turns, logprobs, logprobs_known=has_logprobs(samples))


def has_logprobs(samples: Sequence[Sample]) -> bool:
    """Whether every sampled token of every sample has its log-probability at sampling time."""
    return all(
        len(segment.logprobs) == len(segment.token_ids)
        for sample in samples
        for segment in sample.segments
        if segment.sampled
    )


def micro_batches(lengths: Sequence[int], micro_batch_tokens: int) -> list[list[int]]:
    """Group indices of samples of similar length into batches of at most `micro_batch_tokens` tokens.

    Padding counts; a sample that is longer than that is a batch of its own.

    >>> micro_batches([5, 90, 6, 40], 90)
    [[0, 2], [3], [1]]
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[index] * (len(groups[-1]) + 1) <= micro_batch_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
