"""A language model as the judge of answers that fail exact match; what goes wrong is unknown, never wrong.

`LLMJudge` works on every agent that answers at once or in batches, `AsyncLLMJudge` on those with coroutine
functions. Both are judge functions: pass them as `judge=` to `play` and `play_async`, whose games ask them
only about answers that do not match exactly (`GameConfig(judge=True)`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import cast

from agents.judges_cache import VerdictCache
from agents.judges_questions import JudgeQuestions, VerdictKey
from ssp_env.game import Judge, Reply, View
from ssp_env.play import AnyAgent, AnyAsyncAgent, AnyPlayer, act_all, as_agent, is_async_agent
from ssp_env.play.agents import as_replies

_log = logging.getLogger("agents.judges")


@dataclass
class JudgeCounts:
    """What a judge did so far.

    Attributes:
        verdicts: Verdicts asked for.
        calls: Replies asked of the agent; the other verdicts came from the cache or from an equal request.
        no_verdict: Replies that were no verdict.
        failed: Replies that never came.
    """

    verdicts: int = 0
    calls: int = 0
    no_verdict: int = 0
    failed: int = 0


class LLMJudge:
    """Judges with an agent that is called in the ordinary way; one call at a time.

    An answer is asked for once however often it comes, in one batch or later. A reply that is no verdict is
    asked for once more; after that, and if the agent raises, the verdict is None, which is unknown.

    Args:
        agent: Replies to the views; an agent, or what `ssp_env.play.as_agent` makes one of, a function of the
            messages, say. Sampling at temperature 0 is its business.
        questions: How it is asked, and its name.
        cache: Verdicts it need not be asked for; one of its own if None.

    Attributes:
        counts: What it did so far.

    Raises:
        TypeError: If the agent is none, or is of the other kind.

    Example:
        >>> def lenient(messages):
        ...     return "<answer> Correct </answer>"
        >>> judge = LLMJudge(lenient, JudgeQuestions("always correct"))
        >>> judge(Judge("solver_0/judge", "Who was mayor of Corun?", "Mr Tavor", ("Tavor",)))
        True
    """

    def __init__(
        self, agent: AnyPlayer, questions: JudgeQuestions, *, cache: VerdictCache | None = None
    ) -> None:
        self._agent = cast("AnyAgent", _checked(agent, asynchronous=False))
        self.questions = questions
        self.cache = VerdictCache() if cache is None else cache
        self.counts = JudgeCounts()
        # Whoever asks meanwhile waits, and finds the verdict in the cache.
        self._lock = RLock()

    def __call__(self, asked: Judge) -> bool | None:
        """Return True, False or None for one answer."""
        return self.judge_batch([asked])[0]

    def judge_batch(self, asked: Sequence[Judge]) -> list[bool | None]:
        """Return True, False or None for each answer, with one batch of views per try."""
        with self._lock:
            self.counts.verdicts += len(asked)
            keys = [self.questions.key(one) for one in asked]
            verdicts = {key: self.cache.get(key) for key in keys}
            unasked = {key: one for key, one in zip(keys, asked, strict=True) if verdicts[key] is None}
            for key, verdict in self._ask(unasked).items():
                verdicts[key] = verdict
                self.cache.keep(key, verdict)
            return [verdicts[key] for key in keys]

    def _ask(self, asked: dict[VerdictKey, Judge]) -> dict[VerdictKey, bool | None]:
        verdicts: dict[VerdictKey, bool | None] = {}
        views = {key: self.questions.view(one) for key, one in asked.items()}
        for _ in range(2):
            replies = dict(zip(views, self._replies(list(views.values())), strict=True))
            verdicts |= {key: _read(self.questions, reply, self.counts) for key, reply in replies.items()}
            views = {
                key: self.questions.again(asked[key], views[key], reply.text)
                for key, reply in replies.items()
                if reply is not None and verdicts[key] is None
            }
        return verdicts

    def _replies(self, views: Sequence[View]) -> list[Reply | None]:
        """Ask the agent; None where it raised."""
        self.counts.calls += len(views)
        batches = [views] if hasattr(self._agent, "act_batch") and views else [[view] for view in views]
        replies: list[Reply | None] = []
        for batch in batches:
            try:
                replies += act_all(self._agent, batch)
            except Exception as error:
                _report(self.counts, error, len(batch))
                replies += [None] * len(batch)
        return replies


class AsyncLLMJudge:
    """Judges with an agent whose `act` or `act_batch` is a coroutine function; many calls at a time.

    What `LLMJudge` says holds here too. Equal requests at the same time wait for one call, which is finished
    even if all who asked have given up: its verdict is kept.

    Args:
        agent: Replies to the views; an agent, or what `ssp_env.play.as_agent` makes one of.
        questions: How it is asked, and its name.
        cache: Verdicts it need not be asked for; one of its own if None.

    Attributes:
        counts: What it did so far.

    Raises:
        TypeError: If the agent is none, or is of the other kind.
    """

    def __init__(
        self, agent: AnyPlayer, questions: JudgeQuestions, *, cache: VerdictCache | None = None
    ) -> None:
        self._agent = cast("AnyAsyncAgent", _checked(agent, asynchronous=True))
        self.questions = questions
        self.cache = VerdictCache() if cache is None else cache
        self.counts = JudgeCounts()
        self._asking: dict[tuple[asyncio.AbstractEventLoop, VerdictKey], asyncio.Task[bool | None]] = {}

    async def __call__(self, asked: Judge) -> bool | None:
        """Return True, False or None for one answer."""
        self.counts.verdicts += 1
        key = self.questions.key(asked)
        known = self.cache.get(key)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        place = (loop, key)
        if place not in self._asking:
            self._asking[place] = task = loop.create_task(self._ask(key, asked))
            task.add_done_callback(lambda _: self._asking.pop(place))
        return await asyncio.shield(self._asking[place])

    async def _ask(self, key: VerdictKey, asked: Judge) -> bool | None:
        view = self.questions.view(asked)
        verdict = None
        for _ in range(2):
            reply = await self._reply(view)
            verdict = _read(self.questions, reply, self.counts)
            if reply is None or verdict is not None:
                break
            view = self.questions.again(asked, view, reply.text)
        self.cache.keep(key, verdict)
        return verdict

    async def _reply(self, view: View) -> Reply | None:
        self.counts.calls += 1
        try:
            if hasattr(self._agent, "act_batch"):
                return as_replies(await self._agent.act_batch([view]), 1)[0]
            return as_replies([await self._agent.act(view)], 1)[0]
        except Exception as error:
            _report(self.counts, error, 1)
            return None


def _checked(agent: AnyPlayer, *, asynchronous: bool) -> AnyAgent | AnyAsyncAgent:
    """Make an agent of what was given, of the kind that the judge can call."""
    made = as_agent(agent, "a judge's agent")
    if is_async_agent(made) != asynchronous:
        other = "AsyncLLMJudge" if not asynchronous else "LLMJudge"
        kind = "ordinary methods" if asynchronous else "coroutine functions"
        raise TypeError(f"{type(agent).__name__} plays with {kind}: use {other}")
    return made


def _read(questions: JudgeQuestions, reply: Reply | None, counts: JudgeCounts) -> bool | None:
    verdict = None if reply is None else questions.verdict(reply.text)
    counts.no_verdict += reply is not None and verdict is None
    return verdict


def _report(counts: JudgeCounts, error: Exception, replies: int) -> None:
    counts.failed += replies
    _log.warning("no reply from the judge's agent: %s: %s", type(error).__name__, error)
