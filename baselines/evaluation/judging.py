"""Verdicts of a judge on answers that fail exact match, kept so that none is asked for twice."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from baselines.evaluation.answers import Answer
from ssp_env.game import Judge
from ssp_env.objects import describe, is_async
from ssp_env.scoring import exact_match

Key: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Question, answer and accepted answers."""
Verdicts: TypeAlias = Mapping[Key, bool]
_BATCH = 64


def key_of(answer: Answer) -> Key:
    """Return what a verdict on an answer depends on."""
    return answer.question, answer.answer, tuple(answer.golds)


def verdict_on(answer: Answer, verdicts: Verdicts) -> float | None:
    """Return 1 or 0 as exact match or else the judge decides; None if the judge has given no verdict."""
    if not answer.answer.strip():
        return 0.0
    if exact_match(answer.answer, answer.golds):
        return 1.0
    verdict = verdicts.get(key_of(answer))
    return None if verdict is None else float(verdict)


def ask_judge(
    name: str,
    judge: Any,
    answers: Iterable[Answer],
    *,
    path: Path | None = None,
    concurrency: int = 16,
    on_failure: Callable[[str], object] = lambda failure: None,
) -> dict[Key, bool]:
    """Ask for the verdicts that are not known yet, and return all.

    Args:
        name: Name of the judge; verdicts of other judges in the file are left alone.
        judge: A function of a `Judge` request, asynchronous or not, or an object with `judge_batch`.
        answers: What is judged; only answers that fail exact match are asked about.
        path: File in which verdicts are kept; None keeps none.
        concurrency: Most requests at a time to an asynchronous judge.
        on_failure: Called with what a judge raised; the verdict stays unknown.
    """
    verdicts = {} if path is None else _kept(path, name)
    keys = dict.fromkeys(
        key_of(answer)
        for answer in answers
        if answer.failure is None and answer.answer.strip() and not exact_match(answer.answer, answer.golds)
    )
    missing = [key for key in keys if key not in verdicts]
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        asked = [Judge(f"judge/{number}", *key) for number, key in enumerate(batch, start=start)]
        given = _judged(judge, asked, concurrency, on_failure)
        fresh = {key: verdict for key, verdict in zip(batch, given, strict=True) if verdict is not None}
        verdicts |= fresh
        if path is not None:
            _keep(path, name, fresh)
    return verdicts


def _judged(
    judge: Any, asked: list[Judge], concurrency: int, on_failure: Callable[[str], object]
) -> list[bool | None]:
    batch = getattr(judge, "judge_batch", None)
    try:
        if batch is not None:
            given = batch(asked)
            return list(asyncio.run(_awaited(given)) if inspect.isawaitable(given) else given)
        if is_async(judge):
            return asyncio.run(_together(judge, asked, concurrency, on_failure))
    except Exception as error:
        on_failure(describe(error))
        return [None] * len(asked)
    return [_one(judge, one, on_failure) for one in asked]


def _one(judge: Any, asked: Judge, on_failure: Callable[[str], object]) -> bool | None:
    try:
        verdict: bool | None = judge(asked)
    except Exception as error:
        on_failure(describe(error))
        return None
    return verdict


async def _awaited(given: Any) -> Any:
    return await given


async def _together(
    judge: Any, asked: list[Judge], concurrency: int, on_failure: Callable[[str], object]
) -> list[bool | None]:
    free = asyncio.Semaphore(concurrency)

    async def one(request: Judge) -> bool | None:
        async with free:
            try:
                verdict: bool | None = await judge(request)
            except Exception as error:
                on_failure(describe(error))
                return None
            return verdict

    return list(await asyncio.gather(*map(one, asked)))


def _kept(path: Path, name: str) -> dict[Key, bool]:
    if not path.exists():
        return {}
    verdicts: dict[Key, bool] = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        try:
            row = json.loads(line)
            if row["judge"] == name:
                verdicts[row["question"], row["answer"], tuple(row["golds"])] = bool(row["verdict"])
        except (ValueError, TypeError, KeyError):
            # A kill leaves a torn line, whose verdict is asked for again.
            continue
    return verdicts


def _keep(path: Path, name: str, verdicts: Mapping[Key, bool]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ends_torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="ascii") as file:
        file.write("\n" * bool(ends_torn))
        for (question, answer, golds), verdict in verdicts.items():
            row = {"judge": name, "question": question, "answer": answer, "golds": golds, "verdict": verdict}
            file.write(json.dumps(row) + "\n")
