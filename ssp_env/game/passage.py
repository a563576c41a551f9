"""The unit of retrieved evidence, shared by the game, the search engines and the worlds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Integral
from typing import Any, NamedTuple, cast

_REFERENCE = re.compile(r"(.+?)#([1-9][0-9]{0,8})(?:/[0-9]+)?", re.DOTALL)
_PART_ID = re.compile(r"(.+)#([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable piece of text.

    Attributes:
        id: Identifier, unique within its corpus; engines break score ties by it.
        title: Title of the page the passage belongs to.
        text: Body text.
        score: Engine-specific relevance, higher is better; 0.0 outside a ranking.
    """

    id: str
    title: str
    text: str
    score: float = 0.0


class PartId(NamedTuple):
    """Which part of which page a passage is; parts are counted from 1."""

    page: str
    part: int
    parts: int

    def __str__(self) -> str:
        return f"{self.page}#{self.part}/{self.parts}" if self.parts > 1 else self.page

    @classmethod
    def parse(cls, identifier: str) -> PartId:
        """Read the id of a passage; what is no part of a page is a whole one.

        >>> PartId.parse("guide.md#2/9"), PartId.parse("whales")
        (PartId(page='guide.md', part=2, parts=9), PartId(page='whales', part=1, parts=1))
        """
        found = _PART_ID.fullmatch(identifier)
        return cls(found[1], int(found[2]), int(found[3])) if found else cls(identifier, 1, 1)


def split_reference(reference: str) -> tuple[str, int]:
    """Split what names a part of a page: `page#part`, `page#part/parts`, or a page alone for its first part.

    >>> split_reference("guide.md#3/9"), split_reference("a#b")
    (('guide.md', 3), ('a#b', 1))
    """
    found = _REFERENCE.fullmatch(reference)
    return (found[1], int(found[2])) if found else (reference, 1)


def listed_part(reference: str, listed: Mapping[str, PartId]) -> PartId | None:
    """Return the part of a page that a player means, if the page was listed and has such a part.

    Args:
        reference: What the player wrote; see `split_reference`.
        listed: A part of each page that the player was shown, by the page's id as it was shown.

    >>> listed_part("guide.md#3", {"guide.md": PartId("guide.md", 2, 9)})
    PartId(page='guide.md', part=3, parts=9)
    """
    page, number = (reference, 1) if reference in listed else split_reference(reference)
    # The page may be named as a result names it, `guide.md#2/9`, with the part that is wanted behind it.
    part = listed.get(page) or listed.get(split_reference(page)[0])
    return None if part is None or number > part.parts else part._replace(part=number)


def checked_passage(passage: object) -> Passage:
    """Return a passage from outside with fields of the types it states; the same object if it has them.

    Ids and scores that are other numbers, NumPy's for instance, are converted. This is the one check of what
    engines return: behind it every passage can be shown, hashed and written.

    Raises:
        TypeError: If it is no passage, or a field is neither of its type nor such a number.
        ValueError: If the score is infinite or NaN.

    >>> checked_passage(Passage(7, "Corun", "A town.", 1))
    Passage(id='7', title='Corun', text='A town.', score=1.0)
    """
    if not isinstance(passage, Passage):
        raise TypeError(f"expected passages, got {type(passage).__name__}")
    id: Any = passage.id
    score: Any = passage.score
    for name, value in (("title", cast(Any, passage.title)), ("text", cast(Any, passage.text))):
        if not isinstance(value, str):
            raise _wrong(passage, name, "text", value)
    if not isinstance(id, str):
        if isinstance(id, bool) or not isinstance(id, Integral):
            raise _wrong(passage, "id", "text or a whole number", id)
        id = str(id)
    if type(score) is not float:
        if isinstance(score, str | bytes | bool) or not hasattr(score, "__float__"):
            raise _wrong(passage, "score", "a number", score)
        score = float(score)
    if not isfinite(score):
        raise ValueError(f"expected a finite number as the score of passage {id!r}, got {score}")
    if id is passage.id and score is passage.score:
        return passage
    return Passage(id, passage.title, passage.text, score)


def _wrong(passage: Passage, name: str, expected: str, value: object) -> TypeError:
    whose = "a passage" if name == "id" else f"passage {passage.id!r:.100}"
    return TypeError(
        f"expected {expected} as the {name} of {whose}, got {type(value).__name__} {value!r:.100}"
    )
