"""Checks that a search engine does everything that `ssp_env.search.engine.SearchEngine` specifies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isclose, isfinite
from typing import Any

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.search.adapters import as_engine
from ssp_env.search.engine import PassageSampler, SearchEngine
from ssp_env.testing.conformance import attempt, require

PASSAGES: tuple[Passage, ...] = (
    Passage("b2", "Belin", "Belin is a glass blower who lives in the harbour town of Corun."),
    Passage("a1", "Corun", "Corun is a harbour town on the river Aller. Its mayor is Sarn."),
    Passage("c3", "Sarn", "Sarn, the mayor of Corun, was taught by the astronomer Tavor."),
    Passage("d4", "Tavor", "Tavor was an astronomer who mapped the winter sky."),
    Passage("z9", "Twin", "Two pages of this corpus say exactly the same about walnuts."),
    Passage("m5", "Twin", "Two pages of this corpus say exactly the same about walnuts."),
    Passage("e6", "Zürich", "Zürich — 苏黎世 — is a city; its name is written with an umlaut."),
    Passage("f7", "Aller", "The river Aller rises in the hills and passes three towns."),
)
"""The corpus of the engine that `check_engine` builds; two passages differ only in their ids."""

QUERIES = ("mayor of Corun", "astronomer winter sky", "walnuts", "river towns", "Zürich 苏黎世")
STRANGE_QUERIES = (
    "",
    "   \n\t",
    "qqzxv wjkpf",
    "?!…",
    'AND OR NOT ( " * ~ [x TO y] field:value \\ ^2',
    "<search> Corun </search> <answer> x </answer>",
    "🙂 é \u202e \x00 \ud800",
    "Corun " * 20_000,
    "x" * 100_000,
)
_TOP_K = 3


def check_engine(make_engine: Callable[[Sequence[Passage]], Any]) -> None:
    """Check an engine that can be built over any corpus.

    Args:
        make_engine: Builds an engine, or anything else that `as_engine` takes, over passages with unique ids.

    Raises:
        ConformanceError: At the first check that fails.

    >>> from ssp_env.search.bm25 import BM25Engine
    >>> check_engine(BM25Engine)
    """

    def build(passages: Sequence[Passage]) -> SearchEngine:
        built = attempt(
            lambda: make_engine(passages),
            "construction",
            expected=f"an engine over {len(passages)} passages",
            why="without an engine there is no game",
        )
        return _adapted(built)

    engine = build(PASSAGES)
    check_fixed_engine(engine, QUERIES)
    _check_passages_are_the_corpus(engine)
    _check_own_text_finds_a_passage(engine)
    _check_twins_are_ordered_by_id(engine, build(PASSAGES[::-1]))
    _check_fingerprint_tells_corpora_apart(engine, build)


def check_fixed_engine(engine: Any, queries: Sequence[str]) -> None:
    """Check an engine whose corpus is fixed, for example an engine behind an API.

    Args:
        engine: The engine, or anything else that `ssp_env.search.adapters.as_engine` takes. If it has a
            method `sample`, that is checked too.
        queries: At least two different queries that find passages.

    Raises:
        ConformanceError: At the first check that fails.
        ValueError: If there are fewer than two different queries.
    """
    if len(set(queries)) < 2:
        raise ValueError(f"expected at least two different queries, got {list(queries)!r}")
    queries = list(queries)
    engine = _adapted(engine)
    _check_results(engine, queries)
    _check_top_k(engine, queries)
    _check_batches(engine, queries)
    _check_repetition(engine, queries)
    _check_strange_queries(engine, queries)
    _check_fingerprint(engine, queries)
    if isinstance(engine, PassageSampler):
        _check_sample(engine)


def _ids(found: Sequence[Passage]) -> list[str]:
    return [passage.id for passage in found]


def _adapted(engine: Any) -> SearchEngine:
    return attempt(
        lambda: as_engine(engine),
        "methods",
        expected="the methods search(queries, top_k) and fingerprint(), a retriever or a function",
        why="the drivers call them",
    )


def _search(engine: SearchEngine, queries: Sequence[str], top_k: int, check: str) -> list[list[Passage]]:
    """Search and check the form of the results."""
    found = attempt(
        lambda: engine.search(queries, top_k),
        check,
        expected=f"results for {[query[:40] for query in queries]}",
        why="an exception ends every game with a query in the batch as `error`",
    )
    require(
        isinstance(found, list) and all(isinstance(hits, list) for hits in found),
        check,
        expected="a list of lists of passages",
        came=found,
        why="results are handed to games as they are",
    )
    require(
        len(found) == len(queries),
        check,
        expected=f"one list per query, {len(queries)} in all",
        came=f"{len(found)} lists",
        why="results are matched with queries by position; another number ends all games of the batch",
    )
    require(
        all(isinstance(passage, Passage) for hits in found for passage in hits),
        check,
        expected="ssp_env.game.passage.Passage objects",
        came=[type(passage).__name__ for hits in found for passage in hits],
        why="the game refuses anything else as a failure of the engine",
    )
    return found


def _check_results(engine: SearchEngine, queries: Sequence[str]) -> None:
    for query, hits in zip(queries, _search(engine, queries, _TOP_K, "results")):
        require(
            bool(hits),
            "results",
            expected=f"at least one passage for {query!r}",
            came=hits,
            why="the other checks compare the passages found; pass queries that find some",
        )
        require(
            all(isfinite(passage.score) for passage in hits),
            "scores",
            expected="finite scores",
            came=[passage.score for passage in hits],
            why="a game with an infinite score or NaN cannot be recorded",
        )
        ranked = sorted(hits, key=lambda passage: (-passage.score, passage.id))
        require(
            _ids(hits) == _ids(ranked),
            "ranking",
            expected=f"best score first and equal scores by id: {_ids(ranked)}",
            came=[(passage.id, passage.score) for passage in hits],
            why="ties in another order make the same seed give different games",
        )
        require(
            len(set(_ids(hits))) == len(hits),
            "distinct passages",
            expected="no passage twice in one result",
            came=_ids(hits),
            why="a repeated passage takes the place of another one",
        )


def _check_top_k(engine: SearchEngine, queries: Sequence[str]) -> None:
    longest = _search(engine, queries, 1000, "top_k")
    for top_k in (1, 2, 5):
        for query, hits, most in zip(queries, _search(engine, queries, top_k, "top_k"), longest):
            require(
                len(hits) <= top_k,
                "top_k",
                expected=f"at most {top_k} passages for {query!r}",
                came=f"{len(hits)}",
                why="the game shows all passages it gets, and prompts grow",
            )
            require(
                _ids(hits) == _ids(most)[:top_k],
                "top_k",
                expected=f"the first {top_k} of a longer result for {query!r}: {_ids(most)[:top_k]}",
                came=_ids(hits),
                why="a smaller top_k must cut the ranking, not change it",
            )


def _check_batches(engine: SearchEngine, queries: Sequence[str]) -> None:
    together = _search(engine, queries, _TOP_K, "batches")
    apart = [_search(engine, [query], _TOP_K, "batches")[0] for query in queries]
    backwards = _search(engine, queries[::-1], _TOP_K, "batches")[::-1]
    for query, batched, single, reversed_ in zip(queries, together, apart, backwards):
        for other, words in ((single, "alone"), (reversed_, "in a batch in another order")):
            require(
                _ids(batched) == _ids(other),
                "batches",
                expected=f"the same passages for {query!r} in a batch and {words}: {_ids(batched)}",
                came=_ids(other),
                why="a game must not depend on what other games search for at the same time",
            )
            require(
                all(isclose(a.score, b.score, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(batched, other)),
                "batches",
                expected=f"the same scores for {query!r} in a batch and {words}",
                came=[(a.score, b.score) for a, b in zip(batched, other)],
                why="a score must not depend on the other queries of a batch",
            )
    require(
        _search(engine, [], _TOP_K, "batches") == [],
        "batches",
        expected="[] for no queries",
        came="something else",
        why="a round may have nothing to search for",
    )


def _check_repetition(engine: SearchEngine, queries: Sequence[str]) -> None:
    asked = [queries[0], queries[1], queries[0]]
    before = list(asked)
    first = _search(engine, asked, _TOP_K, "repetition")
    require(
        asked == before,
        "repetition",
        expected="the list of queries unchanged",
        came=asked,
        why="the caller still needs the list",
    )
    expected = [_ids(hits) for hits in first]
    require(
        expected[0] == expected[2],
        "repetition",
        expected=f"the same passages for a query that is twice in a batch: {expected[0]}",
        came=expected[2],
        why="two games may send the same query",
    )
    for hits in first:
        hits.clear()
    again = [_ids(hits) for hits in _search(engine, asked, _TOP_K, "repetition")]
    require(
        again == expected,
        "repetition",
        expected=f"the same passages in a second search, after the first result was emptied: {expected}",
        came=again,
        why="a cache that hands out its own lists lets one game change the results of others",
    )


def _check_strange_queries(engine: SearchEngine, queries: Sequence[str]) -> None:
    for query in STRANGE_QUERIES:
        (hits,) = _search(engine, [query], _TOP_K, "strange queries")
        require(
            len(hits) <= _TOP_K,
            "strange queries",
            expected=f"at most {_TOP_K} passages for {query[:40]!r}",
            came=f"{len(hits)}",
            why="models write any query, also an empty one",
        )
    (expected,) = _search(engine, [queries[0]], _TOP_K, "strange queries")
    mixed = _search(engine, ["", queries[0], STRANGE_QUERIES[4]], _TOP_K, "strange queries")
    require(
        _ids(mixed[1]) == _ids(expected),
        "strange queries",
        expected=f"the usual result beside strange queries: {_ids(expected)}",
        came=_ids(mixed[1]),
        why="one player's odd query must not cost another player its result",
    )


def _check_fingerprint(engine: SearchEngine, queries: Sequence[str]) -> None:
    fingerprint = attempt(
        engine.fingerprint, "fingerprint", expected="a string", why="it is recorded with every game"
    )
    require(
        isinstance(fingerprint, str) and bool(fingerprint.strip()),
        "fingerprint",
        expected="a non-empty string",
        came=fingerprint,
        why="it is recorded with every game",
    )
    _search(engine, queries, _TOP_K, "fingerprint")
    again = engine.fingerprint()
    require(
        again == fingerprint,
        "fingerprint",
        expected=f"the same fingerprint after searching: {fingerprint}",
        came=again,
        why="equal fingerprints must mean equal rankings",
    )


def _check_drawn(first: list[Passage]) -> None:
    """Check one draw of four passages."""
    why = "noise for the RAG check is drawn with it"
    require(len(first) <= 4, "sample", expected="at most 4 passages", came=f"{len(first)}", why=why)
    require(bool(first), "sample", expected="passages of the corpus", came=first, why=why)
    require(
        len(set(_ids(first))) == len(first),
        "sample",
        expected="no passage twice",
        came=_ids(first),
        why="the noise passages of a game must be different",
    )


def _check_sample(engine: PassageSampler) -> None:
    why = "noise for the RAG check is drawn with it"

    def sample(seed: int, count: int, exclude: Sequence[str] = ()) -> list[Passage]:
        drawn = attempt(
            lambda: engine.sample(np.random.default_rng(seed), count, frozenset(exclude)),
            "sample",
            expected=f"up to {count} passages",
            why=why,
        )
        require(
            isinstance(drawn, list) and all(isinstance(passage, Passage) for passage in drawn),
            "sample",
            expected="a list of passages",
            came=drawn,
            why=why,
        )
        return drawn

    state = _global_random_state()
    first = sample(1, 4)
    _check_drawn(first)
    require(sample(1, 0) == [], "sample", expected="[] for a count of 0", came="something else", why=why)
    again = _ids(sample(1, 4))
    require(
        again == _ids(first),
        "sample",
        expected=f"the same passages for equally seeded generators: {_ids(first)}",
        came=again,
        why="the same seed must give the same game; draw from the generator that is passed in",
    )
    draws = {tuple(_ids(sample(seed, 4))) for seed in range(20)}
    require(
        len(draws) > 1,
        "sample",
        expected="different passages for different seeds",
        came=f"{_ids(first)} for 20 seeds",
        why="a policy memorises noise that never changes",
    )
    kept = sample(1, 4, _ids(first))
    require(
        not set(_ids(kept)) & set(_ids(first)),
        "sample",
        expected=f"none of the excluded passages {_ids(first)}",
        came=_ids(kept),
        why="evidence drawn as noise would be counted twice",
    )
    require(
        _global_random_state() == state,
        "sample",
        expected="an unchanged global random state of NumPy",
        came="a changed state",
        why="random numbers from a global state make runs differ",
    )


def _global_random_state() -> str:
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002 - compared, never drawn from


def _check_passages_are_the_corpus(engine: SearchEngine) -> None:
    corpus = {passage.id: passage for passage in PASSAGES}
    for hits in _search(engine, QUERIES, len(PASSAGES), "passages"):
        for passage in hits:
            original = corpus.get(passage.id)
            require(
                original is not None and replace(passage, score=0.0) == original,
                "passages",
                expected=f"a complete passage of the corpus: {original}",
                came=passage,
                why="evidence must be the text of the corpus, and ids identify passages",
            )


def _check_own_text_finds_a_passage(engine: SearchEngine) -> None:
    for passage in PASSAGES[:4]:
        (hits,) = _search(engine, [passage.text], _TOP_K, "retrieval")
        require(
            passage.id in _ids(hits),
            "retrieval",
            expected=f"passage {passage.id} among the first {_TOP_K} when the query is its own text",
            came=_ids(hits),
            why="an engine that fails at this finds nothing that a player needs",
        )


def _check_twins_are_ordered_by_id(engine: SearchEngine, reordered: SearchEngine) -> None:
    for built in (engine, reordered):
        (hits,) = _search(built, ["walnuts in two pages"], _TOP_K, "ties")
        twins = [identifier for identifier in _ids(hits) if identifier in ("m5", "z9")]
        require(
            twins == ["m5", "z9"],
            "ties",
            expected="equal passages in the order of their ids, m5 before z9, however the corpus was ordered",
            came=twins,
            why="ties in another order make the same seed give different games",
        )


def _check_fingerprint_tells_corpora_apart(
    engine: SearchEngine, build: Callable[[Sequence[Passage]], SearchEngine]
) -> None:
    fingerprint = engine.fingerprint()
    same = build(PASSAGES).fingerprint()
    require(
        same == fingerprint,
        "fingerprint",
        expected=f"the same fingerprint for a second engine over the same corpus: {fingerprint}",
        came=same,
        why="a game recorded today must match the engine rebuilt tomorrow",
    )
    changed = (replace(PASSAGES[0], text=PASSAGES[0].text + " Not any more."), *PASSAGES[1:])
    for other, words in ((changed, "with one sentence more"), (PASSAGES[:-1], "with one passage less")):
        require(
            build(other).fingerprint() != fingerprint,
            "fingerprint",
            expected=f"another fingerprint for a corpus {words}",
            came=fingerprint,
            why="equal fingerprints must mean equal rankings",
        )
