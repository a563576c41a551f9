"""How texts become index terms: the settings of BM25, the fields of its index and the words in a text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import isfinite

import tantivy

TERM_INDEX = f"bm25 tantivy={version('tantivy')}"
EAGER = f"bm25 eager=1 words of {TERM_INDEX}"
FIELDS = ("title", "text")
K1, B = 1.2, 0.75
"""How fast a repeated word saturates, and how far long texts are discounted; tantivy fixes both."""
TOKENIZER = "ssp_words"
MIN_HEAP_BYTES = 15_000_000
"""The least memory that tantivy accepts for the heap of a writer."""
MAX_HEAP_BYTES = 1_000_000_000

_MAX_TERM_BYTES = 255


@dataclass(frozen=True)
class BM25Settings:
    """What decides a ranking besides the corpus; the arguments of `BM25Engine` say what they mean.

    Raises:
        TypeError: If a value is of another type.
        ValueError: If `title_boost` is not a number above 0, or `prune_above` or `eager_up_to` is negative.
    """

    stem: bool = True
    drop_stop_words: bool = True
    all_words_first: bool = False
    title_boost: float = 1.0
    prune_above: int | None = 50_000
    eager_up_to: int = 150_000

    def __post_init__(self) -> None:
        for name in ("stem", "drop_stop_words", "all_words_first"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if isinstance(self.title_boost, bool) or not isinstance(self.title_boost, int | float):
            raise TypeError(f"title_boost must be a number, got {self.title_boost!r}")
        if not (isfinite(self.title_boost) and self.title_boost > 0):
            raise ValueError(f"title_boost must be above 0 and finite, got {self.title_boost}")
        if self.prune_above is not None and type(self.prune_above) is not int:
            raise TypeError(f"prune_above must be a whole number or None, got {self.prune_above!r}")
        if self.prune_above is not None and self.prune_above < 0:
            raise ValueError(f"prune_above must be 0 or more, got {self.prune_above}")
        if type(self.eager_up_to) is not int:
            raise TypeError(f"eager_up_to must be a whole number, got {self.eager_up_to!r}")
        if self.eager_up_to < 0:
            raise ValueError(f"eager_up_to must be 0 or more, got {self.eager_up_to}")

    def is_eager(self, passages: int) -> bool:
        """Return whether a corpus of this size gets its scores when it is indexed."""
        return passages <= self.eager_up_to and not self.all_words_first

    def ranking(self, passages: int) -> str:
        """Return what decides the ranking of a corpus of this size, besides the corpus."""
        return f"{EAGER if self.is_eager(passages) else TERM_INDEX} {self}"

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


def make_schema() -> tantivy.Schema:
    """Return the fields of an index: title, text, and where the passage is stored."""
    builder = tantivy.SchemaBuilder()
    for field in FIELDS:
        builder.add_text_field(field, tokenizer_name=TOKENIZER, index_option="freq")
    builder.add_integer_field("row", fast=True)
    return builder.build()


def make_analyzer(stem: bool, drop_stop_words: bool = False) -> tantivy.TextAnalyzer:
    """Return what turns text into index terms: runs of letters and digits, in lower case."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES)).filter(tantivy.Filter.lowercase())
    if drop_stop_words:
        builder = builder.filter(tantivy.Filter.stopword("english"))
    if stem:
        builder = builder.filter(tantivy.Filter.stemmer("english"))
    return builder.build()


def encodable(text: str) -> str:
    """Replace lone surrogates, which a str may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
