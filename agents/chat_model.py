"""Any causal language model of transformers as a player of every role, by chat template or as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from agents.conversation_tokens import ConversationTokens, Prompt, Rendering
from agents.sampling import Sample, sample
from ssp_env.game import PROTOCOLS, Protocol, Reply, View

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class ChatModel:
    """Plays proposer, solver and reader with a causal language model.

    A turn ends with the first complete action, the model's end-of-turn token or `max_new_tokens`. Every
    message is tokenised once: what the model sampled is kept as ids and never decoded and encoded again.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        tokenizer: Its tokenizer.
        protocol: Tags of the games it plays.
        rendering: How messages become text, see `ConversationTokens`.
        temperature: Sampling temperature; 0 takes the likeliest token.
        top_p: Mass of the likeliest tokens sampled from.
        max_new_tokens: Most tokens per turn.
        context_window: Most tokens of prompt and reply together; the model's own limit if None.
        batch_tokens: Most tokens, padding included, decoded together; bounds the memory of the KV cache.
        seed: Seed of the private generator.

    Attributes:
        conversations: The conversations as token ids.
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
        if not 0 < max_new_tokens < window:
            raise ValueError(f"max_new_tokens must be from 1 to {window - 1}, got {max_new_tokens}")
        if temperature < 0 or not 0 < top_p <= 1:
            raise ValueError(f"need temperature >= 0 and 0 < top_p <= 1, got {temperature} and {top_p}")
        self.conversations = ConversationTokens(
            tokenizer, protocol=protocol, rendering=rendering, max_prompt_tokens=window - max_new_tokens
        )
        self.model = model
        self.temperature = temperature
        self.top_p = top_p
        self.max_new_tokens = max_new_tokens
        self.sampled_tokens = 0
        self._batch_tokens = batch_tokens
        self._rng = np.random.default_rng(seed)

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view, with token ids and log-probabilities wherever a trainer may use them."""
        prompts = [self.conversations.prompt(view) for view in views]
        replies: dict[int, Reply] = {}
        for batch in self._batches(views, prompts):
            asked = [views[row] for row in batch]
            sampled = self._sample([prompts[row].token_ids for row in batch], asked)
            for row, view, drawn in zip(batch, asked, sampled, strict=True):
                self.sampled_tokens += len(drawn.token_ids)
                replies[row] = self.conversations.reply(view, prompts[row], drawn.token_ids, drawn.logprobs)
        return [replies[row] for row in range(len(views))]

    def _batches(self, views: Sequence[View], prompts: Sequence[Prompt]) -> list[list[int]]:
        """Group rows of one phase, whose prompts begin alike, and of like length, within `batch_tokens`."""
        lengths = [len(prompt.token_ids) for prompt in prompts]
        batches: list[list[int]] = []
        for row in sorted(range(len(views)), key=lambda row: (views[row].phase, -lengths[row])):
            longest = batches[-1][0] if batches else row
            room = self._batch_tokens // (lengths[longest] + self.max_new_tokens)
            if batches and views[longest].phase == views[row].phase and len(batches[-1]) < room:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def _sample(self, prompts: Sequence[Sequence[int]], views: Sequence[View]) -> list[Sample]:
        return sample(
            self.model,
            prompts,
            is_finished=lambda row, ids: self.conversations.is_finished(views[row], ids),
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            rng=self._rng,
        )
