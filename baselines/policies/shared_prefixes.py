"""Conversations that begin alike go through a model once: the attempts at a question share their prompt.

Conversations are laid into rows as trees. A token that several of them have after the same tokens is there
once, and a token sees itself and those before it in its own conversation, whatever else is in its row. The
states are those of the conversations one by one, up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Folded(NamedTuple):
    """Conversations as trees in rows.

    Attributes:
        ids: Token ids, (rows, width), int64; 0 where nothing is.
        positions: Number of tokens before each in its conversations, (rows, width), int64.
        visible: Whether a token may look at another one, (rows, 1, width, width), bool.
        places: Where each token of the conversations went, (batch, length), int64: row x width + column.
    """

    ids: Tensor
    positions: Tensor
    visible: Tensor
    places: Tensor


@dataclass
class _Tree:
    """Conversations that are laid into a row together.

    Attributes:
        rows: Their numbers, in lexicographic order.
        shared: How many tokens each has in common with the one before it; 0 for the first.
        size: Number of tokens, each counted once.
    """

    rows: list[int]
    shared: list[int]
    size: int


def fold(ids: Tensor, attention: Tensor, worth: int) -> Folded:
    """Lay conversations that are padded on the right into rows as trees.

    Args:
        ids: Token ids, (batch, length), int64.
        attention: True where there is a token, (batch, length).
        worth: How many pairs of tokens that look at each other cost as much as one token more; conversations
            that share fewer stay apart, because tokens of a row cost attention even where they may not look.

    >>> ids = torch.tensor([[7, 8, 1], [7, 8, 2]])
    >>> folded = fold(ids, torch.ones_like(ids).bool(), worth=10)
    >>> folded.ids.tolist(), folded.positions.tolist(), folded.places.tolist()
    ([[7, 8, 1, 2]], [[0, 1, 2, 2]], [[0, 1, 2], [0, 1, 3]])
    """
    lengths, given = attention.sum(1).tolist(), ids.cpu()
    tokens = [row[:length] for row, length in zip(given.numpy(), lengths, strict=True)]
    bins = _pack(_trees(tokens, alike(given, lengths), worth))
    width = max(sum(tree.size for tree in trees) for trees in bins)
    folded, positions = (np.zeros((len(bins), width), np.int64) for _ in range(2))
    # What is padding sees itself, because a softmax over nothing is not a number.
    visible = np.tile(np.eye(width, dtype=bool), (len(bins), 1, 1, 1))
    places = np.zeros(ids.shape, np.int64)
    for number, trees in enumerate(bins):
        end = 0
        for tree in trees:
            path = np.zeros(0, np.int64)
            for row, shared in zip(tree.rows, tree.shared, strict=True):
                new = len(tokens[row]) - shared
                path = np.append(path[:shared], np.arange(end, end + new))
                end += new
                folded[number, path[shared:]] = tokens[row][shared:]
                positions[number, path] = np.arange(len(path))
                visible[number, 0][np.ix_(path[shared:], path)] = np.tri(new, len(path), shared, dtype=bool)
                places[row, : len(path)] = number * width + path
    return Folded(*(torch.from_numpy(each).to(ids.device) for each in (folded, positions, visible, places)))


def alike(ids: Tensor, lengths: Sequence[int]) -> list[int]:
    """Return the numbers of conversations in an order in which those that begin alike stand together."""
    return sorted(range(len(lengths)), key=lambda row: ids[row, : lengths[row]].tolist())


def states_in_trees(model: Any, trunk: Any, ids: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
    """Run the trunk of a model over conversations as trees.

    Returns:
        States of all tokens of the trees, (rows x width, hidden size), and where in them those of each
        conversation are, (batch, length).
    """
    # A token's linear layers cost 24 h^2 operations in a usual layer, and a pair in attention 4 h.
    folded = fold(ids, attention, worth=6 * model.config.hidden_size)
    visible = folded.visible
    if model.config._attn_implementation == "eager":
        scores = torch.zeros(visible.shape, dtype=model.dtype, device=visible.device)
        visible = scores.masked_fill_(~visible, torch.finfo(model.dtype).min)
    hidden: Tensor = trunk(
        input_ids=folded.ids, attention_mask=visible, position_ids=folded.positions
    ).last_hidden_state
    return hidden.flatten(0, 1), folded.places


def refuse_unable(model: Any, trunk: Any, *, plain_head: bool) -> None:
    """Raise unless a model reads trees as it reads conversations.

    Raises:
        ValueError: If a layer does not attend to the whole conversation, the kind of attention takes no masks
            of one's own, or the model changes logits after its output layer.
    """
    config = model.config
    layers = sorted(set(getattr(config, "layer_types", None) or ()) - {"full_attention"})
    if config._attn_implementation not in ("sdpa", "eager"):
        found = f"attention by {config._attn_implementation}"
    elif layers or (not getattr(config, "layer_types", None) and getattr(config, "sliding_window", None)):
        found = f"layers with {', '.join(layers) or 'sliding_attention'}"
    elif not plain_head:
        found = "logits that are changed after the output layer"
    elif not _reads_trees(model, trunk):
        found = "other states for them than for the conversations one by one"
    else:
        return
    raise ValueError(
        "model.share_prefixes needs full attention in every layer, by sdpa or eager, which take masks of "
        f"one's own, and logits that are the output layer's; {config.model_type} has {found}: set "
        "model.share_prefixes to false"
    )


@torch.no_grad()
def _reads_trees(model: Any, trunk: Any) -> bool:
    """Whether states of two short conversations are about the same in a tree; some models ignore masks."""
    size = min(8, model.config.vocab_size)
    straight = torch.arange(size, device=model.device)
    ids = torch.stack([straight, torch.cat([straight[: size // 2], straight[size // 2 :].flip(0)])])
    plain = trunk(input_ids=ids).last_hidden_state
    try:
        flat, places = states_in_trees(model, trunk, ids, torch.ones_like(ids).bool())
    except (TypeError, ValueError, RuntimeError):
        return False
    # Rounding in bfloat16 is far below this, and another mask or position far above.
    return bool((flat[places] - plain).norm() < 0.03 * plain.norm())


def _trees(tokens: Sequence[NDArray[np.int64]], order: Sequence[int], worth: int) -> list[_Tree]:
    """Let each conversation join those that stand before it in lexicographic order, where that saves work."""
    trees: list[_Tree] = []
    for place, row in enumerate(order):
        length = len(tokens[row])
        if place:
            tree = trees[-1]
            shared = _common(tokens[order[place - 1]], tokens[row])
            size = tree.size + length - shared
            if shared * worth > size**2 - tree.size**2 - length**2:
                tree.rows.append(row)
                tree.shared.append(shared)
                tree.size = size
                continue
        trees.append(_Tree([row], [0], length))
    return trees


def _common(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """Return how many tokens two conversations begin with in common."""
    length = min(len(first), len(second))
    different = np.flatnonzero(first[:length] != second[:length])
    return int(different[0]) if len(different) else length


def _pack(trees: list[_Tree]) -> list[list[_Tree]]:
    """Lay small trees beside each other, first fit, in rows as wide as the largest one."""
    width = max(tree.size for tree in trees)
    bins: list[list[_Tree]] = []
    room: list[int] = []
    for tree in sorted(trees, key=lambda each: -each.size):
        number = next((i for i, left in enumerate(room) if left >= tree.size), len(bins))
        if number == len(bins):
            bins.append([])
            room.append(width)
        bins[number].append(tree)
        room[number] -= tree.size
    return bins
