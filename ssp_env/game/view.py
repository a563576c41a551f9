"""Seats, roles, what a player sees and what it replies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

MessageRole = Literal["system", "user", "assistant", "tool"]
ToolRole = Literal["tool", "user"]
"""Role of what the environment says; `user` where a chat template or an endpoint knows no `tool`."""
SeatPhase = Literal["propose", "verify", "solve"]
Role = Literal["proposer", "solver", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)
FinalKind = Literal["question", "answer"]
Probe = Literal["recovery", "closed_book", "uniqueness", "second_recovery"]
"""What a reading checks: the answer follows from the evidence; memory is not enough; no other answer fits;
the answer follows from the evidence in another order and among other noise too."""

PROPOSER_SEAT: Final = "proposer_0"
READER_SEAT: Final = "solver_0"
"""The seat of every reading: by the published method the solver's policy reads."""
READINGS: Final[Mapping[Probe, str]] = {
    "recovery": "reader",
    "closed_book": "reader/closed_book",
    "uniqueness": "reader/uniqueness",
    "second_recovery": "reader/second_recovery",
}
"""What stands in the place of a seat where the answer of a reading is scored."""
MAX_ANSWER_CHARS: Final = 2000
"""Most characters of a query or an answer that a player may write, and of a right answer."""
_ROLE_IN_PHASE: Mapping[SeatPhase, Role] = {"propose": "proposer", "verify": "reader", "solve": "solver"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call as chat endpoints return it beside the text of a reply.

    Attributes:
        id: Identifier the result will refer to.
        name: Name of the function.
        arguments: Its arguments as the model wrote them, normally a JSON object.

    Raises:
        TypeError: If a field is not a string.
        ValueError: If the id is empty.
    """

    id: str
    name: str
    arguments: str

    def __post_init__(self) -> None:
        for key in ("id", "name", "arguments"):
            object.__setattr__(self, key, _unicode(getattr(self, key), f"{key} of a tool call"))
        if not self.id:
            raise ValueError("a tool call needs an id, got an empty one")

    @classmethod
    def from_openai(cls, data: Mapping[str, Any]) -> ToolCall:
        """Read a call in the shape of OpenAI's chat completions; arguments may be an object already.

        Null arguments, which some servers send, are those of an empty object: a malformed call of a model.

        Raises:
            ValueError: If `id`, `function` or one of its fields is missing.

        >>> function = {"name": "search", "arguments": '{"query": "blue whale"}'}
        >>> ToolCall.from_openai({"id": "c1", "type": "function", "function": function}).name
        'search'
        """
        try:
            function = data["function"]
            name, arguments = function["name"], function["arguments"]
            if arguments is None or isinstance(arguments, Mapping):
                arguments = json.dumps(dict(arguments or {}))
            return cls(data["id"], name, arguments)
        except KeyError as error:
            raise ValueError(
                "a tool call needs id and function with name and arguments, "
                f"got {dict(data)!r} without {error}"
            ) from None

    def to_openai(self) -> dict[str, Any]:
        """Return the call in the shape of OpenAI's chat completions."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; `tool` messages are written by the environment, `assistant` ones by the player.

    Attributes:
        role: Who speaks.
        content: The text.
        tool_calls: Calls that go with an assistant's text (protocols with native tool calls only).
        tool_call_id: The call that a tool message answers; empty if the call was plain text.
    """

    role: MessageRole
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    def to_openai(self, tool_role: ToolRole = "tool") -> dict[str, Any]:
        """Return the message as chat endpoints and chat templates take it.

        Args:
            tool_role: Role of a message of the environment; that of the result of a native call is `tool`,
                whatever it says.

        >>> Message("user", "Hello").to_openai()
        {'role': 'user', 'content': 'Hello'}
        >>> Message("tool", "No passage matches.").to_openai("user")["role"]
        'user'
        """
        role = tool_role if self.role == "tool" and not self.tool_call_id else self.role
        message: dict[str, Any] = {"role": role, "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [call.to_openai() for call in self.tool_calls]
        if self.tool_call_id:
            message["tool_call_id"] = self.tool_call_id
        return message


@dataclass(frozen=True, slots=True)
class View:
    """Everything a seat may know when it is its turn.

    Attributes:
        game_id: Identifier of the game, unique among games played together.
        seat: `proposer_0`, `solver_0`, `solver_1`, ...
        phase: `propose`, `verify` (one turn as a reader, no search) or `solve`.
        messages: The conversation so far, oldest first.
        turns_left: Turns this seat may still take, this one included.
        searches_left: Searches this seat may still have executed.
        tokens_left: Tokens the seat may still sample; None without a limit.
        probe: What a reading checks; None in the other phases.
        opens_left: Parts of pages that this seat may still open; 0 under protocols that open none.
        must_quote: Whether an answer counts only if it comes with quotations from what the seat was shown.
    """

    game_id: str
    seat: str
    phase: SeatPhase
    messages: tuple[Message, ...]
    turns_left: int
    searches_left: int
    tokens_left: int | None = None
    probe: Probe | None = None
    opens_left: int = 0
    must_quote: bool = False

    def to_openai(self, tool_role: ToolRole = "tool") -> list[dict[str, Any]]:
        """Return the conversation as chat endpoints and chat templates take it; see `Message.to_openai`."""
        return [message.to_openai(tool_role) for message in self.messages]

    @property
    def role(self) -> Role:
        """What the seat plays now: `solver_0` is the reader in the phase `verify`."""
        return _ROLE_IN_PHASE[self.phase]

    @property
    def final_action(self) -> FinalKind:
        """The action that ends this conversation: a proposer's question, an answer of anybody else."""
        return "question" if self.phase == "propose" else "answer"

    @property
    def has_search_tool(self) -> bool:
        """Whether a search is an action at all for this role; it is none for a reader."""
        return self.phase != "verify"

    @property
    def may_search(self) -> bool:
        """Whether a search written now would be executed and leave a turn to use its result."""
        return self.has_search_tool and self.searches_left > 0 and self.turns_left > 1

    @property
    def may_open(self) -> bool:
        """Whether a part of a page opened now would be shown and leave a turn to use it."""
        return self.has_search_tool and self.opens_left > 0 and self.turns_left > 1

    @property
    def conversation_id(self) -> tuple[str, str, str]:
        """Key under which an agent may keep state (a KV cache, say) between the turns of one conversation."""
        if self.probe in (None, "recovery"):
            return (self.game_id, self.seat, self.phase)
        return (self.game_id, self.seat, f"{self.phase}/{self.probe}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a player wrote, with the tokens it sampled if it has them.

    The one door through which a player's words enter a game: lone surrogates become U+FFFD here.

    Attributes:
        text: The reply.
        token_ids: Sampled token ids, in order; empty if unknown.
        logprobs: Log-probability of each sampled token at the sampling temperature, or empty.
        context_ids: Ids of the prompt or observation tokens the policy read since its previous reply.
        tool_calls: Calls the player made beside the text; objects in OpenAI's shape are converted.
        weights_version: Version of the weights that sampled the tokens; empty if unknown.

    Raises:
        TypeError: If text or version is not a string, or a tool call is neither a `ToolCall` nor a mapping.
        ValueError: If a tool call lacks a field, or `logprobs` has another length than `token_ids`.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    context_ids: tuple[int, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    weights_version: str = ""

    def __post_init__(self) -> None:
        for key, what in (("text", "a reply"), ("weights_version", "the version of the weights")):
            object.__setattr__(self, key, _unicode(getattr(self, key), what))
        if self.tool_calls:
            object.__setattr__(self, "tool_calls", tuple(map(_as_tool_call, self.tool_calls)))
        if self.logprobs and len(self.logprobs) != len(self.token_ids):
            raise ValueError(
                "a reply needs one log-probability per token, "
                f"got {len(self.logprobs)} for {len(self.token_ids)}"
            )


def text_of(content: Any) -> str:
    """Return the text of a chat message's content: text, parts of which those of text count, or None.

    Reasoning models of some services return their thoughts as parts beside the text.

    Raises:
        TypeError: If it is anything else.

    >>> text_of([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Corun"}])
    'Corun'
    """
    if content is None:
        return ""
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        texts = [part.get("text") for part in content if part.get("type") in ("text", "output_text")]
        content = "".join(texts) if all(isinstance(text, str) for text in texts) else texts
    if not isinstance(content, str):
        raise TypeError(f"content must be text or parts with text, got {type(content).__name__}")
    return content


def as_reply(value: str | Reply) -> Reply:
    """Wrap plain text; a `Reply` passes through."""
    return value if isinstance(value, Reply) else Reply(value)


def replace_surrogates(text: str) -> str:
    r"""Return the text with U+FFFD for every lone surrogate.

    >>> replace_surrogates("a\ud800b") == "a\ufffdb"
    True
    """
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def _unicode(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, got {type(value).__name__}")
    return replace_surrogates(value)


def _as_tool_call(call: ToolCall | Mapping[str, Any]) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    if isinstance(call, Mapping):
        return ToolCall.from_openai(call)
    raise TypeError(f"a tool call must be a ToolCall or a mapping, got {type(call).__name__}")
