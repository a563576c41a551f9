"""Conversations as segments of tokens, each tokenised exactly once, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ssp_env.game import Game, Message, Reply, View
from ssp_env.game.events import TurnTaken
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
class Transcript:
    """The whole conversation of one seat.

    Attributes:
        game_id: The game it belongs to.
        seat: The seat whose conversation it is.
        segments: Context and sampled segments in order; only sampled ones carry a loss.
    """

    game_id: str
    seat: str
    segments: tuple[Segment, ...]

    @property
    def sampled_count(self) -> int:
        """Number of tokens the policy sampled."""
        return sum(len(segment.token_ids) for segment in self.segments if segment.sampled)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded transcripts; all tensors are (batch, length).

    Attributes:
        ids: Token ids, padded on the right with 0.
        attention: True where there is a token.
        loss_mask: True where the token was sampled by the policy.
        logprobs: Log-probability at sampling time; 0 elsewhere.
    """

    ids: Tensor
    attention: Tensor
    loss_mask: Tensor
    logprobs: Tensor


def game_transcripts(game: Game) -> list[Transcript]:
    """Collect the transcripts of every seat of a game whose agents returned tokens."""
    turns: dict[str, list[Reply]] = {}
    for event in game.events:
        if isinstance(event, TurnTaken):
            turns.setdefault(event.seat, []).append(event.reply)
    return [Transcript(game.id, seat, _segments(replies)) for seat, replies in turns.items()]


def _segments(replies: Iterable[Reply]) -> tuple[Segment, ...]:
    return tuple(
        segment
        for reply in replies
        for segment in (
            Segment(reply.context_ids, sampled=False),
            Segment(reply.token_ids, True, reply.logprobs, reply.weights_version),
        )
    )


def text_transcript(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, game_id: str = "", seat: str = ""
) -> Transcript:
    """Tokenise a conversation that was played in text; assistant messages count as sampled."""
    segments = tuple(
        Segment(
            tuple(tokenizer.backend_tokenizer.encode(message.content).ids),
            sampled=message.role == "assistant",
        )
        for message in messages
    )
    return Transcript(game_id, seat, segments)


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


def collate(transcripts: Sequence[Transcript]) -> Batch:
    """Pad transcripts on the right into tensors."""
    rows = [[id_ for segment in t.segments for id_ in segment.token_ids] for t in transcripts]
    length = max(map(len, rows))
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    attention = torch.zeros(len(rows), length, dtype=torch.bool)
    loss_mask = torch.zeros(len(rows), length, dtype=torch.bool)
    logprobs = torch.zeros(len(rows), length)
    for index, (row, transcript) in enumerate(zip(rows, transcripts, strict=True)):
        ids[index, : len(row)] = torch.tensor(row)
        attention[index, : len(row)] = True
        start = 0
        for segment in transcript.segments:
            end = start + len(segment.token_ids)
            if segment.sampled:
                loss_mask[index, start:end] = True
                if segment.logprobs:
                    logprobs[index, start:end] = torch.tensor(segment.logprobs)
            start = end
    return Batch(ids, attention, loss_mask, logprobs)


def micro_batches(transcripts: Sequence[Transcript], micro_batch_tokens: int) -> list[list[int]]:
    """Group indices of transcripts of similar length into batches of at most `micro_batch_tokens` tokens.

    Padding counts; a transcript that is longer than that is a batch of its own.
    """
    lengths = [sum(len(segment.token_ids) for segment in t.segments) for t in transcripts]
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[index] * (len(groups[-1]) + 1) <= micro_batch_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
