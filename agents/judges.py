"""A language model as the judge of answers that fail exact match; if it fails, the verdict is unknown.

`LLMJudge` takes agents with ordinary methods, `AsyncLLMJudge` those with coroutine functions. Both are judge
functions: pass them as `judge=` to `play` and `play_async`, whose games ask them only about answers that do
not match exactly (`GameConfig(judge=True)`).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock, RLock
from typing import Literal, NamedTuple, cast

from cachetools import LRUCache

from agents.player_names import BACK_ENDS, PlayerOptions, player_by_name
from ssp_env.game import PROTOCOLS, Judge, Message, Reply, View
from ssp_env.game.prompts import JudgePrompt, english
from ssp_env.game.prompts.demonstrations import FEW_SHOT
from ssp_env.objects import describe, faults, foreign_error, is_object_name, load_object
from ssp_env.play import (
    AnyAgent,
    AnyAsyncAgent,
    AnyPlayer,
    AsyncJudgeFunction,
    JudgeFunction,
    act_all,
    as_agent,
    as_judge,
    as_replies,
    is_async_agent,
)
from ssp_env.scoring import parse_verdict

JudgeStyle = Literal["english", "few_shot"]
JUDGE_PROMPTS: Mapping[str, JudgePrompt] = {"english": english.judge, "few_shot": FEW_SHOT.judge}
_log = logging.getLogger("agents.judges")
_ABRIDGED = " [...] "


class VerdictKey(NamedTuple):
    """What a verdict depends on."""

    judge: str
    question: str
    candidate: str
    golds: tuple[str, ...]


@dataclass(frozen=True)
class JudgeQuestions:
    """Turns requests for verdicts into views for any agent, and its replies into verdicts.

    The agent is asked as a reader is: one turn, no search, the verdict between the answer tags. So every
    agent that can read can judge, stop strings included. What players wrote is quoted on one line, with tags
    and control tokens spelled out and overlong texts abridged in their middle.

    Attributes:
        name: What the judge is: model, back end and sampling, for instance `qwen3-8b at T=0`.
        prompts: `english` has instructions, `few_shot` worked examples for small models.
        protocol: Name of the protocol whose answer tag is used.
        max_quoted_chars: Most characters shown of a question, an answer or an accepted answer.

    Raises:
        ValueError: If the name is blank, the style or the protocol unknown, or `max_quoted_chars` below 20.
    """

    name: str
    prompts: JudgeStyle = "english"
    protocol: str = "default"
    max_quoted_chars: int = 300

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a judge needs a name that tells its model and sampling, got a blank one")
        for what, value, known in (
            ("prompts", self.prompts, JUDGE_PROMPTS),
            ("protocol", self.protocol, PROTOCOLS),
        ):
            if value not in known:
                raise ValueError(f"{what} of a judge must be one of {', '.join(known)}, got {value!r}")
        if self.max_quoted_chars < 20:
            raise ValueError(f"max_quoted_chars must be at least 20, got {self.max_quoted_chars}")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the name and of everything the judge is told; other wording, other fingerprint."""
        told = self._messages(Judge("", "question", "candidate", ("gold",)))
        key = repr((self.name, told, self.max_quoted_chars))
        return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def key(self, asked: Judge) -> VerdictKey:
        """Return what the verdict depends on, which the id of the request is not part of."""
        return VerdictKey(self.fingerprint, asked.question, asked.candidate, tuple(asked.golds))

    def view(self, asked: Judge) -> View:
        """Return the view in which an agent gives its verdict."""
        return self._view(self.key(asked), 0, self._messages(asked))

    def again(self, asked: Judge, view: View, reply: str) -> View:
        """Return the view that asks once more after a reply that is no verdict."""
        protocol = PROTOCOLS[self.protocol]
        said = protocol.said(protocol.parse(reply[: self.max_quoted_chars], "answer", has_search_tool=False))
        right, wrong = (protocol.write("answer", word).text for word in ("Correct", "Wrong"))
        told = Message("user", f"That is no verdict. Write {right} or {wrong} and nothing else.")
        # As text alone: a judge has no tools, whatever it wrote.
        return self._view(self.key(asked), 1, (*view.messages, Message("assistant", said.content), told))

    def verdict(self, reply: str) -> bool | None:
        """Read a reply: the answer between the tags, or else the whole reply, must be a verdict."""
        protocol = PROTOCOLS[self.protocol]
        action = protocol.parse(reply, "answer", has_search_tool=False)
        said = reply[protocol.end_of_opening_thought(reply) :]
        return parse_verdict(action.content if action.kind == "answer" else said)

    def _messages(self, asked: Judge) -> tuple[Message, ...]:
        question, candidate, *golds = map(self._abridged, (asked.question, asked.candidate, *asked.golds))
        return JUDGE_PROMPTS[self.prompts](PROTOCOLS[self.protocol], question, candidate, golds)

    def _abridged(self, text: str) -> str:
        if len(text) <= self.max_quoted_chars:
            return text
        # Both ends stay: what takes a right answer back often stands last.
        half = (self.max_quoted_chars - len(_ABRIDGED)) // 2
        return text[:half] + _ABRIDGED + text[-half:]

    def _view(self, key: VerdictKey, attempt: int, messages: Sequence[Message]) -> View:
        digest = hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return View(
            f"judge/{digest}/{attempt}", "judge", "verify", tuple(messages), turns_left=1, searches_left=0
        )


class VerdictCache:
    """Verdicts by judge, question, candidate and accepted answers; may be shared by judges and threads.

    The least recently used ones go first. An unknown verdict is never kept: it may be known the next time.

    Args:
        size: Most verdicts to keep, 0 or more.

    Raises:
        ValueError: If `size` is negative.
    """

    def __init__(self, size: int = 10_000) -> None:
        if size < 0:
            raise ValueError(f"size must be 0 or more, got {size}")
        self._kept: LRUCache[VerdictKey, bool] = LRUCache(size)
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of verdicts kept."""
        return len(self._kept)

    def get(self, key: VerdictKey) -> bool | None:
        """Return a verdict, or None if it is not kept."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: VerdictKey, verdict: bool | None) -> None:
        """Store a verdict, unless it is None, which is unknown."""
        if verdict is not None and self._kept.maxsize:
            with self._lock:
                self._kept[key] = verdict


@dataclass
class JudgeCounts:
    """What a judge did so far.

    Attributes:
        verdicts: Verdicts asked for.
        calls: Replies the agent was asked for; other verdicts came from the cache or from an equal request.
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
        agent: The agent that judges, or any object from which `ssp_env.play.as_agent` makes one, such as a
            function of the messages. It should sample at temperature 0.
        questions: How the agent is asked, and the judge's name.
        cache: Verdicts that are known already; a new cache if None.

    Attributes:
        counts: What the judge did so far.

    Raises:
        TypeError: If it is no agent, or an asynchronous one.

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
                with faults():
                    replies += act_all(self._agent, batch)
            except Exception as error:
                _report(self.counts, error, len(batch))
                replies += [None] * len(batch)
        return replies


class AsyncLLMJudge:
    """Judges with an agent whose `act` or `act_batch` is a coroutine function; many calls at a time.

    It is asked, and fails, as `LLMJudge` does. Equal requests at the same time share one call. That call
    runs to its end, and its verdict is kept, even if everybody who waited for it has given up.

    Args:
        agent: The agent that judges, or any object from which `ssp_env.play.as_agent` makes one.
        questions: How the agent is asked, and the judge's name.
        cache: Verdicts that are known already; a new cache if None.

    Attributes:
        counts: What the judge did so far.

    Raises:
        TypeError: If it is no agent, or one with ordinary methods.
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
        except BaseException as error:
            _report(self.counts, foreign_error(error), 1)
            return None


def _checked(agent: AnyPlayer, *, asynchronous: bool) -> AnyAgent | AnyAsyncAgent:
    """Return an agent of the kind that the judge can call."""
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
    _log.warning("no reply from the judge's agent: %s", describe(error))


def judge_by_name(name: str, options: PlayerOptions) -> JudgeFunction | AsyncJudgeFunction:
    """Make the judge that a name stands for.

    Args:
        name: `package.module:object`, a function of a `Judge` request; or a language model named as players
            are, which then judges greedily.
        options: What players made by name are told.

    Raises:
        ValueError: If the name stands for nothing that can judge.
    """
    if is_object_name(name) and name.partition(":")[0] not in BACK_ENDS:
        return load_object(name, "judge", as_judge)
    greedy = replace(options, sampling=replace(options.sampling, temperature=0.0))
    made = player_by_name("judge", name, greedy)
    style: JudgeStyle = "few_shot" if made.prompts == "few_shot" else "english"
    questions = JudgeQuestions(f"{name} at T=0", style)
    kind = AsyncLLMJudge if is_async_agent(made.player) else LLMJudge
    return kind(made.player, questions)
