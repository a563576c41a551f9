"""Reading the list a reader gives when it is asked for every answer that fits."""

from __future__ import annotations

import re

from ssp_env.scoring import normalize_answer

_SEPARATOR = re.compile(r"[\n;]")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")


def listed(text: str) -> list[str]:
    r"""Split a list of answers at line breaks and semicolons, bullets removed, each answer once.

    A comma does not separate: names hold commas.

    >>> listed("1. Lisbon\n2. Porto; lisbon")
    ['Lisbon', 'Porto']
    """
    first: dict[str, str] = {}
    for part in _SEPARATOR.split(text):
        bullet = _BULLET.match(part)
        answer = part[bullet.end() if bullet else 0 :].strip()
        if answer:
            first.setdefault(normalize_answer(answer) or answer, answer)
    return list(first.values())
