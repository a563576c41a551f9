"""A Gymnasium space of text in any script, bounded only in length."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import Box, Text, Tuple
from gymnasium.spaces.utils import flatten, flatten_space, is_space_dtype_shape_equiv, unflatten
from gymnasium.vector.utils import batch_differing_spaces, create_shared_memory, iterate
from numpy.typing import NDArray

MAX_ACTION_CHARS = 8192
"""Greatest length of an action, unless an environment is told otherwise."""
MAX_PROMPT_CHARS = 262_144
"""Greatest length of a prompt, unless an environment is told otherwise."""
SAMPLED_CHARACTERS = string.printable + "éßøλЖשع中あ한🙂"
"""What `UnicodeText` samples from: printable ASCII and one letter each of several scripts."""

_PADDING = -1
_LAST_CODE_POINT = 0x10FFFF


class _BatchedText(Text):
    """The class that `iterate` is registered for, in place of `UnicodeText` itself.

    Gymnasium takes a batch of texts, a `Tuple` of `UnicodeText`, to hold one text per environment only if the
    type of its spaces is not registered.
    """


class UnicodeText(_BatchedText):
    """Every string whose length in code points lies within bounds, whatever its characters.

    `gymnasium.spaces.Text` lists its characters one by one, which all of Unicode is too large for (2 s and
    46 MB a space). Here the list serves sampling alone. A flattened text is the array of its code points,
    padded with -1.

    Args:
        max_length: Greatest length, in characters; agents limit tokens themselves.
        min_length: Least length.
        charset: Characters to sample from.
        seed: Seed of the sampling.

    Raises:
        ValueError: If the bounds are negative or crossed, or `charset` is empty or holds a lone surrogate.

    Example:
        >>> space = UnicodeText(8)
        >>> "naïve 🙂" in space, "" in space, "too long a text" in space
        (True, True, False)
        >>> space
        UnicodeText(0, 8)
    """

    def __init__(
        self,
        max_length: int,
        *,
        min_length: int = 0,
        charset: frozenset[str] | str = SAMPLED_CHARACTERS,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        if not 0 <= min_length <= max_length:
            raise ValueError(
                f"lengths must be 0 <= min_length <= max_length, got {min_length} and {max_length}"
            )
        surrogates = sorted(char for char in charset if "\ud800" <= char <= "\udfff")
        if surrogates:
            raise ValueError(
                f"charset must not hold lone surrogates, which no file can store, got {surrogates[0]!r}"
            )
        if not charset:
            raise ValueError("charset needs at least one character, got none")
        super().__init__(max_length, min_length=min_length, charset=charset, seed=seed)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string within the bounds."""
        return isinstance(x, str) and self.min_length <= len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"UnicodeText({self.min_length}, {self.max_length})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UnicodeText)
            and self.min_length == other.min_length
            and self.max_length == other.max_length
        )


@flatten.register(UnicodeText)
def _flatten_unicode_text(space: UnicodeText, x: str) -> NDArray[np.int32]:  # type: ignore[misc]
    code_points = np.full(space.max_length, _PADDING, dtype=np.int32)
    code_points[: len(x)] = [ord(char) for char in x]
    return code_points


@unflatten.register(UnicodeText)
def _unflatten_unicode_text(space: UnicodeText, x: NDArray[np.int32]) -> str:  # type: ignore[misc]
    return "".join(chr(code_point) for code_point in x.tolist() if code_point != _PADDING)


@flatten_space.register(UnicodeText)
def _flatten_space_unicode_text(space: UnicodeText) -> Box:
    return Box(low=_PADDING, high=_LAST_CODE_POINT, shape=(space.max_length,), dtype=np.int32)


@is_space_dtype_shape_equiv.register(UnicodeText)
def _is_unicode_text_equiv(space_1: UnicodeText, space_2: Any) -> bool:
    return bool(space_1 == space_2)


@create_shared_memory.register(UnicodeText)
def _refuse_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> NoReturn:
    # Gymnasium's buffer for Text decodes each string once, at construction, and shows garbage ever after.
    raise CustomSpaceError(
        "shared memory cannot carry text: use gymnasium.vector.AsyncVectorEnv(..., shared_memory=False)"
    )


@batch_differing_spaces.register(UnicodeText)
def _batch_differing_texts(spaces: Sequence[UnicodeText]) -> Tuple[Any]:  # type: ignore[misc]
    return Tuple(spaces)


@iterate.register(_BatchedText)
def _iterate_texts(space: _BatchedText, items: Iterable[str]) -> Iterator[str]:  # type: ignore[misc]
    # SuperSuit hands the space of one text with the texts of all environments.
    if isinstance(items, str):
        raise TypeError(f"a batch of texts is a sequence of strings, got the one text {items[:40]!r}")
    return iter(items)
