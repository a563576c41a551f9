"""The cheap validity rules of a proposed question, in a fixed order, each with its own reason code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import normalize

import regex

from ssp_env.game.about_documents import is_about_documents
from ssp_env.game.config import GameConfig, HopCheck
from ssp_env.game.disguises import mentions_look_alike, unescaped
from ssp_env.game.leak_forms import names_in_form
from ssp_env.game.leaks import mentions
from ssp_env.game.passage import Passage
from ssp_env.scoring import drop_articles
from ssp_env.scoring.words import compose, count_words, fold, pair_characters

RULE_CODES = (
    *("too_short", "too_long", "too_few_words", "answer_leak", "about_documents"),
    *("no_evidence", "too_few_searches", "repeated_search", "answer_in_search", "wrong_hop_count"),
    "near_duplicate",
)
"""Reason codes of `first_violation`, in the order in which the rules are tried."""

_BETWEEN_WORDS = regex.compile(r"[\W_]+")


def first_violation(
    question: str,
    golds: Sequence[str],
    queries: Sequence[str],
    evidence: Sequence[Passage],
    config: GameConfig,
    hops: int = 1,
    earlier: Iterable[str] = (),
    fruitless: int = 0,
) -> str | None:
    """Return the code of the first rule the question breaks, or None.

    Searches and evidence are what the environment recorded, never what a transcript claims.

    Args:
        question: The proposed question, surrounding white space removed.
        golds: The answer and its aliases.
        queries: Queries the proposer had executed, in order.
        evidence: Passages they returned.
        config: Thresholds.
        hops: Number of hops asked for.
        earlier: Questions this one must differ from.
        fruitless: How many of the queries found nothing; they are no searches that `min_searches` counts.
    """
    if len(compose(fold(question))) < config.min_question_chars:
        return "too_short"
    # At once, so that nobody waits for the other rules to read a book.
    if _is_longer(question, config.max_question_chars):
        return "too_long"
    searched = [_searched_words(query) for query in queries]
    broken = {
        "too_few_words": _number_of_words(question, config) < config.min_question_words,
        "answer_leak": _names_answer(question, golds, config),
        "about_documents": config.self_contained and is_about_documents(question),
        "no_evidence": config.min_searches > 0 and not evidence,
        "too_few_searches": len(queries) - fruitless < config.min_searches,
        "repeated_search": len(set(searched)) < len(searched),
        "answer_in_search": not config.answer_in_search
        and any(_names_answer(query, golds, config) for query in queries),
        "wrong_hop_count": _misses_hops(len(queries), hops, config.hop_check),
        "near_duplicate": config.max_similarity is not None
        and any(similarity(question, other) > config.max_similarity for other in earlier),
    }
    return next((code for code in RULE_CODES if broken.get(code)), None)


def similarity(first: str, second: str) -> float:
    """Jaccard similarity of the sets of normalised words of two questions, from 0 to 1.

    In scripts without spaces, and in Korean, overlapping pairs of characters take the place of words.

    >>> similarity("Who founded Varnby?", "Who founded the Varnby?"), similarity("one two", "two three four")
    (1.0, 0.25)
    """
    words, others = map(_compared_words, (first, second))
    return len(words & others) / len(words | others) if words | others else 1.0


def _names_answer(text: str, golds: Sequence[str], config: GameConfig) -> bool:
    return any(
        mentions(read, golds)
        or mentions_look_alike(read, golds)
        or names_in_form(read, golds, config.leak_forms)
        for read in dict.fromkeys((text, unescaped(text)))
    )


def _searched_words(query: str) -> frozenset[str]:
    """What two searches must differ in: their words but for articles, in any order, each once."""
    return _compared_words(query) or frozenset(_words(query))


def _compared_words(text: str) -> frozenset[str]:
    return frozenset(pair_characters(drop_articles(" ".join(_words(text)))).split())


def _words(text: str) -> list[str]:
    words: list[str] = _BETWEEN_WORDS.sub(" ", fold(text)).split()
    return words


def _number_of_words(question: str, config: GameConfig) -> int:
    # In terse games every token is a word of the vocabulary, the question mark included.
    return len(question.split()) if config.prompts == "terse" else count_words(question)


def _is_longer(text: str, limit: int) -> bool:
    """Whether a text is longer than a limit, composed characters counted once; few have more than 3 parts."""
    return len(text) > limit and (len(text) > 3 * limit or len(normalize("NFC", text)) > limit)


def _misses_hops(searches: int, hops: int, check: HopCheck) -> bool:
    return searches != hops if check == "exact" else check == "at_least" and searches < hops
