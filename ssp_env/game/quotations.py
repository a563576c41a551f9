"""Quotations: what a reader or a solver copies before its answer, held against passages word for word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from ssp_env.game.passage import Passage
from ssp_env.game.protocol import Action, Protocol
from ssp_env.scoring.words import compose, count_words, separate_characters

QuoteFault = Literal["unquoted", "misquoted"]

FACT_WORDS = 3
"""Words of a fact: the least that a quotation must have in order to count. In protocols without a tag for
quotations every word before the answer belongs to one, and each has exactly so many."""
_QUOTATION_MARKS = " \t\n\"'«»“”„‘’"


def quotations(protocol: Protocol, action: Action) -> tuple[str, ...]:
    r"""Return what a player quotes in the message that ends with its answer, each quotation once, in order.

    >>> from ssp_env.game.protocol import PROTOCOLS
    >>> def read(name, text):
    ...     return quotations(PROTOCOLS[name], PROTOCOLS[name].parse(text, "answer"))
    >>> read("default", "<quote>Sarn is a town.</quote> So it is: <answer> Sarn </answer>")
    ('Sarn is a town.',)
    >>> read("terse", "belin seat corun corun mayor tavom <answer> tavom </answer>")
    ('belin seat corun', 'corun mayor tavom')
    """
    before = action.text.rpartition(f"<{protocol.answer}>")[0]
    if protocol.quote:
        opening, closing = f"<{protocol.quote}>", f"</{protocol.quote}>"
        # Behind the last closing tag every opening tag would be searched to the end, in quadratic time.
        closed = before[: before.rfind(closing) + len(closing)] if closing in before else ""
        quoted = re.findall(f"{opening}(.*?){closing}", closed, re.DOTALL)
    else:
        words = re.sub(f"</?({'|'.join(protocol.tags)})>", " ", before).split()
        quoted = [" ".join(words[place : place + FACT_WORDS]) for place in range(0, len(words), FACT_WORDS)]
    first: dict[str, str] = {}
    for text in (one.strip(_QUOTATION_MARKS) for one in quoted):
        if text:
            first.setdefault(_comparable(protocol, text), text)
    return tuple(first.values())


def missing_quotations(
    protocol: Protocol, quoted: Sequence[str], passages: Sequence[Passage]
) -> tuple[str, ...]:
    """Return the quotations that stand in none of the passages; white space and case make no difference.

    A quotation begins and ends between two words: `Sarn is mayor` does not stand in `Alsarn is mayor`.

    Args:
        protocol: How the passages are shown; what it escapes there may be quoted in either form.
        quoted: What `quotations` returned.
        passages: What the player was shown.
    """
    texts = [_comparable(protocol, passage.text) for passage in passages]
    if protocol.quote:
        shown = "\x00".join(map(_separated, texts))
        return tuple(text for text in quoted if not _stands(_separated(_comparable(protocol, text)), shown))
    # Side by side, the end of one fact and the beginning of the next would look like a fact.
    facts = {fact for text in texts for fact in _facts(text)}
    return tuple(text for text in quoted if _comparable(protocol, text) not in facts)


def quote_fault(quoted: Sequence[str], missing: Sequence[str], least: int) -> QuoteFault | None:
    """Say what is wrong with quotations: `misquoted` if one is missing, `unquoted` if too few count.

    Args:
        quoted: What a player quoted.
        missing: Those of them that no passage holds.
        least: How many are wanted; those of fewer words than `FACT_WORDS` do not count, and neither do parts
            of others.
    """
    if missing:
        return "misquoted"
    counted: list[str] = []
    for text in sorted(map(_folded, quoted), key=len, reverse=True):
        if len(counted) == least:
            break
        if count_words(text) >= FACT_WORDS and not any(text in longer for longer in counted):
            counted.append(text)
    return "unquoted" if len(counted) < least else None


def _facts(text: str) -> list[str]:
    words = [word for word in text.split() if word != ";"]
    return [" ".join(words[place : place + FACT_WORDS]) for place in range(0, len(words), FACT_WORDS)]


def _stands(text: str, shown: str) -> bool:
    """Whether a text stands in another one and cuts no word in two."""
    place = shown.find(text)
    while place >= 0:
        if not any(_is_within_word(shown, end) for end in (place, place + len(text))):
            return True
        place = shown.find(text, place + 1)
    return False


def _is_within_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and text[place - 1 : place + 1].isalnum()


def _separated(text: str) -> str:
    # In scripts without spaces a word may end behind any character.
    return " ".join(separate_characters(text, " ").split())


def _comparable(protocol: Protocol, text: str) -> str:
    return _folded(protocol.escape(text))


def _folded(text: str) -> str:
    return " ".join(compose(text.casefold()).split())
