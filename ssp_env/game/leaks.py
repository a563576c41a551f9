"""Whether a text names an answer, however it is spelled, spaced or disguised."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import regex

from ssp_env.scoring.words import compose, fold, is_invisible, separate_characters

_LETTERS = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_ASCII_LETTERS = re.compile(r"[a-z0-9]+")
_FOREIGN_MARKS = regex.compile(r"(?<=[\x00-\x7f])\p{M}+")
_ARTICLES = frozenset({"a", "an", "the"})
_SEAM = "\x00"
_LEAST_SPACED_LETTERS = 3
_LEAST_SPLIT_LETTERS = 5


def mentions(text: str, golds: Sequence[str]) -> bool:
    """Whether a right answer stands in the text as whole words, after folding (`ssp_env.scoring.words.fold`).

    Between the letters of an answer, punctuation, symbols and invisible characters count for nothing, and
    after its last letter each of them ends it: `Ta-vor`, `Tavor's` and `T•a•v•o•r/who` all name Tavor. White
    space may stand where the answer has a break, or between all of its letters. In scripts without spaces,
    and in Korean, an answer is found anywhere. Articles are dropped, so that an answer of articles alone
    is never mentioned; one of punctuation or symbols is mentioned where these stand. The time is linear in
    the text.

    >>> mentions("Who met Ada Lovelace?", ["ada lovelace"]), mentions("In 2019?", ["2"])
    (True, False)
    >>> mentions("Is T a v o r known?", ["Tavor"]), mentions("北京市长是谁？", ["北京"])
    (True, True)
    """
    spelled = _Spelling.of(text)
    without_articles = spelled.without_articles()
    for gold in map(_spelling_of_gold, golds):
        short = gold.without_articles()
        if (spelled.holds(gold) and short.words) or spelled.holds(short) or without_articles.holds(short):
            return True
    return any(_stands_as_written(gold, text) for gold in golds)


def mentions_split(text: str, golds: Sequence[str]) -> bool:
    """Whether a right answer of five letters or more stands in the text with white space anywhere in it.

    >>> mentions_split("Who met Ta vor?", ["Tavor"]), mentions_split("Who went in to it?", ["Into"])
    (True, False)
    """
    spelled = _Spelling.of(text)
    return any(spelled.holds_split(_spelling_of_gold(gold)) for gold in golds)


def public_id(game_id: str, golds: Sequence[str]) -> str:
    """Return the id of a game that players may see, which is another one if an answer stands in it.

    >>> public_id("world/corun/2", ["Tavor"]), "tavor" in public_id("world/tavor/2", ["Tavor"])
    ('world/corun/2', False)
    """
    name, *answers = ("".join(filter(str.isalnum, fold(text))) for text in (game_id, *golds))
    if not any(answer in name for answer in answers):
        return game_id
    return blake2b(game_id.encode(errors="surrogatepass"), digest_size=8).hexdigest()


class _Spelling(NamedTuple):
    """Letters and digits of a text, and what stands before each of them and at the end.

    Attributes:
        words: Runs of letters and digits.
        gaps: Before each letter, and at the end: `0` nothing, `1` anything but white space, `2` white space.
    """

    words: tuple[str, ...]
    gaps: str

    @classmethod
    def of(cls, text: str) -> _Spelling:
        folded = compose(fold(text if text.isascii() and text.isprintable() else text.translate(_SEAMS)))
        letters = _ASCII_LETTERS
        if not folded.isascii():
            folded, letters = separate_characters(_FOREIGN_MARKS.sub("", folded), _SEAM), _LETTERS
        runs = list(letters.finditer(folded))
        between = zip([0, *(run.end() for run in runs)], [*(run.start() for run in runs), len(folded)])
        breaks = [_kind_of_gap(folded[start:end]) for start, end in between]
        return cls._joined([run[0] for run in runs], breaks)

    @classmethod
    def _joined(cls, words: Sequence[str], breaks: Sequence[str]) -> _Spelling:
        runs = (kind + "0" * (len(word) - 1) for kind, word in zip(breaks, words, strict=False))
        return cls(tuple(words), "".join(runs) + breaks[-1])

    def without_articles(self) -> _Spelling:
        """The same without the words that are articles; where one stood is white space."""
        if _ARTICLES.isdisjoint(self.words):
            return self
        words, breaks, place, dropped = [], [], 0, False
        for word in self.words:
            if word in _ARTICLES:
                dropped = True
            else:
                words.append(word)
                breaks.append("2" if dropped else self.gaps[place])
                dropped = False
            place += len(word)
        return self._joined(words, [*breaks, "2"])

    def holds(self, answer: _Spelling) -> bool:
        """Whether the answer stands here between breaks, with white space only where it has breaks itself."""
        name, gaps = "".join(answer.words), self.gaps
        return bool(name) and any(
            gaps[start] != "0"
            and gaps[start + len(name)] != "0"
            and (
                self._has_breaks_of(answer, start)
                or (len(name) >= _LEAST_SPACED_LETTERS and "0" not in gaps[start + 1 : start + len(name)])
            )
            for start in _places("".join(self.words), name)
        )

    def holds_split(self, answer: _Spelling) -> bool:
        """Whether the letters of the answer stand here between breaks, whatever white space is among them."""
        name = "".join(answer.words)
        return len(name) >= _LEAST_SPLIT_LETTERS and any(
            self.gaps[start] != "0" and self.gaps[start + len(name)] != "0"
            for start in _places("".join(self.words), name)
        )

    def _has_breaks_of(self, answer: _Spelling, start: int) -> bool:
        for word in answer.words:
            if "2" in self.gaps[start + 1 : start + len(word)]:
                return False
            start += len(word)
        return True


def _kind_of_gap(between: str) -> str:
    # White space between two characters of scripts without spaces says nothing.
    spaced = any(map(str.isspace, between)) and not (between[0] == between[-1] == _SEAM)
    return "2" if spaced else "1"


def _places(text: str, name: str) -> Iterator[int]:
    place = text.find(name)
    while place >= 0:
        yield place
        place = text.find(name, place + 1)


_spelling_of_gold = lru_cache(maxsize=10_000)(_Spelling.of)


def _stands_as_written(gold: str, text: str) -> bool:
    """Whether an answer without letters and digits stands in a text, one punctuation mark by itself alone."""
    gold = " ".join(fold(gold).split())
    if not gold or _LETTERS.search(gold):
        return False
    text = " ".join(fold(text).split())
    if len(gold) == 1 and unicodedata.category(gold).startswith("P"):
        return f" {gold} " in f" {text} "
    return gold in text


class _Seams(dict[int, str]):
    """Code points and themselves; characters that leave no trace become a seam, unless they are marks."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        hidden = is_invisible(letter) and not unicodedata.category(letter).startswith("M")
        self[code] = kept = "\u2027" if hidden else letter
        return kept


_SEAMS = _Seams()
