"""The names of the entities of a prose world, their aliases, and their forms inside a sentence."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ssp_env.worlds.config import NAMES, WorldConfig
from ssp_env.worlds.graph import WORLD_VERSION
from ssp_env.worlds.hashing import below, draw, permute, text_key
from ssp_env.worlds.schema import Layout

# Spelling of invented words: consonants and vowels alternate, so different codes give different words.
_ONSETS, _VOWELS, _MIDDLES, _ENDINGS, _WOMEN, _MEN = (
    " ".join(NAMES[part]).split() for part in ("onsets", "vowels", "middles", "endings", "women", "men")
)

ENDING_BITS = 5 + 5
"""Bits of a code that choose the ending and the onset of an invented word."""
SYLLABLE_BITS = 3 + 5
"""Bits of a code that choose one middle syllable."""


def invented_word(code: int, syllables: int) -> str:
    """Spell a code of `ENDING_BITS + syllables * SYLLABLE_BITS` bits as a word, one-to-one.

    >>> invented_word(0, syllables=1), invented_word(2**18 - 1, syllables=1)
    ('Babath', 'Zianvaven')
    """
    middle = ""
    for _ in range(syllables):
        code, place = divmod(code, len(_MIDDLES))
        code, vowel = divmod(code, len(_VOWELS))
        middle = _VOWELS[vowel] + _MIDDLES[place] + middle
    onset, ending = divmod(code, len(_ENDINGS))
    return (_ONSETS[onset] + middle + _ENDINGS[ending]).capitalize()


GIVEN_NAMES = 1024
"""Number of given names; the first half are names of women."""


def given_name(code: int) -> str:
    """Return one of the `GIVEN_NAMES` given names.

    >>> given_name(0), given_name(1023)
    ('Bavela', 'Zirmund')
    """
    male, code = divmod(code, GIVEN_NAMES // 2)
    place, onset = divmod(code, len(_ONSETS))
    return (_ONSETS[onset] + (_MEN if male else _WOMEN)[place]).capitalize()


_CACHED_WORDS = 16_384
_FAMILY = 3
_GIVEN_STEP = 389
_STYLE = text_key("style")
_GIVEN = text_key("given")

# Per type: the name, then its alias, each with the invented word in braces; an entity has one of the styles.
_STYLES: dict[str, list[tuple[str, str]]] = NAMES["styles"]
_WITH_ARTICLE = ("river", "museum", "bridge", "battle", "award")
_ALSO_ITS_WORD = (*_WITH_ARTICLE, "university", "company")


class Pronouns(NamedTuple):
    """Subject, possessive and object pronoun."""

    subject: str
    possessive: str
    object: str


class ProseNames:
    """Names by random access: a keyed one-to-one map takes an entity number to an invented word.

    The lowest bit of every word's code is the split, so no training world shares a word with a held-out
    one (given names aside). Up to three people share a surname.
    """

    def __init__(self, config: WorldConfig, layout: Layout) -> None:
        """Choose the shortest words with which every entity and every surname has a word of its own."""
        self._layout = layout
        self._key = text_key("names", WORLD_VERSION, config.split, config.index)
        self._heldout = config.split == "heldout"
        self._surnames = -(-layout.count("person") // _FAMILY)
        self._surnames_from = config.entities
        self._bits, self._syllables = ENDING_BITS + SYLLABLE_BITS - 1, 1
        while 1 << self._bits < config.entities + self._surnames:
            self._bits, self._syllables = self._bits + SYLLABLE_BITS, self._syllables + 1
        # A passage names its entity several times, and famous entities are named in many passages.
        self._word = lru_cache(maxsize=_CACHED_WORDS)(self._find_word)

    def _find_word(self, number: int) -> str:
        number = permute(self._key, (self._bits + 1) // 2, number)
        while number >> self._bits:  # walk on until inside: still one-to-one
            number = permute(self._key, (self._bits + 1) // 2, number)
        return invented_word(2 * number + self._heldout, self._syllables)

    def _given(self, rank: int) -> int:
        """Return the code of a person's given name; no two of a family have the same."""
        member, family = divmod(rank, self._surnames)
        return (below(draw(self._key, _GIVEN, family), GIVEN_NAMES) + member * _GIVEN_STEP) % GIVEN_NAMES

    def surname(self, rank: int) -> str:
        """Return the surname of the `rank`-th person."""
        return self._word(self._surnames_from + rank % self._surnames)

    def _type(self, index: int) -> str:
        return self._layout.locate(index)[0].name

    def _style(self, index: int, type_name: str) -> tuple[str, str]:
        styles = _STYLES[type_name]
        return styles[below(draw(self._key, _STYLE, index), len(styles))]

    def name(self, index: int) -> str:
        """Return the name of an entity, unique in its world."""
        kind, rank = self._layout.locate(index)
        if kind.name == "person":
            return f"{given_name(self._given(rank))} {self.surname(rank)}"
        return self._style(index, kind.name)[0].format(self._word(index))

    def aliases(self, index: int) -> tuple[str, ...]:
        """Return other names of an entity: none shared with another entity."""
        kind, rank = self._layout.locate(index)
        if kind.name == "person":
            initial = chr(ord("A") + below(draw(self._key, _STYLE, index), 26))
            return (f"{given_name(self._given(rank))} {initial}. {self.surname(rank)}",)
        word = self._word(index)
        alias = self._style(index, kind.name)[1].format(word)
        return tuple(name for name in (alias, word if kind.name in _ALSO_ITS_WORD else "") if name)

    def mention(self, index: int) -> str:
        """Return the name as it stands inside a sentence: with its article, a mineral in lower case."""
        name = self.name(index)
        return name.lower() if self._type(index) == "mineral" else self._with_article(name, index)

    def alias_mention(self, index: int) -> str | None:
        """Return an alias as it stands inside a sentence; None if there is none."""
        aliases = self.aliases(index)
        return self._with_article(aliases[0], index) if aliases else None

    def _with_article(self, name: str, index: int) -> str:
        article = self._type(index) in _WITH_ARTICLE or name.startswith(
            ("University of", "Republic of", "Land of")
        )
        return f"the {name}" if article else name

    def pronouns(self, index: int) -> Pronouns:
        """Return the pronouns for an entity."""
        kind, rank = self._layout.locate(index)
        if kind.name != "person":
            return Pronouns("it", "its", "it")
        female = self._given(rank) < GIVEN_NAMES // 2
        return Pronouns("she", "her", "her") if female else Pronouns("he", "his", "him")
