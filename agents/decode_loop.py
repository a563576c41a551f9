"""Continuous batching: turns join the batch at any step and leave it as they end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from agents.kv_cache import Ids, KVBatch, KVStore, Pieces, common_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFILL_TOKENS = 1024
"""Most tokens, padding included, that one forward pass reads of prompts."""
SHARED_TOKENS = 64
"""A prompt waits for one that is being read if that saves it this many tokens beyond what is cached."""
BASE_MODEL = "__base__"
"""What peft calls a row without an adapter."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sampled ids of one turn and the log-probability of each at the sampling temperature."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


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
        future: Receives the sample; cancelling it takes the turn out of the batch.
    """

    key: Hashable
    role: str
    prompt: Sequence[int]
    limit: int
    temperature: float
    top_p: float
    rng: np.random.Generator
    is_finished: Callable[[Sequence[int]], bool]
    is_last: Callable[[Sequence[int]], bool]
    adapter: str | None = None
    future: Future[Sample] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.ids = np.asarray(self.prompt, dtype=np.int64)
        self.size = len(self.prompt) + self.limit


@dataclass(eq=False)
class _Row:
    """A turn in the batch, and what was sampled."""

    request: TurnRequest
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    keep: bool = True


class DecodeLoop:
    """A batch that is shared by all turns, from any thread.

    Every step admits what is waiting as far as there is room, reads its prompts, and samples one token for
    each row. Finished rows leave at once.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        batch_tokens: Most tokens in the batch: rows times the longest, as long as it may become. A turn that
            is longer is decoded alone.
        cache_tokens: Most tokens kept between turns.
        adapters: Whether the model is one of peft, and turns name their adapters.

    Attributes:
        steps: Steps taken.

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

    def run(self, requests: Sequence[TurnRequest]) -> list[Sample]:
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
                    self._sample(self._feed(0, [row.token_ids[-1:] for row in self._rows]), 0)
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

    def _entering(self) -> list[tuple[TurnRequest, Pieces]]:
        """Take the turns that fit from the queue, with the cached beginnings of their prompts.

        A turn that shares much with one taken just now waits until that one has been read.
        """
        entering: list[tuple[TurnRequest, Pieces]] = []
        patient: list[TurnRequest] = []
        sizes = [row.request.size for row in self._rows]
        while self._waiting:
            request = self._waiting[0]
            if sizes and (len(sizes) + 1) * max(*sizes, request.size) > self._batch_tokens:
                break
            self._waiting.popleft()
            pieces = self._store.longest_prefix(request.key, request.adapter, request.ids)
            enough = sum(tokens for _, tokens in pieces) + SHARED_TOKENS
            if any(
                other.adapter == request.adapter and common_length(other.ids, request.ids) >= enough
                for other, _ in entering
            ):
                patient.append(request)
                continue
            entering.append((request, pieces))
            sizes.append(request.size)
        self._waiting.extendleft(reversed(patient))
        return entering

    def _read(self, entering: list[tuple[TurnRequest, Pieces]]) -> None:
        """Read prompts, similar lengths together, and sample their first tokens."""
        new = {request: len(request.ids) - sum(n for _, n in pieces) for request, pieces in entering}
        left = deque(sorted(entering, key=lambda each: new[each[0]]))
        # This list must not keep alive what has been copied into the batch.
        entering.clear()
        while left:
            first = len(self._rows)
            while left and (
                len(self._rows) == first or (len(self._rows) - first + 1) * new[left[0][0]] <= PREFILL_TOKENS
            ):
                request, pieces = left.popleft()
                self._batch.append(pieces)
                self._rows.append(_Row(request))
            try:
                logits = self._read_rows(first, [new[row.request] for row in self._rows[first:]])
            except BaseException:
                self._waiting.extendleft(request for request, _ in reversed(left))
                raise
            self._sample(logits, first)

    def _read_rows(self, first: int, sizes: Sequence[int]) -> torch.Tensor:
        rows = self._rows[first:]
        chunks = [row.request.prompt[-size:] for row, size in zip(rows, sizes, strict=True)]
        # A long prompt, which comes alone, is read in parts, whose attention fits into memory.
        while len(chunks[0]) > PREFILL_TOKENS:
            self._feed(first, [chunks[0][:PREFILL_TOKENS]])
            chunks[0] = chunks[0][PREFILL_TOKENS:]
        logits = self._feed(first, chunks)
        for place, row in enumerate(rows, start=first):
            self._keep(place, row.request.ids)
        return logits

    # -- through -----------------------------------------------------------------------------------------

    def _feed(self, first: int, chunks: Sequence[Sequence[int]]) -> torch.Tensor:
        adapters = [row.request.adapter or BASE_MODEL for row in self._rows[first : first + len(chunks)]]
        return self._batch.feed(first, chunks, adapters if self._adapters else None)

    def _sample(self, logits: torch.Tensor, first: int) -> None:
        """Give the rows from `first` on their next token, and take out those that end with it."""
        requests = [row.request for row in self._rows[first:]]
        tokens, logprobs = choose(
            logits,
            [request.temperature for request in requests],
            [request.top_p for request in requests],
            [float(request.rng.random()) for request in requests],
        )
        # Backwards, because the last row takes the place of one that leaves.
        for place in reversed(range(first, len(self._rows))):
            row = self._rows[place]
            row.token_ids.append(tokens[place - first])
            row.logprobs.append(logprobs[place - first])
            if len(row.token_ids) == row.request.limit or row.request.is_finished(row.token_ids):
                self._finish(place)

    # -- out ---------------------------------------------------------------------------------------------

    def _finish(self, place: int) -> None:
        row, request = self._rows[place], self._rows[place].request
        if request.is_last(row.token_ids):
            self._store.finish(request.key, request.role)
        elif row.keep and len(row.token_ids) > 1:
            # The last token was sampled and not read yet.
            self._keep(place, np.concatenate([request.ids, np.array(row.token_ids[:-1], dtype=np.int64)]))
        self._remove(place)
        if request.future.set_running_or_notify_cancel():
            request.future.set_result(Sample(tuple(row.token_ids), tuple(row.logprobs)))

    def _keep(self, place: int, ids: Ids) -> None:
        """Store what a row has read so far; tokens that are stored already are not copied again."""
        request = self._rows[place].request
        known = self._store.longest_prefix(request.key, request.adapter, ids)
        segment = self._batch.read(place, sum(tokens for _, tokens in known))
        self._store.put(request.key, request.adapter, ids, (*known, (segment, segment.tokens)))

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
            if self._rows[place].request.future.cancelled():
                self._remove(place)

    def _fail(self, error: BaseException) -> None:
        """Hand an exception to all turns in the batch, which it may have left half done, and start afresh."""
        rows, self._rows = self._rows, []
        self._batch.clear()
        for row in rows:
            if row.request.future.set_running_or_notify_cancel():
                row.request.future.set_exception(error)


# -- sampling ------------------------------------------------------------------------------------------------


def choose(
    logits: torch.Tensor,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    uniforms: Sequence[float],
) -> tuple[list[int], list[float]]:
    """Pick one token per row from nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    Log-probabilities are those of the whole distribution at the row's temperature, before `top_ps` cuts it;
    at temperature 0 those at temperature 1.

    Args:
        logits: Shape (rows, vocabulary).
        temperatures: 0 takes the likeliest token.
        top_ps: Mass of the nucleus, in (0, 1]; the likeliest token is always in it.
        uniforms: One number in [0, 1) per row, which decides the pick.

    Returns:
        One token id per row, and their log-probabilities.
    """
    scale = torch.tensor([temperature or 1.0 for temperature in temperatures], device=logits.device)
    logprobs = torch.log_softmax(logits.float() / scale[:, None], dim=-1)
    chosen = logprobs.argmax(dim=-1)
    whole = [row for row, top_p in enumerate(top_ps) if top_p == 1.0 and temperatures[row] > 0]
    cut = [row for row, top_p in enumerate(top_ps) if top_p < 1.0 and temperatures[row] > 0]
    if whole:
        mass = logprobs[whole].exp().double().cumsum(dim=-1)
        chosen[whole] = _place(mass, mass[:, -1:], [uniforms[row] for row in whole])
    if cut:
        ranked, order = logprobs[cut].exp().sort(dim=-1, descending=True, stable=True)
        mass = ranked.double().cumsum(dim=-1)
        limit = torch.tensor([top_ps[row] for row in cut], dtype=torch.float64, device=logits.device)
        last = (mass - ranked < limit[:, None]).sum(dim=-1, keepdim=True) - 1
        place = _place(mass, mass.gather(-1, last), [uniforms[row] for row in cut])
        chosen[cut] = order.gather(-1, place[:, None].minimum(last))[:, 0]
    return chosen.tolist(), logprobs.gather(-1, chosen[:, None])[:, 0].tolist()


def _place(mass: torch.Tensor, total: torch.Tensor, uniforms: Sequence[float]) -> torch.Tensor:
    """Where each number falls among cumulated masses that end at `total`."""
    numbers = torch.tensor(uniforms, dtype=torch.float64, device=mass.device)[:, None]
    return torch.searchsorted(mass, numbers * total, right=True)[:, 0].clamp_max(mass.shape[-1] - 1)
