"""Any causal language model of transformers as a player of every role, by chat template or as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from agents.sampling import Sample, sample
from ssp_env.game import PROTOCOLS, Action, Message, Protocol, Reply, View
from ssp_env.game.protocol import FinalKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Rendering = Literal["chat", "plain"]
Piece = tuple[int, ...]


class ChatModel:
    """Plays proposer, solver and reader with a causal language model.

    A turn ends with the first complete action, the model's end-of-turn token or `max_new_tokens`. Every
    message is tokenised once: what the model sampled is kept as ids and never decoded and encoded again.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        tokenizer: Its tokenizer.
        protocol: Tags of the games it plays.
        rendering: `chat` uses the tokenizer's chat template, with what the environment says as user messages;
            `plain` joins the messages line by line, the way base models read demonstrations.
        temperature: Sampling temperature; 0 takes the likeliest token.
        top_p: Mass of the likeliest tokens sampled from.
        max_new_tokens: Most tokens per turn.
        context_window: Most tokens of prompt and reply together; the model's own limit if None.
        batch_tokens: Most tokens, padding included, decoded together; bounds the memory of the KV cache.
        seed: Seed of the private generator.

    Attributes:
        cut_prompts: Prompts that had to be shortened to fit the context window.
        sampled_tokens: Tokens sampled so far.

    Raises:
        ValueError: If an option is out of its range, `rendering` is `chat` and there is no chat template, or
            the protocol has native tool calls.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        temperature: float = 0.7,
        top_p: float = 0.95,
        max_new_tokens: int = 128,
        context_window: int | None = None,
        batch_tokens: int = 16_384,
        seed: int = 0,
    ) -> None:
        window = context_window or model.config.max_position_embeddings
        if rendering == "chat" and tokenizer.chat_template is None:
            raise ValueError("this tokenizer has no chat template: use rendering='plain'")
        if not 0 < max_new_tokens < window:
            raise ValueError(f"max_new_tokens must be from 1 to {window - 1}, got {max_new_tokens}")
        if temperature < 0 or not 0 < top_p <= 1:
            raise ValueError(f"need temperature >= 0 and 0 < top_p <= 1, got {temperature} and {top_p}")
        self.model = model
        self.tokenizer = tokenizer
        if protocol.calls == "native":
            raise ValueError(
                f"this player writes text, which cannot hold the native tool calls of {protocol.name!r}; "
                "choose a protocol of tags, or hermes"
            )
        self.protocol = protocol
        self.rendering = rendering
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.cut_prompts = 0
        self.sampled_tokens = 0
        self._room = window - max_new_tokens
        self._batch_tokens = batch_tokens
        self._rng = np.random.default_rng(seed)
        # Sampled ids by conversation and by the place the reply took among its messages.
        self._spoken: dict[tuple[str, str, str], dict[int, Piece]] = {}

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view.

        A reply carries token ids and log-probabilities unless the model read something other than the tokens
        of the conversation (a shortened prompt, a template that rewrites the past): then it is text alone.
        """
        read = [self._read(view) for view in views]
        replies: dict[int, Reply] = {}
        for batch in self._batches(views, [prompt for prompt, _ in read]):
            asked = [views[row] for row in batch]
            sampled = self._sample([read[row][0] for row in batch], asked)
            for row, view, sample_ in zip(batch, asked, sampled, strict=True):
                replies[row] = self._reply(view, read[row][1], sample_)
        return [replies[row] for row in range(len(views))]

    # -- reading ---------------------------------------------------------------------------------------

    def _read(self, view: View) -> tuple[Piece, Piece | None]:
        """Return the prompt's ids and those new since the last reply (None if earlier ones changed)."""
        spoken = self._spoken.get(view.conversation_id, {})
        if any(place >= len(view.messages) for place in spoken):
            # Conversations only grow: another one has begun under the same name.
            del self._spoken[view.conversation_id]
            spoken = {}
        segments = self._segments(view.messages, spoken)
        faithful = len(segments) == 2 * len(spoken) + 1
        prompt = tuple(token for ids in segments for token in ids)
        if len(prompt) <= self._room:
            return prompt, segments[-1] if faithful else None
        self.cut_prompts += 1
        tail = self._room // 2
        return prompt[: self._room - tail] + prompt[len(prompt) - tail :], None

    def _segments(self, messages: Sequence[Message], spoken: Mapping[int, Piece]) -> list[Piece]:
        """Return what was read, what was sampled, what was read, ...; one piece if that is impossible."""
        segments: list[Piece] = []
        done, end = "", ""
        for place, ids in sorted(spoken.items()):
            text, content = self._render(messages[:place]), messages[place].content
            if not text.startswith(done) or not self._decode(ids).startswith(content):
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

    def _encode(self, text: str) -> Piece:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _decode(self, ids: Sequence[int]) -> str:
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        assert isinstance(text, str)
        return text

    # -- writing ---------------------------------------------------------------------------------------

    def _batches(self, views: Sequence[View], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Group rows of one phase, whose prompts begin alike, and of like length, within `batch_tokens`."""
        batches: list[list[int]] = []
        for row in sorted(range(len(views)), key=lambda row: (views[row].phase, -len(prompts[row]))):
            longest = batches[-1][0] if batches else row
            room = self._batch_tokens // (len(prompts[longest]) + self.max_new_tokens)
            if batches and views[longest].phase == views[row].phase and len(batches[-1]) < room:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def _sample(self, prompts: Sequence[Sequence[int]], views: Sequence[View]) -> list[Sample]:
        return sample(
            self.model,
            prompts,
            is_finished=lambda row, ids: self._is_finished(views[row], ids),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            rng=self._rng,
        )

    def _is_finished(self, view: View, ids: Sequence[int]) -> bool:
        if ids[-1] == self.tokenizer.eos_token_id:
            return True
        if ">" not in self._decode(ids[-1:]):
            return False
        action = self._parse(view, self._decode(ids))
        return action.kind != "malformed" or action.code == "empty_action"

    def _parse(self, view: View, text: str) -> Action:
        final: FinalKind = "question" if view.phase == "propose" else "answer"
        return self.protocol.parse(text, final, may_search=view.phase != "verify")

    def _reply(self, view: View, context: Piece | None, sampled: Sample) -> Reply:
        ids = tuple(sampled.token_ids)
        text = self._decode(ids)
        self.sampled_tokens += len(ids)
        if self._parse(view, text).kind in ("question", "answer") or view.turns_left <= 1:
            self._spoken.pop(view.conversation_id, None)
        else:
            self._spoken.setdefault(view.conversation_id, {})[len(view.messages)] = ids
        if context is None:
            return Reply(text)
        return Reply(text, ids, tuple(sampled.logprobs), context)
