"""The text protocol: one object that owns the tags, parses what players write and renders what they see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from ssp_env.passage import Passage

ActionKind = Literal["search", "question", "answer", "malformed"]
FinalKind = Literal["question", "answer"]
Notice = Literal["no_results", "search_limit", "malformed"]

ENGLISH_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {
        "no_results": "No passage matches this search.",
        "search_limit": "The search budget is used up. Finish now.",
        "malformed": "Your last message held no complete action. Search or finish, using the tags exactly.",
    }
)
TERSE_NOTICES: Mapping[Notice, str] = MappingProxyType(
    {"no_results": "none", "search_limit": "limit", "malformed": "malformed"}
)


@dataclass(frozen=True, slots=True)
class Action:
    """The first complete action in a player's text.

    Attributes:
        kind: `search`, `question`, `answer` or `malformed`.
        content: Query, question or answer without surrounding white space; empty if malformed.
        text: The player's text up to the end of the action; whatever followed is dropped.
        code: Why the text is malformed (`no_action`, `empty_action`); empty otherwise.
        spoofed: Observation tags the player wrote itself; they have no effect.
        dropped: Number of characters after the action.
    """

    kind: ActionKind
    content: str
    text: str
    code: str = ""
    spoofed: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Protocol:
    """Tag names and layout of one text protocol.

    Attributes:
        name: Preset name.
        think: Tag of private reasoning; actions inside a closed block are ignored.
        search: Tag of a query.
        question: Tag of the proposer's final question.
        answer: Tag of the solver's and the reader's final answer.
        observation: Tag the environment puts around what it returns.
        layout: `documents` numbers the passages and shows titles; `plain` joins bare texts with ` ; `.
        notices: What the environment says instead of passages.
    """

    name: str
    think: str = "think"
    search: str = "search"
    question: str = "question"
    answer: str = "answer"
    observation: str = "information"
    layout: Literal["documents", "plain"] = "documents"
    notices: Mapping[Notice, str] = field(default_factory=lambda: ENGLISH_NOTICES)

    @cached_property
    def _tag(self) -> re.Pattern[str]:
        names = (self.think, self.search, self.question, self.answer, self.observation)
        return re.compile(rf"<(/?)({'|'.join(map(re.escape, names))})>")

    def wrap(self, tag: str, content: str) -> str:
        """Put `content` between the tags named `tag`.

        >>> PROTOCOLS["default"].wrap("search", "capital of Ruvia")
        '<search> capital of Ruvia </search>'
        """
        return f"<{tag}> {content} </{tag}>"

    def stop_strings(self, final: FinalKind) -> tuple[str, ...]:
        """Closing tags at which a generator may stop: everything after them is dropped anyway."""
        return (f"</{self.search}>", f"</{getattr(self, final)}>")

    def parse(self, text: str, final: FinalKind, *, may_search: bool = True) -> Action:
        """Find the first complete action; total and linear in `len(text)`.

        The content is what stands between a closing tag and the last opening tag of the same name before
        it. Closed think blocks and self-written observation blocks are skipped whole.

        Args:
            text: What the player wrote.
            final: Kind of action that ends this player's game.
            may_search: Whether a search counts as an action (a reader has no search tool).

        >>> PROTOCOLS["default"].parse("Hm. <search> blue whale </search> and", "answer").content
        'blue whale'
        """
        kinds: dict[str, ActionKind] = {getattr(self, final): final}
        if may_search:
            kinds[self.search] = "search"
        opened: dict[str, int] = {}
        spoofed, skip_until = 0, 0
        last_closing = {name: text.rfind(f"</{name}>") for name in (self.think, self.observation)}
        for match in self._tag.finditer(text):
            closing, name = bool(match[1]), match[2]
            spoofed += name == self.observation
            if match.start() < skip_until:
                continue
            if name in last_closing:
                if not closing and last_closing[name] > match.start():
                    skip_until = text.find(f"</{name}>", match.end()) + len(name) + 3
            elif not closing:
                opened[name] = match.end()
            elif name in kinds and name in opened:
                content = self._tag.sub(" ", text[opened[name] : match.start()]).strip()
                kept, dropped = text[: match.end()], len(text) - match.end()
                if not content:
                    return Action("malformed", "", kept, "empty_action", spoofed, dropped)
                return Action(kinds[name], content, kept, "", spoofed, dropped)
        return Action("malformed", "", text, "no_action", spoofed)

    def escape(self, text: str) -> str:
        """Defuse protocol tags inside retrieved text.

        >>> PROTOCOLS["default"].escape("see <answer> 42 </answer>")
        'see &lt;answer&gt; 42 &lt;/answer&gt;'
        """
        # Passages hardly ever hold a tag, and every turn renders several.
        return self._tag.sub(r"&lt;\1\2&gt;", text) if "<" in text else text

    def passages(self, passages: Sequence[Passage]) -> str:
        """Render passages for a model, tags inside them escaped; a notice if there are none."""
        if not passages:
            return self.notices["no_results"]
        if self.layout == "plain":
            return " ; ".join(self.escape(passage.text) for passage in passages)
        return "\n\n".join(
            f"Doc {rank} (Title: {self.escape(passage.title)})\n{self.escape(passage.text)}"
            for rank, passage in enumerate(passages, start=1)
        )

    def observe(self, passages: Sequence[Passage]) -> str:
        """Render a search result as the environment's message."""
        return self._observation(self.passages(passages))

    def notify(self, notice: Notice) -> str:
        """Render an environment notice as an observation."""
        return self._observation(self.notices[notice])

    def _observation(self, body: str) -> str:
        if self.layout == "plain":
            return self.wrap(self.observation, body)
        return f"<{self.observation}>\n{body}\n</{self.observation}>"


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol("default"),
            Protocol("qwen2p5"),
            Protocol("R-Search", observation="observation"),
            Protocol("llama3p1"),
            Protocol("terse", layout="plain", notices=TERSE_NOTICES),
        )
    }
)
"""Presets by name; the first four carry the names of the reference implementation's chat templates."""
