"""Reading a judge's reply as a verdict, or as none."""

from __future__ import annotations

import re

_VERDICT = re.compile(
    r"""[\W_]*                                              # white space, quotes, markup
        (?: (?:final[ ])? (?:verdict|judge?ment|answer|result) (?:[^\w:]|_)* : [\W_]* )?
        (?: (?P<right>correct) | (?P<wrong>wrong|incorrect|not[ ]correct) )
        [\W_]*""",
    re.IGNORECASE | re.VERBOSE,
)


def parse_verdict(text: str) -> bool | None:
    """Return True for `Correct`, False for `Wrong`, `Incorrect` or `Not correct`, and None for all else.

    The verdict must be the whole reply: case, punctuation, markup around it and a label such as
    `Verdict:` are ignored, but no other word is. None means unknown, never wrong.

    >>> [parse_verdict(reply) for reply in ("**Correct.**", "Verdict: wrong", "It is correct", "")]
    [True, False, None, None]
    """
    match = _VERDICT.fullmatch(text)
    return None if match is None else match["right"] is not None
