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
from ssp_env.testing.conformance import Check

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
_WHY_SAMPLE = "noise for the RAG check is drawn with it"


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
        built = Check("construction").attempt(
            lambda: make_engine(passages),
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
    return Check("methods").attempt(
        lambda: as_engine(engine),
        expected="the methods search(queries, top_k) and fingerprint(), a retriever or a function",
        why="the drivers call them",
    )


def _search(engine: SearchEngine, queries: Sequence[str], top_k: int, name: str) -> list[list[Passage]]:
    """Search and check the form of the results, under the name of the check that needs them."""
    check = Check(name)
    found = check.attempt(
        lambda: engine.search(queries, top_k),
        expected=f"results for {[query[:40] for query in queries]}",
        why="an exception ends every game with a query in the batch as `error`",
    )
    check.require(
        isinstance(found, list) and all(isinstance(hits, list) for hits in found),
        expected="a list of lists of passages",
        came=found,
        why="results are handed to games as they are",
    )
    check.require(
        len(found) == len(queries),
        expected=f"one list per query, {len(queries)} in all",
        came=f"{len(found)} lists",
        why="results are matched with queries by position; another number ends all games of the batch",
    )
    check.require(
        all(isinstance(passage, Passage) for hits in found for passage in hits),
        expected="ssp_env.game.passage.Passage objects",
        came=[type(passage).__name__ for hits in found for passage in hits],
        why="the game refuses anything else as a failure of the engine",
    )
    return found


def _check_results(engine: SearchEngine, queries: Sequence[str]) -> None:
    for query, hits in zip(queries, _search(engine, queries, _TOP_K, "results")):
        Check("results").require(
            bool(hits),
            expected=f"at least one passage for {query!r}",
            came=hits,
            why="the other checks compare the passages found; pass queries that find some",
        )
        Check("scores").require(
            all(isfinite(passage.score) for passage in hits),
            expected="finite scores",
            came=[passage.score for passage in hits],
            why="a game with an infinite score or NaN cannot be recorded",
        )
        ranked = sorted(hits, key=lambda passage: (-passage.score, passage.id))
        Check("ranking").require(
            _ids(hits) == _ids(ranked),
            expected=f"best score first and equal scores by id: {_ids(ranked)}",
            came=[(passage.id, passage.score) for passage in hits],
            why="ties in another order make the same seed give different games",
        )
        Check("distinct passages").require(
            len(set(_ids(hits))) == len(hits),
            expected="no passage twice in one result",
            came=_ids(hits),
            why="a repeated passage takes the place of another one",
        )


def _check_top_k(engine: SearchEngine, queries: Sequence[str]) -> None:
    longest = _search(engine, queries, 1000, "top_k")
    for top_k in (1, 2, 5):
        for query, hits, most in zip(queries, _search(engine, queries, top_k, "top_k"), longest):
            Check("top_k").require(
                len(hits) <= top_k,
                expected=f"at most {top_k} passages for {query!r}",
                came=f"{len(hits)}",
                why="the game shows all passages it gets, and prompts grow",
            )
            Check("top_k").require_equal(
                _ids(hits),
                _ids(most)[:top_k],
                what=f"the first {top_k} of a longer result for {query!r}",
                why="a smaller top_k must cut the ranking, not change it",
            )


def _check_batches(engine: SearchEngine, queries: Sequence[str]) -> None:
    together = _search(engine, queries, _TOP_K, "batches")
    apart = [_search(engine, [query], _TOP_K, "batches")[0] for query in queries]
    backwards = _search(engine, queries[::-1], _TOP_K, "batches")[::-1]
    for query, batched, single, reversed_ in zip(queries, together, apart, backwards):
        for other, words in ((single, "alone"), (reversed_, "in a batch in another order")):
            Check("batches").require_equal(
                _ids(other),
                _ids(batched),
                what=f"the same passages for {query!r} in a batch and {words}",
                why="a game must not depend on what other games search for at the same time",
            )
            Check("batches").require(
                all(isclose(a.score, b.score, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(batched, other)),
                expected=f"the same scores for {query!r} in a batch and {words}",
                came=[(a.score, b.score) for a, b in zip(batched, other)],
                why="a score must not depend on the other queries of a batch",
            )
    Check("batches").require(
        _search(engine, [], _TOP_K, "batches") == [],
        expected="[] for no queries",
        came="something else",
        why="a round may have nothing to search for",
    )


def _check_repetition(engine: SearchEngine, queries: Sequence[str]) -> None:
    asked = [queries[0], queries[1], queries[0]]
    before = list(asked)
    first = _search(engine, asked, _TOP_K, "repetition")
    Check("repetition").require(
        asked == before,
        expected="the list of queries unchanged",
        came=asked,
        why="the caller still needs the list",
    )
    expected = [_ids(hits) for hits in first]
    Check("repetition").require_equal(
        expected[2],
        expected[0],
        what="the same passages for a query that is twice in a batch",
        why="two games may send the same query",
    )
    for hits in first:
        hits.clear()
    again = [_ids(hits) for hits in _search(engine, asked, _TOP_K, "repetition")]
    Check("repetition").require_equal(
        again,
        expected,
        what="the same passages in a second search, after the first result was emptied",
        why="a cache that hands out its own lists lets one game change the results of others",
    )


def _check_strange_queries(engine: SearchEngine, queries: Sequence[str]) -> None:
    for query in STRANGE_QUERIES:
        (hits,) = _search(engine, [query], _TOP_K, "strange queries")
        Check("strange queries").require(
            len(hits) <= _TOP_K,
            expected=f"at most {_TOP_K} passages for {query[:40]!r}",
            came=f"{len(hits)}",
            why="models write any query, also an empty one",
        )
    (expected,) = _search(engine, [queries[0]], _TOP_K, "strange queries")
    mixed = _search(engine, ["", queries[0], STRANGE_QUERIES[4]], _TOP_K, "strange queries")
    Check("strange queries").require_equal(
        _ids(mixed[1]),
        _ids(expected),
        what="the usual result beside strange queries",
        why="one player's odd query must not cost another player its result",
    )


def _check_fingerprint(engine: SearchEngine, queries: Sequence[str]) -> None:
    fingerprint = Check("fingerprint").attempt(
        engine.fingerprint, expected="a string", why="it is recorded with every game"
    )
    Check("fingerprint").require(
        isinstance(fingerprint, str) and bool(fingerprint.strip()),
        expected="a non-empty string",
        came=fingerprint,
        why="it is recorded with every game",
    )
    _search(engine, queries, _TOP_K, "fingerprint")
    again = engine.fingerprint()
    Check("fingerprint").require_equal(
        again,
        fingerprint,
        what="the same fingerprint after searching",
        why="equal fingerprints must mean equal rankings",
    )


def _check_drawn(first: list[Passage]) -> None:
    """Check one draw of four passages."""
    check = Check("sample")
    check.require(len(first) <= 4, expected="at most 4 passages", came=f"{len(first)}", why=_WHY_SAMPLE)
    check.require(bool(first), expected="passages of the corpus", came=first, why=_WHY_SAMPLE)
    check.require(
        len(set(_ids(first))) == len(first),
        expected="no passage twice",
        came=_ids(first),
        why="the noise passages of a game must be different",
    )


def _check_sample(engine: PassageSampler) -> None:
    check, state = Check("sample"), _global_random_state()
    first = _sample(engine, 1, 4)
    _check_drawn(first)
    check.require(
        _sample(engine, 1, 0) == [],
        expected="[] for a count of 0",
        came="something else",
        why=_WHY_SAMPLE,
    )
    check.require_equal(
        _ids(_sample(engine, 1, 4)),
        _ids(first),
        what="the same passages for equally seeded generators",
        why="the same seed must give the same game; draw from the generator that is passed in",
    )
    draws = {tuple(_ids(_sample(engine, seed, 4))) for seed in range(20)}
    check.require(
        len(draws) > 1,
        expected="different passages for different seeds",
        came=f"{_ids(first)} for 20 seeds",
        why="a policy memorises noise that never changes",
    )
    kept = _ids(_sample(engine, 1, 4, _ids(first)))
    check.require(
        not set(kept) & set(_ids(first)),
        expected=f"none of the excluded passages {_ids(first)}",
        came=kept,
        why="evidence drawn as noise would be counted twice",
    )
    check.require(
        _global_random_state() == state,
        expected="an unchanged global random state of NumPy",
        came="a changed state",
        why="random numbers from a global state make runs differ",
    )


def _sample(engine: PassageSampler, seed: int, count: int, exclude: Sequence[str] = ()) -> list[Passage]:
    drawn = Check("sample").attempt(
        lambda: engine.sample(np.random.default_rng(seed), count, frozenset(exclude)),
        expected=f"up to {count} passages",
        why=_WHY_SAMPLE,
    )
    Check("sample").require(
        isinstance(drawn, list) and all(isinstance(passage, Passage) for passage in drawn),
        expected="a list of passages",
        came=drawn,
        why=_WHY_SAMPLE,
    )
    return drawn


def _global_random_state() -> str:
    return repr(np.random.get_state(legacy=False))  # noqa: NPY002 - compared, never drawn from


def _check_passages_are_the_corpus(engine: SearchEngine) -> None:
    corpus = {passage.id: passage for passage in PASSAGES}
    for hits in _search(engine, QUERIES, len(PASSAGES), "passages"):
        for passage in hits:
            original = corpus.get(passage.id)
            Check("passages").require(
                original is not None and replace(passage, score=0.0) == original,
                expected=f"a complete passage of the corpus: {original}",
                came=passage,
                why="evidence must be the text of the corpus, and ids identify passages",
            )


def _check_own_text_finds_a_passage(engine: SearchEngine) -> None:
    for passage in PASSAGES[:4]:
        (hits,) = _search(engine, [passage.text], _TOP_K, "retrieval")
        Check("retrieval").require(
            passage.id in _ids(hits),
            expected=f"passage {passage.id} among the first {_TOP_K} when the query is its own text",
            came=_ids(hits),
            why="an engine that fails at this finds nothing that a player needs",
        )


def _check_twins_are_ordered_by_id(engine: SearchEngine, reordered: SearchEngine) -> None:
    for built in (engine, reordered):
        (hits,) = _search(built, ["walnuts in two pages"], _TOP_K, "ties")
        twins = [identifier for identifier in _ids(hits) if identifier in ("m5", "z9")]
        Check("ties").require(
            twins == ["m5", "z9"],
            expected="equal passages in the order of their ids, m5 before z9, however the corpus was ordered",
            came=twins,
            why="ties in another order make the same seed give different games",
        )


def _check_fingerprint_tells_corpora_apart(
    engine: SearchEngine, build: Callable[[Sequence[Passage]], SearchEngine]
) -> None:
    fingerprint = engine.fingerprint()
    same = build(PASSAGES).fingerprint()
    Check("fingerprint").require_equal(
        same,
        fingerprint,
        what="the same fingerprint for a second engine over the same corpus",
        why="a game recorded today must match the engine rebuilt tomorrow",
    )
    changed = (replace(PASSAGES[0], text=PASSAGES[0].text + " Not any more."), *PASSAGES[1:])
    for other, words in ((changed, "with one sentence more"), (PASSAGES[:-1], "with one passage less")):
        Check("fingerprint").require(
            build(other).fingerprint() != fingerprint,
            expected=f"another fingerprint for a corpus {words}",
            came=fingerprint,
            why="equal fingerprints must mean equal rankings",
        )
