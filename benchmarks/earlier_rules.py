"""The rules of a question as they were before attacks were answered, to tell what is refused since then."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ssp_env.game import Game, GameConfig
from ssp_env.game.events import QuestionProposed
from ssp_env.game.passage import Passage
from ssp_env.game.rules import RULE_CODES, similarity
from ssp_env.scoring import normalize_answer
from ssp_env.scoring.words import fold

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def earlier_violation(
    question: str,
    golds: Sequence[str],
    queries: Sequence[str],
    evidence: Sequence[Passage],
    config: GameConfig,
    hops: int = 1,
    earlier: Iterable[str] = (),
    fruitless: int = 0,
) -> str | None:
    """Do what `ssp_env.game.rules.first_violation` does, with the rules as they were.

    Words were counted between white space; a leak was a name between ASCII separators; nothing was said of
    the reader's documents; a search was another one if it had other words or another order of them, and
    counted whether it found anything or not. `fruitless` has no effect.

    >>> earlier_violation("Who is Tavor–born?", ["Tavor"], ["a b", "b a"], [], GameConfig(min_searches=0))
    'too_few_words'
    """
    searched = [_spaced(query) for query in queries]
    wanted = {"off": True, "at_least": len(queries) >= hops, "exact": len(queries) == hops}
    broken = {
        "too_short": len(question) < config.min_question_chars,
        "too_long": len(question) > config.max_question_chars,
        "too_few_words": len(question.split()) < config.min_question_words,
        "answer_leak": _names(question, golds),
        "no_evidence": config.min_searches > 0 and not evidence,
        "too_few_searches": len(queries) < config.min_searches,
        "repeated_search": len(set(searched)) < len(searched),
        "answer_in_search": not config.answer_in_search and any(_names(query, golds) for query in queries),
        "wrong_hop_count": not wanted[config.hop_check],
        "near_duplicate": config.max_similarity is not None
        and any(similarity(question, other) > config.max_similarity for other in earlier),
    }
    return next((code for code in RULE_CODES if broken.get(code)), None)


def newly_refused(game: Game) -> str | None:
    """Return the code of the rule that refused a question which the earlier rules let pass, or None."""
    code = next((event.code for event in game.events if isinstance(event, QuestionProposed)), "")
    if not code:
        return None
    arguments = (game.question, game.golds, game.queries, game.evidence, game.config, game.task.hops)
    return None if earlier_violation(*arguments, game.earlier) else code


def _names(text: str, golds: Sequence[str]) -> bool:
    text, golds = fold(text), [fold(gold) for gold in golds]
    for clean in (normalize_answer, _split_at_punctuation):
        words = f" {clean(text)} "
        if any(f" {name} " in words for name in map(clean, golds) if name):
            return True
    return False


def _split_at_punctuation(text: str) -> str:
    return normalize_answer(_BETWEEN_WORDS.sub(" ", text))


def _spaced(query: str) -> str:
    return " ".join(_BETWEEN_WORDS.sub(" ", fold(query)).split())
