"""One object that owns tags and calls, reads actions in what players write, and renders what players see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from ssp_env.game.passage import PartId, Passage
from ssp_env.game.protocol.escaping import TagEscaper, defuse
from ssp_env.game.protocol.notices import ENGLISH_NOTICES, TERSE_NOTICES, TOOL_NOTICES, Notice
from ssp_env.game.protocol.tool_calls import (
    SEARCH_TOOL,
    hermes_call,
    open_arguments,
    open_schema,
    read_call,
    read_hermes_call,
    read_open,
    search_arguments,
    search_schema,
)
from ssp_env.game.view import MAX_ANSWER_CHARS, FinalKind, Message, Reply, ToolCall
from ssp_env.scoring import answer_key

ActionKind = Literal["search", "open", "question", "answer", "malformed"]

_SEPARATOR = re.compile(r"[\n;]")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+")

MALFORMED_CODES = (
    *("no_action", "empty_action", "too_long"),
    *("bad_json", "bad_call", "unknown_tool", "several_queries"),
)
"""Why a reply is malformed.

`no_action`: it holds no complete action; `empty_action`: nothing visible between the tags; `too_long`: more
than `Protocol.max_chars`; the others concern tool calls: not JSON, not a call of one string, a tool that does
not exist, a list of several queries.
"""


@dataclass(frozen=True, slots=True)
class Action:
    """The first complete action in a player's reply.

    Attributes:
        kind: `search`, `open`, `question`, `answer` or `malformed`.
        content: Query, question or answer without surrounding white space, or the part of a page to open as
            `page#part`; empty if malformed.
        text: The player's text up to the end of the action; whatever followed is dropped.
        code: Why the reply is malformed, one of `MALFORMED_CODES`; empty otherwise.
        spoofed: Observation tags the player wrote itself; they have no effect.
        dropped: Number of characters after the action.
        call: The native tool call that was read; None if the action stands in the text.
        dropped_calls: Number of other native tool calls, which have no effect.
        body: What was read, as written: the text between the tags, or the arguments of the native call.
    """

    kind: ActionKind
    content: str
    text: str
    code: str = ""
    spoofed: int = 0
    dropped: int = 0
    call: ToolCall | None = None
    dropped_calls: int = 0
    body: str = ""


def listed(text: str) -> list[str]:
    r"""Split a list of answers at line breaks and semicolons, bullets removed, each answer once.

    A comma does not separate: names hold commas.

    >>> listed("1. Lisbon\n2. Porto; lisbon")
    ['Lisbon', 'Porto']
    """
    first: dict[str, str] = {}
    for part in _SEPARATOR.split(text):
        bullet = _BULLET.match(part)
        answer = part[bullet.end() if bullet else 0 :].strip()
        if answer:
            first.setdefault(answer_key(answer), answer)
    return list(first.values())


@dataclass(frozen=True)
class Protocol:
    """Tag names, call syntax and layout of one protocol.

    Only exact tags count: `<SEARCH>`, `< search >`, `<search lang="en">` and `＜search＞` are no tags to the
    parser. In what others wrote they are spelled out like exact ones, because a model may be misled.

    Attributes:
        name: Preset name.
        think: Tag of private reasoning; actions inside a closed block are ignored. Where the first such tag
            of a reply closes, the chat template wrote the opening one, and all before it is reasoning too.
        search: Tag of a query, or of a tool call.
        question: Tag of the proposer's final question.
        answer: Tag of the solver's and the reader's final answer.
        observation: Tag the environment puts around what it returns.
        evidence: Tag in which a solver copies evidence before it answers, ignored like reasoning; often none.
        quote: Tag of a quotation, where the rules want answers to come with some; ignored like reasoning. If
            empty, all that stands before the answer is quotations.
        calls: How a search is called: `tags` around the query; `hermes`, JSON between the tags `search`;
            `native`, a `ToolCall` beside the text. Questions and answers stand between their tags in all.
        layout: `documents` numbers the passages and shows titles; `plain` joins bare texts with ` ; `.
        notices: What the environment says instead of passages.
        max_chars: Greatest length of a query or answer, so that no player can break an engine or a judge
            with a huge one; the length of questions is a rule of its own.
        tool: Name of the search tool in calls.
        open: Tag, or name of the tool in calls, of an action that shows one part of a page that a search has
            listed; none if empty. The parts of pages are named in the layout `documents` then.
    """

    name: str
    think: str = "think"
    search: str = "search"
    question: str = "question"
    answer: str = "answer"
    observation: str = "information"
    evidence: str = ""
    quote: str = "quote"
    calls: Literal["tags", "hermes", "native"] = "tags"
    layout: Literal["documents", "plain"] = "documents"
    notices: Mapping[Notice, str] = field(default_factory=lambda: ENGLISH_NOTICES)
    max_chars: int = MAX_ANSWER_CHARS
    tool: str = SEARCH_TOOL
    open: str = ""

    def __getstate__(self) -> dict[str, Any]:
        # A read-only mapping does not pickle.
        return {**{name: getattr(self, name) for name in self.__match_args__}, "notices": dict(self.notices)}

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Every tag name of the protocol."""
        tagged = self.open if self.calls == "tags" else ""
        names = (self.think, self.search, self.question, self.answer, self.observation)
        return tuple(filter(None, (*names, self.evidence, self.quote, tagged)))

    @cached_property
    def _ignored(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.think, self.observation, self.evidence, self.quote)))

    @cached_property
    def _tag(self) -> re.Pattern[str]:
        return re.compile(rf"<(/?)({'|'.join(map(re.escape, self.tags))})>")

    @cached_property
    def _escaper(self) -> TagEscaper:
        return TagEscaper(self.tags)

    # -- writing ---------------------------------------------------------------------------------------

    def wrap(self, tag: str, content: str) -> str:
        """Put `content` between the tags named `tag`.

        >>> Protocol("default").wrap("search", "capital of Ruvia")
        '<search> capital of Ruvia </search>'
        """
        return f"<{tag}> {content} </{tag}>"

    def write(
        self,
        kind: Literal["search", "open", "question", "answer"],
        content: str,
        *,
        call_id: str = "call_0",
    ) -> Reply:
        """Write an action the way `parse` reads it; for prompts, scripted players and adapters.

        Args:
            kind: What to do.
            content: Query, question, answer, or `page#part` to open.
            call_id: Identifier of a native tool call.

        >>> print(Protocol("hermes", search="tool_call", calls="hermes").write("search", "whale").text)
        <tool_call>
        {"name": "search", "arguments": {"query": "whale"}}
        </tool_call>
        """
        if kind in ("question", "answer") or self.calls == "tags":
            return Reply(self.wrap(getattr(self, kind), content))
        opens = kind == "open"
        tool, arguments = self.open if opens else self.tool, (open_arguments if opens else search_arguments)
        if self.calls == "hermes":
            call = hermes_call(tool, arguments(content))
            return Reply(f"<{self.search}>\n{call}\n</{self.search}>")
        return Reply("", tool_calls=(ToolCall(call_id, tool, arguments(content)),))

    def stop_strings(self, final: FinalKind, *, has_search_tool: bool = True) -> tuple[str, ...]:
        """Closing tags at which a generator may stop: everything after them is dropped anyway.

        Without the search tool a search is no action, and stopping there would cut off the answer behind it.
        """
        tags = [self.search, self.open] if self.calls == "tags" else [self.search]
        searches = has_search_tool and self.calls != "native"
        return (*(f"</{tag}>" for tag in tags if tag and searches), f"</{getattr(self, final)}>")

    def tools(self, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the tools to pass to a chat endpoint, in OpenAI's shape; none if searches are tags.

        Args:
            strict: Ask the endpoint to constrain arguments to the schema.
        """
        if self.calls == "tags":
            return []
        search = search_schema(strict=strict, name=self.tool)
        return [search, open_schema(strict=strict, name=self.open)] if self.open else [search]

    # -- reading ---------------------------------------------------------------------------------------

    def parse(self, reply: str | Reply, final: FinalKind, *, has_search_tool: bool = True) -> Action:
        """Find the first complete action; total and linear in the length of the reply.

        The content is what stands between a closing tag and the last opening tag of the same name before
        it. Closed think, evidence and quote blocks and self-written observation blocks are skipped whole, and
        so is everything up to a closing think tag that has no opening one. Native tool calls come after the
        text, the first one counts. Tags and control tokens inside a content are removed or spelled out.

        Args:
            reply: What the player wrote.
            final: Kind of action that ends this player's game.
            has_search_tool: Whether a search counts as an action (a reader has no search tool).

        >>> Protocol("default").parse("Hm. <search> blue whale </search> and", "answer").content
        'blue whale'
        >>> reply = "<answer> Sarn </answer>? No. </think> <answer> Tavor </answer>"
        >>> Protocol("default").parse(reply, "answer").content
        'Tavor'
        """
        text, calls = (reply, ()) if isinstance(reply, str) else (reply.text, reply.tool_calls)
        native = self.calls == "native"
        kinds: dict[str, ActionKind] = {getattr(self, final): final}
        if has_search_tool and not native:
            kinds[self.search] = "search"
            if self.open in self.tags:
                kinds[self.open] = "open"
        found, body, end, spoofed = self._first_action(text, kinds)
        kind: ActionKind = found or "malformed"
        call, content, code = None, "", "no_action"
        if found == "search" and self.calls == "hermes":
            kind, content, code = self._called(*read_hermes_call(body))
        elif found is not None:
            content, code = self.accept(body, bounded=found != "question")
        elif native and has_search_tool and calls:
            call, calls = calls[0], calls[1:]
            body = call.arguments
            kind, content, code = self._called(call.name, body)
        return Action(
            kind="malformed" if code else kind,
            content=content,
            text=text[:end],
            code=code,
            spoofed=spoofed,
            dropped=len(text) - end,
            call=call,
            dropped_calls=len(calls),
            body=body,
        )

    def _called(self, name: str, arguments: Any, code: str = "") -> tuple[ActionKind, str, str]:
        """Return what a call does, with what, and an empty code; or what is wrong with it."""
        if code:
            return "malformed", "", code
        if self.open and name == self.open:
            return "open", *self.accept(*read_open(arguments))
        return "search", *self.accept(*read_call(name, arguments, tool=self.tool))

    def _first_action(
        self, text: str, kinds: Mapping[str, ActionKind]
    ) -> tuple[ActionKind | None, str, int, int]:
        """Scan a player's text; linear in its length, because what is skipped is never looked at again.

        Args:
            text: What the player wrote.
            kinds: Tag names that make an action, and which.

        Returns:
            The kind of the first complete action, the text between its tags and where its closing tag ends
            (None, nothing and the length of the text if there is none), and how many observation tags the
            player wrote before that.
        """
        last_closing = {name: text.rfind(f"</{name}>") for name in self._ignored}
        opened: dict[str, int] = {}
        spoofed, skip_until = 0, self.end_of_opening_thought(text)
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
                return kinds[name], text[opened[name] : match.start()], match.end(), spoofed
        return None, "", len(text), spoofed

    def end_of_opening_thought(self, text: str) -> int:
        """Where the thought ends in which a text began, by its closing tag without an opening one; else 0.

        >>> Protocol("default").end_of_opening_thought("hm </think> yes")
        11
        """
        closing_tag = f"</{self.think}>"
        closing = text.find(closing_tag)
        return 0 if closing < 0 or f"<{self.think}>" in text[:closing] else closing + len(closing_tag)

    def begins_in_thought(self, prompt: str) -> bool:
        r"""Whether a rendered prompt ends inside a thought, so that a reply to it begins there.

        Templates of reasoning models (Qwen3-Thinking, DeepSeek-R1) write the opening tag themselves.

        >>> Protocol("default").begins_in_thought("<|im_start|>assistant\n<think>\n")
        True
        """
        return prompt.rstrip().endswith(f"<{self.think}>")

    def close_thought(self, text: str) -> str:
        """Add the think tags to a reply that began inside a thought without which no reader could tell.

        A closing tag is added if the thought was cut off, an opening one if the thought itself writes such a
        tag. Most replies need neither.

        >>> Protocol("default").close_thought("Maybe <answer> Sarn </answer>? I am not")
        'Maybe <answer> Sarn </answer>? I am not</think>'
        """
        closed = text if f"</{self.think}>" in text else f"{text}</{self.think}>"
        return closed if self.end_of_opening_thought(closed) else f"<{self.think}>{closed}"

    def accept(self, content: str, code: str = "", *, bounded: bool = True) -> tuple[str, str]:
        """Make a content fit to be searched for or shown, or say why it is none.

        Args:
            content: A query, question or answer as it was written.
            code: What is wrong with it already; passed on.
            bounded: Whether `max_chars` holds.

        Returns:
            The content without tags and surrounding white space and an empty code, or an empty content and a
            code of `MALFORMED_CODES`.

        >>> Protocol("default").accept(" blue whale ")
        ('blue whale', '')
        """
        if code:
            return "", code
        content = self.escape(self._tag.sub(" ", content)).strip()
        if not any(char.isprintable() and not char.isspace() for char in content):
            return "", "empty_action"
        return ("", "too_long") if bounded and len(content) > self.max_chars else (content, "")

    # -- showing ---------------------------------------------------------------------------------------

    def escape(self, text: str) -> str:
        """Defuse tags and chat-template tokens inside text that others wrote.

        >>> Protocol("default").escape("see <answer> 42 </answer>")
        'see &lt;answer&gt; 42 &lt;/answer&gt;'
        """
        return self._escaper(text)

    def passages(self, passages: Sequence[Passage]) -> str:
        """Render passages for a model, tags inside them escaped; a notice if there are none."""
        if not passages:
            return self.notices["no_results"]
        if self.layout == "plain":
            return " ; ".join(self.escape(passage.text) for passage in passages)
        return "\n\n".join(
            f"Doc {rank} ({self._heading(passage)})\n{self.escape(passage.text)}"
            for rank, passage in enumerate(passages, start=1)
        )

    def _heading(self, passage: Passage) -> str:
        title = f"Title: {self.escape(passage.title)}"
        named = self.open and PartId.parse(passage.id).parts > 1
        return f"{title}, page: {self.escape(passage.id)}" if named else title

    def observe(self, passages: Sequence[Passage]) -> str:
        """Render a search result as the environment's message."""
        return self._observation(self.passages(passages))

    def notify(self, notice: Notice) -> str:
        """Render an environment notice as an observation."""
        return self._observation(self.notices[notice])

    def _observation(self, body: str) -> str:
        if self.calls == "native":
            return body
        if self.layout == "plain":
            return self.wrap(self.observation, body)
        return f"<{self.observation}>\n{body}\n</{self.observation}>"

    def said(self, action: Action) -> Message:
        """Return a player's turn as it stands in its conversation: its own words, control tokens defused."""
        calls: tuple[ToolCall, ...] = ()
        if action.call is not None:
            id, name, arguments = map(defuse, (action.call.id, action.call.name, action.call.arguments))
            calls = (ToolCall(id or "call", name, arguments),)
        return Message("assistant", defuse(action.text), calls)

    def answered(self, said: Message, content: str) -> Message:
        """Return what the environment says to a player's turn, as the reply to its tool call if it made one.

        Chat endpoints with native tool calls take no tool message without a call; then a user says it.
        """
        if said.tool_calls:
            return Message("tool", content, tool_call_id=said.tool_calls[0].id)
        return Message("user" if self.calls == "native" else "tool", content)


_HERMES = Protocol(
    "hermes", search="tool_call", observation="tool_response", calls="hermes", notices=TOOL_NOTICES
)
_PROTOCOLS = (
    Protocol("default"),
    Protocol("qwen2p5"),
    Protocol("R-Search", observation="observation", evidence="original_evidence"),
    Protocol("llama3p1"),
    Protocol("terse", quote="", layout="plain", notices=TERSE_NOTICES),
    _HERMES,
    replace(_HERMES, name="openai", calls="native"),
)
_OPENING = [
    replace(protocol, name=f"{protocol.name}-open", open="open")
    for protocol in _PROTOCOLS
    if protocol.name in ("default", "hermes", "openai")
]
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (*_PROTOCOLS, *_OPENING)}
)
"""Presets by name; the first four carry the names of the reference implementation's chat templates.

`hermes` is for players that read and write text: calls are `<tool_call>` JSON as Qwen and Hermes models write
them, results come between `<tool_response>` tags. `openai` is for chat endpoints and chat templates with tool
calls of their own: calls come as `Reply.tool_calls`, results go out as `tool` messages with a `tool_call_id`,
and the template adds its tags. In both the final question or answer stands between tags, as the reward
functions of verl and Search-R1 expect it. `default-open`, `hermes-open` and `openai-open` also open parts of
pages that a search has listed.
"""
