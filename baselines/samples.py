"""Trajectories as samples of algorithms, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ssp_env.game import Game, Message, Reply, View
from ssp_env.game.trajectory import Segment as Segment
from ssp_env.game.trajectory import TokensMissing, Trajectory, seat_trajectories
from ssp_env.play import AnyAgent, act_all


@dataclass(frozen=True, slots=True)
class Sample(Trajectory):
    """The conversation of one seat as algorithms take it: a trajectory whose turns may have rewards too.

    Attributes:
        turn_rewards: Reward of each sampled turn, or empty; added to `reward`.
    """

    turn_rewards: tuple[float, ...] = ()


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


def game_samples(game: Game) -> list[Sample]:
    """Return the conversations of all seats that played a turn; `complete` says which have all tokens."""
    return [
        Sample(**{each.name: getattr(found, each.name) for each in fields(found)})
        for found in seat_trajectories(game)
    ]


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


def micro_batches(
    lengths: Sequence[int], micro_batch_tokens: int, order: Sequence[int] | None = None
) -> list[list[int]]:
    """Group indices of samples into batches of at most `micro_batch_tokens` tokens.

    Padding counts; a sample that is longer than that is a batch of its own.

    Args:
        lengths: Number of tokens of each sample.
        micro_batch_tokens: Most tokens of a batch.
        order: Indices in the order in which batches take them; similar lengths together if None.

    >>> micro_batches([5, 90, 6, 40], 90)
    [[0, 2], [3], [1]]
    """
    if order is None:
        order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    groups: list[list[int]] = []
    for index in order:
        longest = max(lengths[i] for i in (*groups[-1], index)) if groups else 0
        if groups and longest * (len(groups[-1]) + 1) <= micro_batch_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
