"""Conversations as token ids: every message is tokenised once, and what a model sampled stays as it was."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agents import native_calls
from agents.chat_roles import knows_system_role, knows_tool_role, without_system
from ssp_env.game import PROTOCOLS, Action, Message, Protocol, Reply, View
from ssp_env.game.view import ToolRole

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Rendering = Literal["chat", "plain"]
Overflow = Literal["cut", "error"]
TokenIds = tuple[int, ...]

# Stands for the last reply in a rendered conversation; what follows it is what the model has not read yet.
_MARK = "QWXZreplyZXWQ"
# A game may end without another turn of this player, so only this many conversations are kept.
_MOST_OPEN = 65_536


class ContextOverflow(ValueError):
    """A prompt is longer than the context window allows."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads before its turn.

    Attributes:
        token_ids: The whole conversation, up to where the reply begins.
        context_ids: The ids that are new since the model's last reply; None if earlier ones changed (the
            prompt was shortened, or the messages are others than before), so that no trainer may use this
            turn.
        uncut_ids: The conversation before it was shortened.
        opening: How many of `uncut_ids` the player was told before its first turn.
    """

    token_ids: TokenIds
    context_ids: TokenIds | None
    uncut_ids: TokenIds = field(default=(), repr=False)
    opening: int = 0


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A conversation up to the end of the model's last reply, as messages and as ids."""

    messages: tuple[Message, ...]
    token_ids: array[int]
    faithful: bool
    opening: int


class ConversationTokens:
    """Turns views into prompts and sampled ids into replies, without ever re-tokenising a reply.

    What a model has read is never rendered again: each turn adds what the template writes after the last
    reply, so that templates that rewrite the past, by dropping earlier thoughts for example, cannot do so.

    Where the rendered prompt ends with an opening think tag, the turn begins inside a thought: it is not
    finished before the thought is closed, and the text of a thought that was cut off is closed (see
    `Protocol.close_thought`), while its ids stay what was sampled.

    Args:
        tokenizer: The model's tokenizer.
        protocol: Tags of the games it plays. Native calls need a chat template that shows tools and writes
            calls as JSON in `<tool_call>` tags; results are `tool` messages if it knows that role.
        rendering: `chat` uses the tokenizer's chat template, with what the environment says as user messages;
            a system message that the template refuses stands at the beginning of the first user message.
            `plain` joins the messages line by line, the way base models read demonstrations, behind the BOS
            token where the tokenizer begins texts with it.
        max_prompt_tokens: The longest prompt.
        on_overflow: `cut` takes out the middle of longer prompts, whose turns then carry no ids; `error`
            raises ContextOverflow.
        end_ids: Ids that end a turn; the tokenizer's end-of-sequence token if None.

    Attributes:
        cut_prompts: Prompts that had to be shortened.
        end_ids: Ids that end a turn.

    Raises:
        ValueError: If `rendering` is `chat` and there is no chat template, or the protocol has native calls
            and the template has none, or an option is unknown.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        max_prompt_tokens: int,
        on_overflow: Overflow = "cut",
        end_ids: Collection[int] | None = None,
    ) -> None:
        if rendering == "chat" and tokenizer.chat_template is None:
            raise ValueError("this tokenizer has no chat template: use rendering='plain'")
        if on_overflow not in ("cut", "error"):
            raise ValueError(f"on_overflow must be 'cut' or 'error', got {on_overflow!r}")
        self._native = protocol.calls == "native"
        if self._native and rendering == "plain":
            raise ValueError(
                f"plain text cannot hold the native tool calls of {protocol.name!r}: "
                "choose a protocol of tags, hermes, or rendering='chat'"
            )
        if self._native:
            native_calls.check_template(tokenizer, protocol)
        self._tool_role: ToolRole = "tool" if self._native and knows_tool_role(tokenizer) else "user"
        self._merges_system = rendering == "chat" and not knows_system_role(tokenizer)
        self._first_ids = _bos_ids(tokenizer) if rendering == "plain" else ()
        self.tokenizer = tokenizer
        self.protocol = protocol
        self.rendering = rendering
        self.max_prompt_tokens = max_prompt_tokens
        self.on_overflow = on_overflow
        self.cut_prompts = 0
        self.end_ids = frozenset([tokenizer.eos_token_id] if end_ids is None else end_ids)
        self._spoken: OrderedDict[tuple[str, str, str], _Spoken] = OrderedDict()
        # Conversations whose present turn begins inside a thought.
        self._in_thought: set[tuple[str, str, str]] = set()

    def forget(self) -> None:
        """Forget all conversations; the next turn of each is read as text from its beginning."""
        self._spoken.clear()
        self._in_thought.clear()

    # -- reading ---------------------------------------------------------------------------------------

    def prompt(self, view: View) -> Prompt:
        """Return what the model reads now; earlier replies stand in it as the ids that were sampled.

        Raises:
            ContextOverflow: If it is too long and `on_overflow` is `error`.
        """
        spoken = self._spoken.get(view.conversation_id)
        if spoken and len(view.messages) <= len(spoken.messages):
            # Conversations only grow: another one has begun under the same name.
            del self._spoken[view.conversation_id]
            spoken = None
        if spoken and view.messages[: len(spoken.messages)] == spoken.messages:
            text = self._unread(view, spoken)
            new = self._encode(text)
            ids, faithful, opening = (*spoken.token_ids, *new), spoken.faithful, spoken.opening
        else:
            text = self._render(view, view.messages)
            ids = new = self._begun(self._encode(text))
            faithful, opening = spoken is None, len(ids)
        if self.protocol.begins_in_thought(text):
            self._in_thought.add(view.conversation_id)
        else:
            self._in_thought.discard(view.conversation_id)
        if len(ids) <= self.max_prompt_tokens:
            return Prompt(ids, new if faithful else None, ids, opening)
        if self.on_overflow == "error":
            raise ContextOverflow(
                f"the prompt of {view.seat} in game {view.game_id!r} has {len(ids)} tokens, "
                f"the context window has room for {self.max_prompt_tokens}"
            )
        self.cut_prompts += 1
        return Prompt(_shortened(ids, opening, self.max_prompt_tokens), None, ids, opening)

    def _unread(self, view: View, spoken: _Spoken) -> str:
        """What the template writes after the model's last reply, up to where the next one begins."""
        place = len(spoken.messages) - 1
        marked = (*view.messages[:place], Message("assistant", _MARK), *view.messages[place + 1 :])
        unread = self._render(view, marked).rpartition(_MARK)[2]
        last = spoken.token_ids[-1]
        if last not in self.end_ids:
            return unread
        # A sampled end of turn is there already; the template writes it again, some after a line break.
        before, _, after = unread.partition(str(self.tokenizer.decode([last])))
        return unread if before.strip() else after

    def _render(self, view: View, messages: Sequence[Message]) -> str:
        """The conversation as one text, up to where the model's reply begins."""
        if self.rendering == "plain":
            return "".join(f"{message.content}\n" for message in messages)
        # Few templates know the role `tool`; results come from outside, as a user's words do.
        chat = [
            {**native_calls.as_chat_message(message), "role": self._role(message)} for message in messages
        ]
        if self._merges_system:
            chat = without_system(chat)
        tools = self.protocol.tools() if self._native and view.has_search_tool else None
        return str(
            self.tokenizer.apply_chat_template(chat, tools=tools, tokenize=False, add_generation_prompt=True)  # type: ignore[arg-type]
        )

    def _role(self, message: Message) -> str:
        return self._tool_role if message.role == "tool" else message.role

    def _begun(self, ids: TokenIds) -> TokenIds:
        """Return the ids of a whole conversation, which begin as the tokenizer begins a text."""
        return ids if ids[: len(self._first_ids)] == self._first_ids else self._first_ids + ids

    def _encode(self, text: str) -> TokenIds:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of sampled ids, special tokens left out."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        assert isinstance(text, str)
        return text

    # -- writing ---------------------------------------------------------------------------------------

    def is_finished(self, view: View, ids: Sequence[int]) -> bool:
        """Whether a turn is over: its first action is complete, or the model ended it."""
        if ids[-1] in self.end_ids:
            return True
        if ">" not in self.decode(ids[-1:]):
            return False
        text = self._text(view, ids)
        if self._native:
            return self._read_native(view, text)[1]
        return self._parse(view, text).code != "no_action"

    def is_last(self, view: View, ids: Sequence[int]) -> bool:
        """Whether no turn of this conversation can follow a finished one."""
        return view.turns_left <= 1 or self._parse(view, self._read(view, ids)).kind in ("question", "answer")

    def reply(self, view: View, prompt: Prompt, ids: Sequence[int], logprobs: Sequence[float]) -> Reply:
        """Return the turn and remember its ids for the prompts to come.

        The reply carries its ids and log-probabilities unless the model read something other than the tokens
        of the conversation (see `Prompt.context_ids`): then it is text alone.
        """
        reply = self._read(view, ids)
        is_last = self.is_last(view, ids)
        self._in_thought.discard(view.conversation_id)
        if is_last:
            self._spoken.pop(view.conversation_id, None)
        else:
            said = self.protocol.said(self._parse(view, reply))
            read = array("q", prompt.uncut_ids or prompt.token_ids)
            read.extend(ids)
            self._spoken[view.conversation_id] = _Spoken(
                (*view.messages, said), read, prompt.context_ids is not None, prompt.opening
            )
            self._spoken.move_to_end(view.conversation_id)
            if len(self._spoken) > _MOST_OPEN:
                self._spoken.popitem(last=False)
        if prompt.context_ids is None:
            return reply
        return Reply(reply.text, tuple(ids), tuple(logprobs), prompt.context_ids, reply.tool_calls)

    def _read(self, view: View, ids: Sequence[int]) -> Reply:
        text = self._text(view, ids)
        return self._read_native(view, text)[0] if self._native else Reply(text)

    def _text(self, view: View, ids: Sequence[int]) -> str:
        text = self.decode(ids)
        return self.protocol.close_thought(text) if view.conversation_id in self._in_thought else text

    def _read_native(self, view: View, text: str) -> tuple[Reply, bool]:
        return native_calls.read_reply(
            text,
            self.protocol,
            view.final_action,
            has_search_tool=view.has_search_tool,
            call_id=f"call_{len(view.messages)}",
        )

    def _parse(self, view: View, reply: str | Reply) -> Action:
        return self.protocol.parse(reply, view.final_action, has_search_tool=view.has_search_tool)


def _bos_ids(tokenizer: PreTrainedTokenizerBase) -> TokenIds:
    """Return the BOS token if the tokenizer puts it before a text."""
    bos, text = tokenizer.bos_token_id, "a"
    first = tokenizer(text)["input_ids"][:1]
    bare = tokenizer(text, add_special_tokens=False)["input_ids"][:1]
    return (bos,) if bos is not None and first == [bos] != bare else ()


def _shortened(ids: TokenIds, opening: int, limit: int) -> TokenIds:
    """Cut the oldest tokens after the opening, and the middle of the opening if that is too long as well."""
    told, later = ids[:opening], ids[opening:]
    room = max(limit - len(later), limit // 2)
    if len(told) > room:
        told = told[: room - room // 2] + told[len(told) - room // 2 :]
    return told + later[len(later) - min(len(later), limit - len(told)) :]
