"""Continuous batching: turns join the batch at any step, leave it as they end, and share equal beginnings."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch

from agents.kv_cache import Ids, KVBatch, KVStore, Pieces
from agents.nucleus_sampling import choose

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFILL_TOKENS = 1024
"""Most tokens, padding included, that one forward pass reads of prompts."""
SHARED_TOKENS = 64
"""A prompt waits for one that is being read if that saves it this many tokens beyond what is cached."""
BASE_MODEL = "__base__"
"""What peft calls a row without an adapter."""


@dataclass(frozen=True, slots=True)
class DecodedTurn:
    """Sampled ids of one turn.

    Attributes:
        token_ids: The ids.
        logprobs: Log-probability of each at the sampling temperature.
        weights_version: Version of the weights that sampled them; empty if nobody named one.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    weights_version: str = ""


@dataclass(eq=False)
class TurnRequest:
    """A turn to be sampled.

    Attributes:
        key: The conversation, under which its KV cache is kept.
        role: Who speaks; the last finished conversation of a role is kept for its opening.
        prompt: Token ids of the conversation so far.
        limit: Most new tokens.
        temperature: 0 takes the likeliest token.
        top_p: Mass of the nucleus.
        rng: Gives one number per token.
        is_finished: Told the new ids after every token; True ends the turn.
        is_last: Told the ids of the finished turn; True if the conversation is over.
        adapter: Name of the LoRA adapter; None is the base model.
        end_ids: Ids that may follow a finished turn: one more token is sampled, and kept if it is one of
            these. Empty ends the turn at once.
        future: Receives the sample; cancelling it takes the turn out of the batch.
    """

    key: Hashable
    role: str
    prompt: Sequence[int]
    limit: int
    temperature: float
    top_p: float
    rng: np.random.Generator | Random
    is_finished: Callable[[Sequence[int]], bool]
    is_last: Callable[[Sequence[int]], bool]
    adapter: str | None = None
    end_ids: Collection[int] = ()
    future: Future[DecodedTurn] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.ids = np.asarray(self.prompt, dtype=np.int64)
        self.size = len(self.prompt) + self.limit


@dataclass(eq=False)
class _Turn:
    """A turn in the batch, and what was sampled."""

    request: TurnRequest
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    is_closing: bool = False

    def is_over(self) -> bool:
        """Whether the turn ended with its last token, which is dropped if it had to be an end and is none."""
        request, last = self.request, self.token_ids[-1]
        if self.is_closing:
            if last not in request.end_ids:
                del self.token_ids[-1], self.logprobs[-1]
            return True
        if len(self.token_ids) == request.limit:
            return True
        if not request.is_finished(self.token_ids):
            return False
        self.is_closing = bool(request.end_ids) and last not in request.end_ids
        return not self.is_closing


@dataclass(eq=False)
class _Row:
    """Turns whose tokens are the same so far, which go through the model as one until they differ."""

    turns: list[_Turn]
    keep: bool = True

    @property
    def adapter(self) -> str | None:
        return self.turns[0].request.adapter


@dataclass(frozen=True)
class _Entering:
    """Turns with one prompt, and the cached beginning of it."""

    turns: list[TurnRequest]
    pieces: Pieces

    @property
    def unread(self) -> int:
        """Tokens of the prompt that are not cached."""
        return len(self.turns[0].ids) - _tokens(self.pieces)


class DecodeLoop:
    """A batch that is shared by all turns, from any thread.

    Every step admits what is waiting as far as there is room, reads its prompts, and samples one token for
    each turn. Finished turns leave at once. Turns with the same prompt are read and decoded as one row for as
    long as they sample the same tokens, which is common among the attempts of one question.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        batch_tokens: Most tokens in the batch: turns times the longest, as long as it may become. A turn that
            is longer is decoded alone.
        cache_tokens: Most tokens kept between turns.
        adapters: Whether the model is one of peft, and turns name their adapters.

    Attributes:
        steps: Steps taken.
        weights_version: Version of the weights that sample now, see `published`.

    Raises:
        ValueError: If a number is out of range, or the model's cache cannot be used (see `KVBatch`).
    """

    def __init__(
        self, model: PreTrainedModel, *, batch_tokens: int, cache_tokens: int, adapters: bool = False
    ) -> None:
        if batch_tokens < 1 or cache_tokens < 0:
            raise ValueError(
                "batch_tokens must be at least 1 and cache_tokens at least 0, "
                f"got {batch_tokens} and {cache_tokens}"
            )
        self.steps = 0
        self.weights_version = ""
        self._batch = KVBatch(model, batch_tokens)
        self._store = KVStore(cache_tokens)
        self._batch_tokens = batch_tokens
        self._adapters = adapters
        self._waiting: deque[TurnRequest] = deque()
        self._rows: list[_Row] = []
        self._stepping = threading.Lock()
        self._starting = threading.Lock()
        self._running = False

    @property
    def fed_tokens(self) -> int:
        """Tokens that went through the model so far, padding left out."""
        return self._batch.fed_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens kept between turns now."""
        return self._store.tokens

    def submit(self, request: TurnRequest) -> None:
        """Queue a turn; `run`, `run_in_background` or `step` samples it."""
        self._waiting.append(request)

    def run(self, requests: Sequence[TurnRequest]) -> list[DecodedTurn]:
        """Step until these turns are over.

        Raises:
            Exception: Whatever the model raised; all turns in the batch fail with it.
        """
        try:
            while not all(request.future.done() for request in requests):
                self.step()
            return [request.future.result() for request in requests]
        finally:
            # After an exception nobody waits for the others.
            for request in requests:
                request.future.cancel()

    def run_in_background(self) -> None:
        """Start a thread that steps until nothing is left to do, unless one runs already."""
        with self._starting:
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="decode-loop", daemon=True).start()

    def forget(self) -> None:
        """Drop what is kept between turns: the weights have changed, or the games are over.

        Turns under way keep what they have read, and nothing of it is kept after them.
        """
        with self._stepping:
            self._store.clear()
            for row in self._rows:
                row.keep = False

    def published(self, version: str) -> None:
        """Sample with new weights, which the model has by now: nothing that the old ones read is used again.

        Turns under way begin anew, and draw on from where their generators are.

        Args:
            version: Name of the new weights, for the samples to come.
        """
        with self._stepping:
            self.weights_version = version
            self._store.clear()
            self._batch.clear()
            rows, self._rows = self._rows, []
            self._waiting.extendleft(turn.request for row in reversed(rows) for turn in reversed(row.turns))

    @torch.inference_mode()
    def step(self) -> None:
        """Admit, read, and sample one token per row."""
        with self._stepping:
            try:
                self._drop_cancelled()
                while entering := self._entering():
                    self._read(entering)
                if self._rows:
                    self.steps += 1
                    self._sample(self._feed(0, [row.turns[0].token_ids[-1:] for row in self._rows]), 0)
            except BaseException as error:
                self._fail(error)
                raise

    def _run(self) -> None:
        while self._has_work():
            # Whoever waits for the turns gets the exception from their futures.
            with suppress(Exception):
                self.step()

    def _has_work(self) -> bool:
        with self._starting, self._stepping:
            self._running = bool(self._waiting or self._rows)
            return self._running

    # -- in ----------------------------------------------------------------------------------------------

    def _entering(self) -> list[_Entering]:
        """Take the turns that fit from the queue, with the cached beginnings of their prompts.

        A turn that shares much with one taken just now waits until that one has been read.
        """
        entering: dict[tuple[str | None, bytes], _Entering] = {}
        patient: list[TurnRequest] = []
        sizes = [turn.request.size for row in self._rows for turn in row.turns]
        count, longest = len(sizes), max(sizes, default=0)
        while self._waiting:
            request = self._waiting[0]
            if count and (count + 1) * max(longest, request.size) > self._batch_tokens:
                break
            self._waiting.popleft()
            prompt = (request.adapter, request.ids.tobytes())
            if prompt in entering:
                entering[prompt].turns.append(request)
            else:
                pieces = self._store.longest_prefix(request.key, request.adapter, request.ids)
                enough = _tokens(pieces) + SHARED_TOKENS
                if any(_begin_alike(request, other.turns[0], enough) for other in entering.values()):
                    patient.append(request)
                    continue
                entering[prompt] = _Entering([request], pieces)
            count, longest = count + 1, max(longest, request.size)
        self._waiting.extendleft(reversed(patient))
        return list(entering.values())

    def _read(self, entering: list[_Entering]) -> None:
        """Read prompts, similar lengths together, and sample their first tokens."""
        left = deque(sorted(entering, key=lambda each: each.unread))
        # This list must not keep alive what has been copied into the batch.
        entering.clear()
        while left:
            first, sizes = len(self._rows), list[int]()
            while left and (not sizes or (len(sizes) + 1) * left[0].unread <= PREFILL_TOKENS):
                sizes.append(left[0].unread)
                each = left.popleft()
                self._batch.append(each.pieces, rows=len(self._rows) + len(left) + 1)
                self._rows.append(_Row([_Turn(request) for request in each.turns]))
            del each
            try:
                logits = self._read_rows(first, sizes)
            except BaseException:
                self._waiting.extendleft(request for each in reversed(left) for request in each.turns[::-1])
                raise
            self._sample(logits, first)

    def _read_rows(self, first: int, sizes: Sequence[int]) -> torch.Tensor:
        requests = [row.turns[0].request for row in self._rows[first:]]
        chunks = [request.prompt[-size:] for request, size in zip(requests, sizes, strict=True)]
        # A long prompt, which comes alone, is read in parts, whose attention fits into memory.
        while len(chunks[0]) > PREFILL_TOKENS:
            self._feed(first, [chunks[0][:PREFILL_TOKENS]])
            chunks[0] = chunks[0][PREFILL_TOKENS:]
        logits = self._feed(first, chunks)
        for place, (request, size) in enumerate(zip(requests, sizes, strict=True), start=first):
            # Less is not worth sharing with others meanwhile, and is kept when the turn is over.
            if size >= SHARED_TOKENS:
                self._keep(place, request.ids, self._rows[place].turns)
        return logits

    # -- through -----------------------------------------------------------------------------------------

    def _feed(self, first: int, chunks: Sequence[Sequence[int]]) -> torch.Tensor:
        adapters = [row.adapter or BASE_MODEL for row in self._rows[first : first + len(chunks)]]
        return self._batch.feed(first, chunks, adapters if self._adapters else None)

    def _sample(self, logits: torch.Tensor, first: int) -> None:
        """Give the turns of the rows from `first` on their next token; those that end with it leave."""
        last = len(self._rows)
        turns = [(place, turn) for place in range(first, last) for turn in self._rows[place].turns]
        requests = [turn.request for _, turn in turns]
        if len(turns) > last - first:
            logits = logits[[place - first for place, _ in turns]]
        sampled = choose(
            logits,
            [request.temperature for request in requests],
            [request.top_p for request in requests],
            [float(request.rng.random()) for request in requests],
        )
        for (_, turn), token, logprob in zip(turns, *sampled, strict=True):
            turn.token_ids.append(token)
            turn.logprobs.append(logprob)
        # Backwards, because the last row takes the place of one that leaves.
        for place in reversed(range(first, last)):
            self._part(place)

    def _part(self, place: int) -> None:
        """Take out the turns of a row that are over, and give every token that the others sampled a row."""
        row = self._rows[place]
        over: list[_Turn] = []
        going_on: dict[int, list[_Turn]] = {}
        for turn in row.turns:
            (over if turn.is_over() else going_on.setdefault(turn.token_ids[-1], [])).append(turn)
        if over:
            self._finish(place, over)
        if not going_on:
            self._remove(place)
            return
        row.turns, *others = going_on.values()
        for turns in others:
            self._batch.fork(place)
            self._rows.append(_Row(turns, row.keep))

    # -- out ---------------------------------------------------------------------------------------------

    def _finish(self, place: int, over: Sequence[_Turn]) -> None:
        """Hand out turns of one row that end with the same step."""
        kept = []
        for turn in over:
            request = turn.request
            if request.is_last(turn.token_ids):
                self._store.finish(request.key, request.role)
            elif self._rows[place].keep:
                kept.append(turn)
        if kept:
            ids = np.append(kept[0].request.ids, kept[0].token_ids).astype(np.int64)
            # The model has not read a token that was sampled in this step.
            self._keep(place, ids[: self._batch.lengths[place]], kept)
        for turn in over:
            if turn.request.future.set_running_or_notify_cancel():
                decoded = DecodedTurn(tuple(turn.token_ids), tuple(turn.logprobs), self.weights_version)
                turn.request.future.set_result(decoded)

    def _keep(self, place: int, ids: Ids, turns: Sequence[_Turn]) -> None:
        """Store what a row has read so far; tokens that are stored already are not copied again."""
        request = turns[0].request
        known = self._store.longest_prefix(request.key, request.adapter, ids)
        segment = self._batch.read(place, _tokens(known))
        for turn in turns:
            self._store.put(turn.request.key, request.adapter, ids, (*known, (segment, segment.tokens)))

    def _remove(self, place: int) -> None:
        self._batch.remove(place)
        last = self._rows.pop()
        if place < len(self._rows):
            self._rows[place] = last

    def _drop_cancelled(self) -> None:
        for _ in range(len(self._waiting)):
            request = self._waiting.popleft()
            if not request.future.cancelled():
                self._waiting.append(request)
        for place in reversed(range(len(self._rows))):
            row = self._rows[place]
            row.turns = [turn for turn in row.turns if not turn.request.future.cancelled()]
            if not row.turns:
                self._remove(place)

    def _fail(self, error: BaseException) -> None:
        """Hand an exception to all turns in the batch, which it may have left half done, and start afresh."""
        rows, self._rows = self._rows, []
        self._batch.clear()
        for turn in (turn for row in rows for turn in row.turns):
            future = turn.request.future
            if not future.done() and future.set_running_or_notify_cancel():
                future.set_exception(error)


def _tokens(pieces: Pieces) -> int:
    return sum(tokens for _, tokens in pieces)


def _begin_alike(one: TurnRequest, other: TurnRequest, tokens: int) -> bool:
    """Whether two prompts share at least this many first tokens."""
    return (
        min(len(one.ids), len(other.ids)) >= tokens
        and one.adapter == other.adapter
        and np.array_equal(one.ids[:tokens], other.ids[:tokens])
    )
