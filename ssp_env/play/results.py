"""Check what players, engines and judges return, and turn their exceptions into `Failure` objects."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache, partial
from typing import TypeVar

import numpy as np

from ssp_env.game import Failure, Game, Judge, Open, Outcome
from ssp_env.game.passage import Passage, checked_passage
from ssp_env.game.requests import source_of
from ssp_env.objects import describe, faults
from ssp_env.play.players import JudgeFunction
from ssp_env.search.adapters import name_of_engine
from ssp_env.search.engine import PassageSampler, PassageStore, SearchEngine

Value = TypeVar("Value")

_log = logging.getLogger("ssp_env.play")
_DETAIL = re.compile(r"([a-z]+)(_\d+)?( for \w+)?: ([^:,]*).*", re.DOTALL)


def failure(source: str, error: Exception) -> Failure:
    """Return the `Failure` that a game gets for an exception; the traceback goes to the debug log.

    >>> failure("search for solver_0", TimeoutError("no reply")).detail
    'search for solver_0: TimeoutError: no reply'
    """
    _log.debug("%s failed", source, exc_info=error)
    return Failure(f"{source}: {describe(error)}")


def guarded(source: str, fetch: Callable[[], Value]) -> Value | Failure:
    """Call foreign code; an exception becomes a `Failure` that names `source`."""
    try:
        with faults():
            return fetch()
    except Exception as error:
        return failure(source, error)


def count_failures(outcomes: Iterable[Outcome | None]) -> dict[str, int]:
    """Count the games that ended as `error` by kind of failure, such as `search: TimeoutError`.

    Returns:
        Numbers of games by the first message of each kind, the greatest number first. All solver seats count
        as one.

    >>> from ssp_env.game import Game, Task
    >>> games = [Game(Task("Tavor")), Game(Task("Corun"))]
    >>> for game, said in zip(games, ["no reply", "still no reply"]):
    ...     game.submit(game.requests()[0].id, Failure(f"TimeoutError: {said}"))
    >>> count_failures(game.outcome for game in games)
    {'proposer: TimeoutError: no reply': 2}
    """
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome is not None and outcome.failure is not None:
            message = re.sub(r"\bsolver_\d+", "solver", outcome.failure)
            counts[first.setdefault(_kind(outcome.failure), message)] += 1
    return dict(counts.most_common())


def _kind(detail: str) -> str:
    """Return the service that failed, without the seat, and the kind of exception."""
    return _DETAIL.sub(r"\1: \4", detail)


class FailureLog:
    """Logs the first failure of each kind, such as `search: TimeoutError`, and at the end the number of each.

    The messages are warnings of the logger `ssp_env.play`.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, game: Game) -> None:
        """Count a game that is over, and log its failure if it is the first of its kind."""
        if game.outcome is None or game.outcome.failure is None:
            return
        kind = _kind(game.outcome.failure)
        self._counts[kind] += 1
        if self._counts[kind] == 1:
            _log.warning("game %s ended as error: %s", game.id, game.outcome.failure)

    def close(self) -> None:
        """Log the number of failures of each kind, unless every failure was logged already, and reset."""
        if self._counts.total() > len(self._counts):
            kinds = ", ".join(f"{count} times {kind}" for kind, count in self._counts.most_common())
            _log.warning("%d games ended as error: %s", self._counts.total(), kinds)
        self._counts.clear()


def run_searches(
    engine: SearchEngine, queries: Sequence[str], top_k: int, source: str = "search"
) -> list[list[Passage] | Failure]:
    """Search in one batch; a result that does not consist of passages is a `Failure`.

    If the engine raises or returns another number of results, every result is one.
    """
    sources = [source] * len(queries)
    results = guarded(source, lambda: as_search_results(engine.search(queries, top_k), sources))
    return [results] * len(queries) if isinstance(results, Failure) else [*results]


def open_page(engine: PassageStore, request: Open) -> list[Passage] | Failure:
    """Fetch the passage that a player opens; none if the engine has no such passage."""
    results = guarded(
        source_of(request), lambda: as_opened(engine.get_passages([request.passage_id]), [request])
    )
    return results if isinstance(results, Failure) else results[0]


def as_opened(found: Iterable[object], requests: Sequence[Open]) -> list[list[Passage] | Failure]:
    """Check what an engine returned for ids; what is neither None nor that passage becomes a `Failure`.

    Raises:
        ValueError: If there are more or fewer results than ids.
    """
    results = list(found)
    if len(results) != len(requests):
        raise ValueError(f"{len(requests)} ids gave {len(results)} passages")
    return [
        guarded(source_of(request), partial(_opened, result, request.passage_id))
        for result, request in zip(results, requests, strict=True)
    ]


def _opened(result: object, passage_id: str) -> list[Passage]:
    if result is None:
        return []
    passage = checked_passage(result)
    if passage.id != passage_id:
        raise ValueError(f"expected the passage {passage_id!r}, got {passage.id!r}")
    return [passage]


def sample_noise(
    engine: SearchEngine, rng: np.random.Generator, count: int, exclude: Collection[str]
) -> list[Passage] | Failure:
    """Draw random passages from the engine's corpus; return none if the engine cannot sample."""
    if not isinstance(engine, PassageSampler):
        warn_of_missing_noise(name_of_engine(engine))
        return []
    return guarded("noise", lambda: as_passages(engine.sample(rng, count, exclude)))


@cache
def warn_of_missing_noise(engine: str) -> None:
    """Log once for each engine that the RAG check cannot draw noise from its corpus."""
    logging.getLogger("ssp_env.noise").warning(
        "the search engine %s has no method sample(rng, count, exclude): the RAG check has no noise from its "
        "corpus, only passages that other games found, if there are any",
        engine,
    )


def ask_judge(judge: JudgeFunction | None, request: Judge) -> bool | Failure:
    """Ask for a verdict; anything but True or False becomes a `Failure`."""
    source = source_of(request)
    return guarded(source, lambda: as_verdict(judge(request) if judge else None, source))


def as_verdict(verdict: object, source: str = "judge") -> bool | Failure:
    """Return True or False unchanged and anything else as a `Failure`.

    >>> as_verdict(None)
    Failure(detail='judge: expected True or False, got None')
    """
    if isinstance(verdict, bool | np.bool_):
        return bool(verdict)
    return Failure(f"{source}: expected True or False, got {verdict!r}")


def as_verdicts(verdicts: Iterable[object], sources: Sequence[str]) -> list[bool | Failure]:
    """Check the verdicts on a batch of answers; anything but True or False becomes a `Failure`.

    Args:
        verdicts: What the judge returned.
        sources: For each request, the name that its `Failure` starts with.

    Raises:
        ValueError: If there are more or fewer verdicts than requests.
    """
    given = list(verdicts)
    if len(given) != len(sources):
        raise ValueError(f"the judge was asked for {len(sources)} verdicts and gave {len(given)}")
    return [as_verdict(verdict, source) for verdict, source in zip(given, sources, strict=True)]


def as_search_results(
    results: Iterable[Iterable[Passage]], sources: Sequence[str]
) -> list[list[Passage] | Failure]:
    """Check what a search returned; a result that does not consist of passages becomes a `Failure`.

    Args:
        results: What the engine returned, one result per query.
        sources: For each query, the name that its `Failure` starts with.

    Raises:
        ValueError: If there are more or fewer results than queries.
    """
    found = list(results)
    if len(found) != len(sources):
        raise ValueError(f"{len(sources)} queries gave {len(found)} results")
    return [
        guarded(source, partial(as_passages, result)) for result, source in zip(found, sources, strict=True)
    ]


def as_passages(found: Iterable[Passage]) -> list[Passage]:
    """Check one list of passages, and convert numbers in their fields.

    Raises:
        TypeError: If the list holds anything else, or a field of a passage does.
        ValueError: If a score is infinite or NaN.
    """
    return [checked_passage(passage) for passage in found]
