"""Questions that give the answer away in disguise, by what hides it."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping, Sequence

ANSWER = "Tavor"


def _joined(separator: str, word: str = ANSWER) -> str:
    return separator.join(word)


def _shifted(first_upper: int, first_lower: int, word: str = ANSWER) -> str:
    """Letters of another block of Unicode, which begins with these letters."""
    firsts = {True: (first_upper, "A"), False: (first_lower, "a")}
    return "".join(
        chr(firsts[sign.isupper()][0] + ord(sign) - ord(firsts[sign.isupper()][1])) for sign in word
    )


def _mapped(letters: str, word: str = ANSWER) -> str:
    """Letters that stand for those of the word, one for each."""
    return "".join(letters.split()) if len("".join(letters.split())) == len(word) else letters


SEPARATORS: Mapping[str, str] = {
    "hyphens": "-",
    "full stops": ".",
    "underscores": "_",
    "slashes": "/",
    "bars": "|",
    "tildes": "~",
    "asterisks": "*",
    "plus signs": "+",
    "equals signs": "=",
    "colons": ":",
    "commas": ",",
    "quotes": "'",
    "typographic apostrophes": "\u2019",
    "en dashes": "\u2013",
    "em dashes": "\u2014",
    "middle dots": "\u00b7",
    "bullets": "\u2022",
    "ellipses": "\u2026",
    "emoji": "\U0001f600",
    "hearts": "\u2665",
    "degree signs": "\u00b0",
    "ideographic full stops": "\u3002",
    "non-breaking hyphens": "\u2011",
    "minus signs": "\u2212",
    "zero-width spaces": "\u200b",
    "word joiners": "\u2060",
    "soft hyphens": "\u00ad",
    "joiners": "\u200d",
    "variation selectors": "\ufe0f",
    "control characters": "\x01",
    "right-to-left marks": "\u200f",
    "Hangul fillers": "\u3164",
    "braille blanks": "\u2800",
    "tags": "\U000e0041",
    "spaces": " ",
    "double spaces": "  ",
    "tabs": "\t",
    "no-break spaces": "\u00a0",
    "line breaks": "\n",
    "combining graphemes": "\u034f",
    "acutes": "\u0301",
    "extended marks": "\u1ab0",
    "symbol marks": "\u20d0",
    "half marks": "\ufe20",
    "Hebrew points": "\u05b0",
    "Arabic marks": "\u064b",
}

SPELLINGS: Mapping[str, str] = {
    "as it is": ANSWER,
    "capitals": "TAVOR",
    "quotes": "\u201cTavor\u201d",
    "possessive": "Tavor's",
    "typographic possessive": "Tavor\u2019s",
    "brackets": "(Tavor)",
    "bold": "**Tavor**",
    "full width": _shifted(0xFF21, 0xFF41),
    "bold letters of mathematics": _shifted(0x1D400, 0x1D41A),
    "monospace letters of mathematics": _shifted(0x1D670, 0x1D68A),
    "circled": _shifted(0x24B6, 0x24D0),
    "in parentheses, letter by letter": _shifted(0x249C, 0x249C),
    "squared": _shifted(0x1F130, 0x1F130, "TAVOR"),
    "dark squared": _shifted(0x1F170, 0x1F170, "TAVOR"),
    "regional indicators": _shifted(0x1F1E6, 0x1F1E6, "TAVOR"),
    "small capitals": "\u1d1b\u1d00\u1d20\u1d0f\u0280",
    "superscript": "\u1d40\u1d43\u1d5b\u1d52\u02b3",
    "accents": "T\u00e0v\u00f3r",
    "stroked letters": "Tav\u00f8r",
    "more stroked letters": "\u0166av\u00f8\u024d",
    "both cleanings": "T-a-v-o-r/who",
    "in a compound": "Tavor-born",
    "Cyrillic letters": "T\u0430v\u043er",
    "Greek letters": "\u03a4av\u03bfr",
    "digits for letters": "T4v0r",
    "entities": "".join(f"&#{ord(sign)};" for sign in ANSWER),
    "percent signs": "".join(f"%{ord(sign):02x}" for sign in ANSWER),
    "JSON escapes": "".join(f"\\u{ord(sign):04x}" for sign in ANSWER),
    "backwards": ANSWER[::-1],
    "rot13": codecs.encode(ANSWER, "rot13"),
    "base64": base64.b64encode(ANSWER.encode()).decode(),
    "hexadecimal digits": ANSWER.encode().hex(),
    "Morse": "- .- ...- --- .-.",
    "spelling alphabet": "Tango Alfa Victor Oscar Romeo",
    "plural": "Tavors",
    "adjective": "Tavorian",
    "first letters": "the autumn victory of Ruvia",
    "in syllables": "Ta vor",
}

OTHER_ANSWERS: Mapping[str, tuple[str, Sequence[str], str]] = {
    "alias": (ANSWER, ("City of Owls",), "the city of owls"),
    "surname alone": ("Ada Tavor", (), "Tavor"),
    "initial and surname": ("Ada Tavor", (), "A. Tavor"),
    "names the other way round": ("Ada Tavor", (), "Tavor, Ada"),
    "number with a comma": ("2019", (), "2,019"),
    "number in other digits": ("2019", (), "\u0662\u0660\u0661\u0669"),
    "number in words": ("2019", (), "two thousand and nineteen"),
    "number in Roman digits": ("2019", (), "MMXIX"),
    "Chinese without spaces": ("\u6771\u4eac", (), "\u65e5\u672c\u306e\u6771\u4eac\u306b\u3044\u308b"),
    "Thai without spaces": (
        "\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e",
        (),
        "\u0e17\u0e35\u0e48\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e\u0e21\u0e35",
    ),
    "Arabic with marks": ("\u0645\u062d\u0645\u062f", (), "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f"),
    "Turkish capital": ("Izmir", (), "\u0130zmir"),
    "sharp s": ("Gro\u00dfe", (), "GROSSE"),
    "ligature": ("office", (), "o\ufb03ce"),
    "abbreviation": ("USA", (), "U.S.A."),
    "translation": ("London", (), "Londres"),
}


def leaks() -> dict[str, tuple[str, Sequence[str], str]]:
    """All disguises by name: the answer, its aliases, and how the question writes it."""
    found: dict[str, tuple[str, Sequence[str], str]] = {}
    for name, separator in SEPARATORS.items():
        found[f"letters with {name}"] = (ANSWER, (), _joined(separator))
    for name, written in SPELLINGS.items():
        found[name] = (ANSWER, (), written)
    return {**found, **OTHER_ANSWERS}
