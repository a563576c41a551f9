"""The KV cache of conversations: of those decoded together, and of those that wait for their next turn."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Ids = NDArray[np.int64]
COLUMNS = 32
"""Buffers grow by this many columns at a time."""
OPENING_TOKENS = 4
"""Prompts that share fewer first tokens than this are read each for itself."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Keys and values of consecutive tokens of one conversation.

    Attributes:
        layers: Per layer the keys and the values, each of shape (1, heads, tokens, head size).
        tokens: How many tokens.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    tokens: int


Pieces = tuple[tuple[Segment, int], ...]
"""A prefix: segments in order, and how many leading tokens of each belong to it."""


@dataclass(frozen=True)
class _Window:
    """Where the tokens of a forward pass go.

    Attributes:
        rows: The rows of the buffers.
        numbers: The same counted from 0, shape (rows, 1).
        columns: The column of every token, shape (rows, width).
        visible: How many columns the pass sees.
        used: How many columns all rows of the batch use.
    """

    rows: slice
    numbers: Tensor
    columns: Tensor
    visible: int
    used: int


class _RowsLayer(DynamicLayer):
    """One layer's buffers; what a forward pass brings is written into the columns of its window."""

    window: _Window

    def __init__(self, most_tokens: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most_tokens = most_tokens

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values of new tokens into the window; return all columns that its rows see."""
        window = self.window
        self.reserve(window.rows.stop, window.used, key_states)
        keys, values = self.keys[window.rows], self.values[window.rows]  # type: ignore[index]
        rows = window.numbers
        keys[rows, :, window.columns] = key_states.transpose(1, 2)
        values[rows, :, window.columns] = value_states.transpose(1, 2)
        return keys[:, :, : window.visible], values[:, :, : window.visible]

    def get_seq_length(self) -> int:
        """Columns before those of the window; models ask only to find positions, which they are given."""
        return self.window.visible - self.window.columns.shape[1]

    def reserve(self, rows: int, columns: int, like: Tensor) -> None:
        """Make room for all rows and columns in use; `like` has shape (..., heads, tokens, head size)."""
        if not self.is_initialized:
            self.lazy_initialization(like, like)
            self.keys = self.values = like.new_zeros(0, like.shape[-3], 0, like.shape[-1])
        height, width = self.keys.shape[0], self.keys.shape[2]  # type: ignore[union-attr]
        if rows <= height and columns <= width:
            return
        # Width that was once needed is given back, or many short rows would be as wide as one long row was.
        columns = -(-columns // COLUMNS) * COLUMNS
        # Rows are doubled, so that a batch that fills one by one is not copied every time.
        spare = min(2 * height if rows > height else height, self.most_tokens // columns)
        rows = max(rows, spare)
        self.keys, self.values = (_resized(old, rows, columns) for old in (self.keys, self.values))


def _resized(old: Any, rows: int, columns: int) -> Tensor:
    # Zeros, because what is masked is still multiplied by zero, and memory may hold anything.
    new: Tensor = old.new_zeros(rows, old.shape[1], columns, old.shape[3])
    kept = old[:rows, :, :columns]
    new[: kept.shape[0], :, : kept.shape[2]] = kept
    return new


class KVBatch:
    """Rows of a batch with their KV cache.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        most_tokens: Room that spare rows may fill up to, in tokens; rows in use get theirs in any case.

    Attributes:
        lengths: Tokens in the cache, per row.
        fed_tokens: Tokens that went through the model so far, padding left out.

    Raises:
        ValueError: If the model's cache is not one of keys and values of all tokens, or its attention cannot
            be masked by rows.
    """

    def __init__(self, model: PreTrainedModel, most_tokens: int) -> None:
        _check(model)
        self._model = model
        self._most_tokens = most_tokens
        self.fed_tokens = 0
        self.clear()

    @property
    def room(self) -> int:
        """Tokens the buffers hold room for, used or not."""
        keys = self._layers[0].keys
        return 0 if keys is None else keys.shape[0] * keys.shape[2]

    def clear(self) -> None:
        """Drop all rows and give their memory back."""
        self.lengths: list[int] = []
        layers = self._model.config.get_text_config(decoder=True).num_hidden_layers
        self._layers = [_RowsLayer(self._most_tokens) for _ in range(layers)]
        self._cache = Cache(layers=[*self._layers])

    def append(self, pieces: Pieces, *, rows: int = 0) -> int:
        """Add a row that begins with a prefix; return the prefix's length in tokens.

        Args:
            pieces: The prefix.
            rows: Number of rows to make room for, if more are about to be added.
        """
        row, start = len(self.lengths), 0
        used = max([sum(tokens for _, tokens in pieces), *self.lengths])
        for segment, tokens in pieces:
            for layer, (keys, values) in zip(self._layers, segment.layers, strict=True):
                layer.reserve(max(row + 1, rows), used, keys)
                layer.keys[row, :, start : start + tokens] = keys[0, :, :tokens]  # type: ignore[index]
                layer.values[row, :, start : start + tokens] = values[0, :, :tokens]  # type: ignore[index]
            start += tokens
        self.lengths.append(start)
        return start

    def fork(self, row: int) -> None:
        """Add a copy of a row."""
        new, length, used = len(self.lengths), self.lengths[row], max(self.lengths)
        for layer in self._layers:
            layer.reserve(new + 1, used, layer.keys)  # type: ignore[arg-type]
            for buffer in (layer.keys, layer.values):
                buffer[new, :, :length] = buffer[row, :, :length]  # type: ignore[index]
        self.lengths.append(length)

    def read(self, row: int, start: int) -> Segment:
        """Copy the tokens of a row from `start` on."""
        stop = self.lengths[row]
        layers = tuple(
            (
                layer.keys[row : row + 1, :, start:stop].clone(),  # type: ignore[index]
                layer.values[row : row + 1, :, start:stop].clone(),  # type: ignore[index]
            )
            for layer in self._layers
        )
        return Segment(layers, stop - start)

    def remove(self, row: int) -> None:
        """Remove a row; the last one takes its place, and the memory of an empty batch is given back."""
        last, length = len(self.lengths) - 1, self.lengths[-1]
        if row < last:
            for layer in self._layers:
                for buffer in (layer.keys, layer.values):
                    buffer[row, :, :length] = buffer[last, :, :length]  # type: ignore[index]
            self.lengths[row] = length
        self.lengths.pop()
        if not self.lengths:
            self.clear()

    def feed(
        self, first: int, chunks: Sequence[Sequence[int]], adapters: Iterable[str] | None = None
    ) -> Tensor:
        """Run the model over new tokens of the rows from `first` on.

        Args:
            first: The first row.
            chunks: New tokens per row, at least one each.
            adapters: Name of the LoRA adapter per row, for a model of peft.

        Returns:
            Logits after the last token of each chunk, shape (rows, vocabulary).
        """
        ids, positions, columns = self._inputs(first, chunks)
        rows = slice(first, first + len(chunks))
        lengths = [length + len(chunk) for length, chunk in zip(self.lengths[rows], chunks, strict=True)]
        visible = int(columns.max()) + 1
        numbers = torch.arange(len(chunks), device=columns.device)[:, None]
        window = _Window(rows, numbers, columns, visible, used=max(visible, *self.lengths))
        for layer in self._layers:
            layer.window = window
        options = {} if adapters is None else {"adapter_names": list(adapters)}
        logits: Tensor = self._model(
            input_ids=ids,
            attention_mask=_causal_mask(positions, visible, self._model.dtype),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **options,
        ).logits[:, -1]
        self.lengths[rows] = lengths
        self.fed_tokens += sum(map(len, chunks))
        return logits

    def _inputs(self, first: int, chunks: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, positions and columns, each of shape (rows, width), short chunks padded on the left."""
        width = max(map(len, chunks))
        ids, positions, columns = [], [], []
        for length, chunk in zip(self.lengths[first : first + len(chunks)], chunks, strict=True):
            padding, stop = width - len(chunk), length + len(chunk)
            ids.append([0] * padding + list(chunk))
            positions.append([0] * padding + list(range(length, stop)))
            # Padding goes behind the row's end, where nobody looks before something else is written.
            columns.append([*range(stop, stop + padding), *range(length, stop)])
        device = self._model.device
        return tuple(torch.tensor(rows, device=device) for rows in (ids, positions, columns))  # type: ignore[return-value]


def _causal_mask(positions: Tensor, visible: int, dtype: torch.dtype) -> Tensor:
    """Additive, shape (rows, 1, width, visible columns): a token sees the columns up to its position."""
    hidden = torch.arange(visible, device=positions.device) > positions[:, None, :, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=positions.device).masked_fill_(
        hidden, torch.finfo(dtype).min
    )


def _check(model: PreTrainedModel) -> None:
    name = type(model).__name__
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if kinds - {DynamicLayer}:
        others = ", ".join(sorted(kind.__name__ for kind in kinds - {DynamicLayer}))
        raise ValueError(
            f"{name} keeps {others}, which cannot be carried from turn to turn; expected attention to all "
            "earlier tokens (a DynamicLayer everywhere), as Llama and Qwen have it"
        )
    attention = model.config._attn_implementation
    if attention not in ("sdpa", "eager"):
        raise ValueError(
            f"{name} was loaded with attn_implementation={attention!r}, which takes no mask by rows; "
            "load it with attn_implementation='sdpa'"
        )


@dataclass(frozen=True, eq=False)
class _Entry:
    adapter: str | None
    ids: Ids
    pieces: Pieces


class KVStore:
    """Finds the longest known beginning of a prompt.

    Keys and values depend on the tokens up to theirs and on the adapter alone, so that any conversation may
    go on from any other's beginning.

    Args:
        cache_tokens: Most tokens kept; 0 keeps nothing.

    Attributes:
        tokens: Tokens kept now.
    """

    def __init__(self, cache_tokens: int) -> None:
        self._cache_tokens = cache_tokens
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._by_opening: dict[bytes, dict[Hashable, _Entry]] = {}
        self._uses: Counter[Segment] = Counter()
        self.tokens = 0

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._by_opening.clear()
        self._uses.clear()
        self.tokens = 0

    def longest_prefix(self, key: Hashable, adapter: str | None, ids: Ids) -> Pieces:
        """Return what is known of the beginning of `ids`, leaving at least its last token.

        Args:
            key: The conversation, whose own entry is looked at first.
            adapter: Name of the LoRA adapter that reads.
            ids: The prompt.
        """
        own = self._entries.get(key)
        if own is not None and own.adapter == adapter:
            self._entries.move_to_end(key)
            if common_length(own.ids, ids) == len(own.ids):
                return _cut(own.pieces, len(ids) - 1)
        best, longest = None, 0
        for entry in self._by_opening.get(_opening(ids), {}).values():
            if entry.adapter == adapter and (length := common_length(entry.ids, ids)) > longest:
                best, longest = entry, length
        return _cut(best.pieces, min(longest, len(ids) - 1)) if best else ()

    def put(self, key: Hashable, adapter: str | None, ids: Ids, pieces: Pieces) -> None:
        """Keep a conversation under its key; the least recently used ones go if there is no room."""
        self.drop(key)
        entry = self._entries[key] = _Entry(adapter, ids, pieces)
        self._by_opening.setdefault(_opening(ids), {})[key] = entry
        for segment, _ in pieces:
            self._uses[segment] += 1
            if self._uses[segment] == 1:
                self.tokens += segment.tokens
        while self.tokens > self._cache_tokens and self._entries:
            self.drop(next(iter(self._entries)))

    def drop(self, key: Hashable) -> None:
        """Forget a conversation; what others share with it stays."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        opening = _opening(entry.ids)
        del self._by_opening[opening][key]
        if not self._by_opening[opening]:
            del self._by_opening[opening]
        for segment, _ in entry.pieces:
            self._uses[segment] -= 1
            if not self._uses[segment]:
                del self._uses[segment]
                self.tokens -= segment.tokens

    def finish(self, key: Hashable, role: Hashable) -> None:
        """Forget a conversation that is over, but for the last one of each role: the next begins alike."""
        entry = self._entries.get(key)
        self.drop(key)
        if entry is not None:
            self.put(("finished", role, entry.adapter), entry.adapter, entry.ids, entry.pieces)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)


def common_length(first: Ids, second: Ids) -> int:
    """How many leading ids two sequences share.

    >>> common_length(np.array([1, 2, 3]), np.array([1, 2, 4, 5]))
    2
    """
    limit = min(len(first), len(second))
    different = first[:limit] != second[:limit]
    place = int(different.argmax()) if limit else 0
    return place if limit and different[place] else limit


def _opening(ids: Ids) -> bytes:
    return ids[:OPENING_TOKENS].tobytes()


def _cut(pieces: Pieces, length: int) -> Pieces:
    """The first `length` tokens of a prefix."""
    kept = []
    for segment, tokens in pieces:
        if length <= 0:
            break
        kept.append((segment, min(tokens, length)))
        length -= tokens
    return tuple(kept)
