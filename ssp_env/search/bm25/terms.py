"""How texts become index terms: the settings of BM25, the fields of its index and the words in a text."""

from __future__ import annotations

import codecs
import re
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from math import isfinite

import tantivy

from ssp_env.game.passage import Passage
from ssp_env.scoring.words import searchable

TERM_INDEX = f"bm25 tantivy={version('tantivy')}"
EAGER = f"bm25 eager=1 words of {TERM_INDEX}"
FIELDS = ("title", "text")
K1, B = 1.2, 0.75
"""How fast a repeated word saturates, and how far long texts are discounted; tantivy fixes both."""
TOKENIZER = "ssp_words"
MIN_HEAP_BYTES = 15_000_000
"""The least memory that tantivy accepts for the heap of a writer."""
MAX_HEAP_BYTES = 1_000_000_000
EAGER_MEMORY = 1_500_000_000
"""Memory in which scores are computed beforehand unless something else is said."""
EAGER_BYTES = 4
"""Memory that scores need while they are computed, per byte of stored text; 3.2 were measured."""
_FINGERPRINTED = 150_000
"""What fingerprints say in place of `eager_up_to`, whose default it was: alone it changes no ranking."""

_MAX_TERM_BYTES = 255

TOKENIZATION = 2
"""How new indexes turn texts into words: 1 knew neither folding nor scripts without spaces."""


@dataclass(frozen=True)
class BM25Settings:
    """What decides a ranking besides the corpus; the arguments of `BM25Engine` say what they mean.

    Raises:
        TypeError: If a value is of another type.
        ValueError: If `title_boost` is not a number above 0, or another than 1 with `one_field`, or
            `prune_above` or `eager_up_to` is negative.
    """

    stem: bool = True
    drop_stop_words: bool = True
    all_words_first: bool = False
    title_boost: float = 1.0
    prune_above: int | None = 50_000
    eager_up_to: int | None = None
    tokenization: int = TOKENIZATION
    one_field: bool = False

    def __post_init__(self) -> None:
        for name in ("stem", "drop_stop_words", "all_words_first", "one_field"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if isinstance(self.title_boost, bool) or not isinstance(self.title_boost, int | float):
            raise TypeError(f"title_boost must be a number, got {self.title_boost!r}")
        if not (isfinite(self.title_boost) and self.title_boost > 0):
            raise ValueError(f"title_boost must be above 0 and finite, got {self.title_boost}")
        if self.one_field and self.title_boost != 1:
            raise ValueError(f"title_boost needs a field for titles, got {self.title_boost} with one_field")
        if self.prune_above is not None and type(self.prune_above) is not int:
            raise TypeError(f"prune_above must be a whole number or None, got {self.prune_above!r}")
        if self.prune_above is not None and self.prune_above < 0:
            raise ValueError(f"prune_above must be 0 or more, got {self.prune_above}")
        if self.eager_up_to is not None and type(self.eager_up_to) is not int:
            raise TypeError(f"eager_up_to must be a whole number or None, got {self.eager_up_to!r}")
        if self.eager_up_to is not None and self.eager_up_to < 0:
            raise ValueError(f"eager_up_to must be 0 or more, got {self.eager_up_to}")
        if self.tokenization not in range(1, TOKENIZATION + 1):
            raise ValueError(f"tokenization must be from 1 to {TOKENIZATION}, got {self.tokenization!r}")

    def fitted(self, passages: int, size: int, memory: int | None = None) -> BM25Settings:
        """Return the settings with a number of passages in place of the memory that scores may take.

        Args:
            passages: Size of the corpus.
            size: Bytes of its stored passages.
            memory: Takes the place of `eager_up_to`; `EAGER_MEMORY` if both are None.
        """
        if memory is None and self.eager_up_to is not None:
            return self
        memory = EAGER_MEMORY if memory is None else memory
        return replace(self, eager_up_to=memory * passages // (EAGER_BYTES * max(1, size)))

    def is_eager(self, passages: int) -> bool:
        """Return whether a corpus of this size gets its scores when it is indexed; see `fitted`."""
        return passages <= (self.eager_up_to or 0) and not self.all_words_first

    def ranking(self, passages: int) -> str:
        """Return what decides the ranking of a corpus of this size, besides the corpus."""
        return (
            f"{EAGER if self.is_eager(passages) else TERM_INDEX} {replace(self, eager_up_to=_FINGERPRINTED)}"
        )

    def __str__(self) -> str:
        values = asdict(self)
        # Indexes of the time before there were these keep their fingerprints.
        if self.tokenization == 1:
            del values["tokenization"]
        if not self.one_field:
            del values["one_field"]
        return " ".join(f"{name}={value}" for name, value in values.items())


def make_schema() -> tantivy.Schema:
    """Return the fields of an index: title, text, and where the passage is stored."""
    builder = tantivy.SchemaBuilder()
    for field in FIELDS:
        builder.add_text_field(field, tokenizer_name=TOKENIZER, index_option="freq")
    builder.add_integer_field("row", fast=True)
    return builder.build()


class Tokenizer:
    """Turns passages and queries into index terms: folded runs of letters and digits, or pairs of characters.

    tantivy does the work in machine code. What it cannot do is done before, in texts that need it.

    Args:
        settings: Settings of the ranking.

    >>> Tokenizer(BM25Settings(stem=False)).query("IT of the U.S.A., 10,000 CAFÉS, 北京市")
    ['usa', '10000', 'cafes', '北京', '京市', '北京市']
    """

    def __init__(self, settings: BM25Settings) -> None:
        self._folds = settings.tokenization > 1
        self._one_field = settings.one_field
        self.analyzer = make_analyzer(settings.stem, folds=self._folds)
        self._words = make_analyzer(stem=False, folds=self._folds)
        self._of_queries = make_analyzer(settings.stem, settings.drop_stop_words, folds=self._folds)

    def fields(self, passage: Passage) -> tuple[str, str]:
        """Return what is indexed as title and as text of a passage, in the order of `FIELDS`."""
        if self._one_field:
            return "", f"{passage.title}\n{passage.text}"
        return passage.title, passage.text

    def prepare(self, text: str) -> str:
        """Return the text of a passage as `analyzer` takes it."""
        return _prepared(text, singles=True) if self._folds else encodable(text)

    def passage(self, text: str) -> list[str]:
        """Return the terms of a passage in their order."""
        return self.analyzer.analyze(self.prepare(text))

    def unstemmed(self, text: str) -> list[str]:
        """Return the words of a passage, of which `stem` makes its terms."""
        found = _plain_words(text) if self._folds else None
        return self._words.analyze(self.prepare(text)) if found is None else found

    def stem(self, word: str) -> str:
        """Return the term of a word of `unstemmed`."""
        found = self.analyzer.analyze(word)
        return found[0] if len(found) == 1 else word

    def query(self, text: str) -> list[str]:
        """Return the terms of a query in their order; stop words are kept where there is nothing else."""
        text = _prepared(text, singles=False) if self._folds else encodable(text)
        return self._of_queries.analyze(text) or self.analyzer.analyze(text)


def make_analyzer(stem: bool, drop_stop_words: bool = False, *, folds: bool = True) -> tantivy.TextAnalyzer:
    """Return tantivy's part of a `Tokenizer`."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    builder = builder.filter(tantivy.Filter.remove_long(_MAX_TERM_BYTES))
    if folds:
        builder = builder.filter(tantivy.Filter.ascii_fold())
    builder = builder.filter(tantivy.Filter.lowercase())
    if drop_stop_words:
        builder = builder.filter(tantivy.Filter.stopword("english"))
    if stem:
        builder = builder.filter(tantivy.Filter.stemmer("english"))
    return builder.build()


def encodable(text: str) -> str:
    """Replace lone surrogates, which a str may hold and UTF-8 may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


# Both begin with the character itself, which `re` finds without trying every place.
_THOUSANDS_COMMA = re.compile(r",(?<=[0-9],)(?=[0-9]{3}(?![0-9]))")
_ABBREVIATION_DOT = re.compile(r"\.(?<=\b[A-Za-z]\.)(?=[A-Za-z]\b)")


def _prepared(text: str, *, singles: bool) -> str:
    """Fold what tantivy does not, pair the characters of unspaced scripts, join `10,000` and `U.S.A.`."""
    if not (text.isascii() or _is_common(text)):
        text = searchable(text, singles=singles)
    return _joined(text)


def _joined(text: str) -> str:
    if "," in text:
        text = _THOUSANDS_COMMA.sub("", text)
    return _ABBREVIATION_DOT.sub("", text) if "." in text else text


def _is_common(text: str) -> bool:
    """Whether all characters are among those which need no more than tantivy does; most English texts are."""
    try:
        codecs.charmap_encode(text, "strict", _COMMON)
    except UnicodeEncodeError:
        return False
    return True


def _plain_words(text: str) -> list[str] | None:
    """Return what tantivy makes of a text, several times as fast; None unless a character is one letter."""
    try:
        data = _encoded(text)
        kinds = data.translate(_KINDS)
        if b"0,000" in kinds or b"a.a" in kinds:
            data = _encoded(_joined(text))
    except UnicodeEncodeError:
        return None
    plain = data.translate(_PLAIN)
    # A letter such as ß becomes two, which translating cannot do.
    if _SEVERAL_LETTERS in plain:
        return None
    # tantivy drops long words; a run of letters shows in every eighth of them.
    if _LONG_RUN in plain[::8].translate(_INK):
        return None
    return plain.decode("ascii").split()


def _encoded(text: str) -> bytes:
    return text.encode("ascii") if text.isascii() else codecs.charmap_encode(text, "strict", _COMMON)[0]


def _plain_table() -> bytes:
    """Return what each byte of `_COMMON` becomes: a small letter, a digit, a space, or `_SEVERAL_LETTERS`."""
    analyze = make_analyzer(stem=False).analyze
    found = ["".join(analyze(character)) or " " for character in _common_characters()]
    return "".join(
        letters if len(letters) == 1 and letters.isascii() else _SEVERAL_LETTERS.decode() for letters in found
    ).encode()


def _common_characters() -> str:
    """Return ASCII and frequent other characters of English texts that tantivy folds as `searchable` does."""
    analyze = make_analyzer(stem=False).analyze
    letters = bytes(range(192, 256)).decode("latin-1") + "āēīōūăąćčęěğıłńňőœřśşšșťțžŁŚŠŞŽİČ"
    signs = "–—‘’“”…•°·×£€§«»¡¿−″′→" + bytes(range(128, 192)).decode("cp1252", "ignore")
    same = [
        letter
        for letter in dict.fromkeys(letters + signs)
        if analyze(f"a{letter}b") == analyze(searchable(f"a{letter}b", singles=True))
    ]
    return "".join([*map(chr, range(128)), *same[:128]]).ljust(256, "\ufffe")


_COMMON = codecs.charmap_build(_common_characters())
_SEVERAL_LETTERS = b"\0"
_PLAIN = _plain_table()
# Nothing is joined where no dot stands between letters and no comma between digits.
_KINDS = bytes(
    ord("a" if sign.isalpha() else "0" if sign.isdigit() else sign if sign in ",." else " ")
    for sign in map(chr, range(128))
).ljust(256)
_INK = bytes(32 if byte == 32 else 120 for byte in range(256))
_LONG_RUN = b"x" * (_MAX_TERM_BYTES // 2 // 8)
