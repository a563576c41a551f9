"""What engines and judges return, checked: foreign code that raises or misbehaves makes a result unknown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from ssp_env.game import Failure, Judge, Task
from ssp_env.passage import Passage
from ssp_env.play.agents import JudgeFunction
from ssp_env.search.engine import PassageSampler, SearchEngine

Value = TypeVar("Value")
Engine = TypeVar("Engine")

_log = logging.getLogger("ssp_env.play")


def failure(source: str, error: Exception) -> Failure:
    """What an exception becomes in a game, with `source` named; the traceback goes to the debug log."""
    _log.debug("%s failed", source, exc_info=error)
    return Failure(f"{source}: {type(error).__name__}: {error}")


def guarded(source: str, fetch: Callable[[], Value]) -> Value | Failure:
    """Call foreign code; whatever it raises makes its result unknown, with `source` named in the detail."""
    try:
        return fetch()
    except Exception as error:
        return failure(source, error)


def run_searches(engine: SearchEngine, queries: Sequence[str], top_k: int) -> list[list[Passage] | Failure]:
    """Search in one batch; if the engine raises or returns something else, every result is a `Failure`."""
    results = guarded("search", lambda: as_search_results(engine.search(queries, top_k), len(queries)))
    return [results] * len(queries) if isinstance(results, Failure) else [*results]


def sample_noise(
    engine: SearchEngine, rng: np.random.Generator, count: int, exclude: Collection[str]
) -> list[Passage] | Failure:
    """Draw random passages from the engine's corpus; none if it cannot sample."""
    if not isinstance(engine, PassageSampler):
        return []
    return guarded("noise", lambda: as_passages(engine.sample(rng, count, exclude)))


def ask_judge(judge: JudgeFunction | None, request: Judge) -> bool | Failure:
    """Ask for a verdict; anything but a truth value is a `Failure`."""
    verdict = guarded("judge", lambda: judge(request) if judge else None)
    return verdict if isinstance(verdict, Failure) else as_verdict(verdict)


def as_verdict(verdict: object) -> bool | Failure:
    """Return a truth value as it is and anything else as a `Failure`.

    >>> as_verdict(None)
    Failure(detail='judge: expected True or False, got None')
    """
    if isinstance(verdict, bool | np.bool_):
        return bool(verdict)
    return Failure(f"judge: expected True or False, got {verdict!r}")


def as_verdicts(verdicts: Iterable[object], expected: int) -> list[bool | Failure]:
    """Check what a batch of answers was judged as; what is no truth value is a `Failure`.

    Raises:
        ValueError: If there are more or fewer than `expected` verdicts.
    """
    checked = [as_verdict(verdict) for verdict in verdicts]
    if len(checked) != expected:
        raise ValueError(f"the judge was asked for {expected} verdicts and gave {len(checked)}")
    return checked


def as_search_results(results: Iterable[Iterable[Passage]], expected: int) -> list[list[Passage]]:
    """Check what a search returned.

    Raises:
        ValueError: If there are more or fewer than `expected` results.
        TypeError: If one does not consist of passages.
    """
    lists = [as_passages(found) for found in results]
    if len(lists) != expected:
        raise ValueError(f"{expected} queries gave {len(lists)} results")
    return lists


def as_passages(found: Iterable[Passage]) -> list[Passage]:
    """Check one list of passages.

    Raises:
        TypeError: If it holds anything else.
    """
    passages = list(found)
    for passage in passages:
        if not isinstance(passage, Passage):
            raise TypeError(f"expected passages, got {type(passage).__name__}")
    return passages


def engine_of(task: Task, search: Engine | Mapping[str, Engine]) -> Engine:
    """Return the engine a task is played over.

    Raises:
        ValueError: If there is none for its corpus.
    """
    if not isinstance(search, Mapping):
        return search
    if task.corpus not in search:
        known = ", ".join(sorted(search)[:5])
        raise ValueError(f"no search engine for corpus {task.corpus!r}; there are engines for: {known}")
    engine: Engine = search[task.corpus]
    return engine
