"""What a language model is asked as a judge, how its reply is read, and what a verdict is kept under."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from ssp_env.game import PROTOCOLS, Judge, Message, View
from ssp_env.game.prompts import english, few_shot
from ssp_env.game.prompts.judging import JudgePrompt
from ssp_env.scoring import parse_verdict

JudgeStyle = Literal["english", "few_shot"]
JUDGE_PROMPTS: Mapping[str, JudgePrompt] = {"english": english.judge, "few_shot": few_shot.judge}
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
        max_chars: Most characters shown of a question, an answer or a gold.

    Raises:
        ValueError: If the name is blank, the style or the protocol unknown, or `max_chars` below 20.
    """

    name: str
    prompts: JudgeStyle = "english"
    protocol: str = "default"
    max_chars: int = 300

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a judge needs a name that tells its model and sampling, got a blank one")
        for what, value, known in (
            ("prompts", self.prompts, JUDGE_PROMPTS),
            ("protocol", self.protocol, PROTOCOLS),
        ):
            if value not in known:
                raise ValueError(f"{what} of a judge must be one of {', '.join(known)}, got {value!r}")
        if self.max_chars < 20:
            raise ValueError(f"max_chars must be at least 20, got {self.max_chars}")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the name and of everything the judge is told; other wording, other fingerprint."""
        told = self._messages(Judge("", "question", "candidate", ("gold",)))
        key = repr((self.name, told, self.max_chars))
        return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:16]

    def key(self, asked: Judge) -> VerdictKey:
        """Return what the verdict depends on; the request's id is none of it."""
        return VerdictKey(self.fingerprint, asked.question, asked.candidate, tuple(asked.golds))

    def view(self, asked: Judge) -> View:
        """Return the situation in which an agent gives its verdict."""
        return self._view(self.key(asked), 0, self._messages(asked))

    def again(self, asked: Judge, view: View, reply: str) -> View:
        """Return the situation after a reply that is no verdict."""
        protocol = PROTOCOLS[self.protocol]
        said = protocol.said(protocol.parse(reply[: self.max_chars], "answer", may_search=False))
        right, wrong = (protocol.write("answer", word).text for word in ("Correct", "Wrong"))
        told = Message("user", f"That is no verdict. Write {right} or {wrong} and nothing else.")
        # As text alone: a judge has no tools, whatever it wrote.
        return self._view(self.key(asked), 1, (*view.messages, Message("assistant", said.content), told))

    def verdict(self, reply: str) -> bool | None:
        """Read a reply: the answer between the tags, or else the whole reply, must be a verdict."""
        action = PROTOCOLS[self.protocol].parse(reply, "answer", may_search=False)
        return parse_verdict(action.content if action.kind == "answer" else reply)

    def _messages(self, asked: Judge) -> tuple[Message, ...]:
        question, candidate, *golds = map(self._abridged, (asked.question, asked.candidate, *asked.golds))
        return JUDGE_PROMPTS[self.prompts](PROTOCOLS[self.protocol], question, candidate, golds)

    def _abridged(self, text: str) -> str:
        if len(text) <= self.max_chars:
            return text
        # Both ends stay: what takes a right answer back often stands last.
        half = (self.max_chars - len(_ABRIDGED)) // 2
        return text[:half] + _ABRIDGED + text[-half:]

    def _view(self, key: VerdictKey, attempt: int, messages: Sequence[Message]) -> View:
        digest = hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return View(
            f"judge/{digest}/{attempt}", "judge", "verify", tuple(messages), turns_left=1, searches_left=0
        )
