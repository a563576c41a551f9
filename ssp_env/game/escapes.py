"""Texts with the escapes of HTML, URLs, JSON and programming languages read out."""

from __future__ import annotations

import html
import re
from urllib.parse import unquote

_CODE_POINT = re.compile(
    r"&#x0*([0-9a-f]{1,6});?|\\u\{0*([0-9a-f]{1,6})\}|(?-i:\\u)([0-9a-f]{4})|(?-i:\\U)([0-9a-f]{8})"
    r"|\\x([0-9a-f]{2})|\bU\+([0-9a-f]{4,6})|&#0*(\d{1,7});?",
    re.IGNORECASE,
)
_NAMED = re.compile(r"&[A-Za-z][A-Za-z0-9]{1,31};?")
_GREATEST = 0x10FFFF
_ROUNDS = 3


def unescaped(text: str) -> str:
    r"""Read out escapes, and up to two layers of escapes within them; texts without any are left as they are.

    They are the numeric and named references of HTML, the percent signs of URLs, and the code points of JSON,
    Python, JavaScript and Unicode.

    >>> unescaped("&#84;avor, %54avor, \\u0054avor, \\x54avor, U+0054, %2554, R&D, 5 %")
    'Tavor, Tavor, Tavor, Tavor, T, T, R&D, 5 %'
    """
    for _ in range(_ROUNDS):
        read = _read_out(text)
        if read == text:
            break
        text = read
    return text


def _read_out(text: str) -> str:
    if "%" in text:
        text = unquote(text)
    if "&" in text or "\\" in text or "+" in text:
        text = _NAMED.sub(lambda named: html.unescape(named[0]), _CODE_POINT.sub(_character, text))
    return text


def _character(escape: re.Match[str]) -> str:
    *hexadecimal, decimal = escape.groups()
    code = int(decimal) if decimal else int(next(filter(None, hexadecimal)), 16)
    return chr(code) if 0 < code <= _GREATEST else escape[0]
