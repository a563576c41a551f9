"""Conversations as token ids: every message is tokenised once, and what a model sampled stays as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ssp_env.game import PROTOCOLS, Action, Message, Protocol, Reply, View
from ssp_env.game.protocol import FinalKind

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Rendering = Literal["chat", "plain"]
TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads before its turn.

    Attributes:
        token_ids: The whole conversation, up to where the reply begins.
        context_ids: The ids that are new since the model's last reply; None if earlier ones changed (the
            prompt was shortened, or the template rewrites the past), so that no trainer may use this turn.
    """

    token_ids: TokenIds
    context_ids: TokenIds | None


class ConversationTokens:
    """Turns views into prompts and sampled ids into replies, without ever re-tokenising a reply.

    Args:
        tokenizer: The model's tokenizer.
        protocol: Tags of the games it plays.
        rendering: `chat` uses the tokenizer's chat template, with what the environment says as user messages;
            `plain` joins the messages line by line, the way base models read demonstrations.
        max_prompt_tokens: Longer prompts lose their middle.

    Attributes:
        cut_prompts: Prompts that had to be shortened.

    Raises:
        ValueError: If `rendering` is `chat` and there is no chat template, or the protocol has native calls.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        max_prompt_tokens: int,
    ) -> None:
        if rendering == "chat" and tokenizer.chat_template is None:
            raise ValueError("this tokenizer has no chat template: use rendering='plain'")
        if protocol.calls == "native":
            raise ValueError(
                f"this player writes text, which cannot hold the native tool calls of {protocol.name!r}; "
                "choose a protocol of tags, or hermes"
            )
        self.tokenizer = tokenizer
        self.protocol = protocol
        self.rendering = rendering
        self.max_prompt_tokens = max_prompt_tokens
        self.cut_prompts = 0
        # Sampled ids by conversation and by the place the reply took among its messages.
        self._spoken: dict[tuple[str, str, str], dict[int, TokenIds]] = {}

    # -- reading ---------------------------------------------------------------------------------------

    def prompt(self, view: View) -> Prompt:
        """Return what the model reads now; earlier replies stand in it as the ids that were sampled."""
        spoken = self._spoken.get(view.conversation_id, {})
        if any(place >= len(view.messages) for place in spoken):
            # Conversations only grow: another one has begun under the same name.
            del self._spoken[view.conversation_id]
            spoken = {}
        segments = self._segments(view.messages, spoken)
        faithful = len(segments) == 2 * len(spoken) + 1
        ids = tuple(token for segment in segments for token in segment)
        if len(ids) <= self.max_prompt_tokens:
            return Prompt(ids, segments[-1] if faithful else None)
        self.cut_prompts += 1
        tail = self.max_prompt_tokens // 2
        return Prompt(ids[: self.max_prompt_tokens - tail] + ids[len(ids) - tail :], None)

    def _segments(self, messages: Sequence[Message], spoken: Mapping[int, TokenIds]) -> list[TokenIds]:
        """Return what was read, what was sampled, what was read, ...; one piece if that is impossible."""
        segments: list[TokenIds] = []
        done, end = "", ""
        for place, ids in sorted(spoken.items()):
            text, content = self._render(messages[:place]), messages[place].content
            if not text.startswith(done) or not self.decode(ids).startswith(content):
                return [self._encode(self._render(messages))]
            segments += [self._encode(text[len(done) :].removeprefix(end)), ids]
            done = text + content
            # A sampled end of turn is there already; the template writes it again.
            end = self.tokenizer.eos_token if ids[-1] == self.tokenizer.eos_token_id else ""
        text = self._render(messages)
        if not text.startswith(done):
            return [self._encode(text)]
        return [*segments, self._encode(text[len(done) :].removeprefix(end))]

    def _render(self, messages: Sequence[Message]) -> str:
        """The conversation as one text, up to where the model's reply begins."""
        if self.rendering == "plain":
            return "".join(f"{message.content}\n" for message in messages)
        # Few templates know the role `tool`; results and notices come from outside, as a user's words do.
        chat = [
            {"role": "user" if message.role == "tool" else message.role, "content": message.content}
            for message in messages
        ]
        return str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

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
        if ids[-1] == self.tokenizer.eos_token_id:
            return True
        if ">" not in self.decode(ids[-1:]):
            return False
        action = self._parse(view, self.decode(ids))
        return action.kind != "malformed" or action.code == "empty_action"

    def reply(self, view: View, prompt: Prompt, ids: Sequence[int], logprobs: Sequence[float]) -> Reply:
        """Return the turn and remember its ids for the prompts to come.

        The reply carries its ids and log-probabilities unless the model read something other than the tokens
        of the conversation (see `Prompt.context_ids`): then it is text alone.
        """
        text = self.decode(ids)
        if self._parse(view, text).kind in ("question", "answer") or view.turns_left <= 1:
            self._spoken.pop(view.conversation_id, None)
        else:
            self._spoken.setdefault(view.conversation_id, {})[len(view.messages)] = tuple(ids)
        if prompt.context_ids is None:
            return Reply(text)
        return Reply(text, tuple(ids), tuple(logprobs), prompt.context_ids)

    def _parse(self, view: View, text: str) -> Action:
        final: FinalKind = "question" if view.phase == "propose" else "answer"
        return self.protocol.parse(text, final, may_search=view.phase != "verify")
