"""Cutting pages into parts that a search can find, and the ids that say which part of which page one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from semantic_text_splitter import TextSplitter

from ssp_env.game.passage import PartId, Passage
from ssp_env.game.view import replace_surrogates
from ssp_env.scoring.words import count_words

_BLOCK_CHARS = 50_000
_WORD_CHARS = 40


@dataclass(frozen=True)
class PartSize:
    """How long the parts of a page are.

    Attributes:
        words: Most words of a part; a page with no more stays whole.
        overlap: Most words that a part repeats of the one before.

    Raises:
        ValueError: If there is not at least one word, or the overlap is not less than a part.
    """

    words: int = 200
    overlap: int = 40

    def __post_init__(self) -> None:
        if self.words < 1:
            raise ValueError(f"a part needs at least 1 word, got {self.words}")
        if not 0 <= self.overlap < self.words:
            raise ValueError(
                f"parts of {self.words} words can repeat 0 to {self.words - 1} of the part before, "
                f"got {self.overlap}"
            )

    def __str__(self) -> str:
        return f"parts of at most {self.words} words that overlap by {self.overlap}"


def cut_pages(
    pages: Iterable[Passage],
    size: PartSize = PartSize(),
    on_cut: Callable[[int], object] = lambda parts: None,
) -> Iterator[Passage]:
    """Cut long pages between paragraphs, else between sentences, else between words.

    A part is a passage with the title of its page; its id says which part of which page it is. Pages that fit
    into one part pass through as they are.

    Args:
        pages: The pages, of any length.
        size: How long parts are; by default 200 words, 40 of which repeat the part before.
        on_cut: Called with the number of parts of each page that was cut.

    >>> page = Passage("a", "Corun", "It is a harbour. Its mayor is Tavor. He was born there.")
    >>> for part in cut_pages([page], PartSize(words=8, overlap=0)):
    ...     print(part.id, part.text)
    a#1/2 It is a harbour. Its mayor is Tavor.
    a#2/2 He was born there.
    """
    splitter = TextSplitter.from_callback(_count_words, size.words, overlap=size.overlap)
    for page in pages:
        if _count_words(page.text) <= size.words:
            yield page
            continue
        texts = [text for block in _blocks(replace_surrogates(page.text)) for text in splitter.chunks(block)]
        on_cut(len(texts))
        for number, text in enumerate(texts, start=1):
            yield Passage(str(PartId(page.id, number, len(texts))), page.title, text)


def _blocks(text: str) -> Iterator[str]:
    """Yield a text in blocks, because the splitter takes time quadratic in what it is given."""
    start = 0
    while start < len(text):
        end = start + _BLOCK_CHARS
        if end < len(text):
            # Behind a line end or a space where the block has one.
            breaks = (text.rfind(space, start, end) + 1 for space in "\n ")
            end = next((place for place in breaks if place > start), end)
        yield text[start:end]
        start = end


def _count_words(text: str) -> int:
    # What is no text, and has no spaces, counts as well, so that no part is endless.
    return max(count_words(text), -(-len(text) // _WORD_CHARS))
