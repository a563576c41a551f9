"""A token-in, token-out policy: batched decoding whose KV cache lives as long as the conversation.

Each message is tokenised once, when it is first seen; what was sampled is never decoded and encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

from ssp_env.game import Reply, View

Layers = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _Cohort:
    """KV cache of the conversations decoded together.

    Attributes:
        layers: Keys and values per layer, each (batch, heads, columns, head size).
        mask: True where a column holds a token of the row, (batch, columns).
    """

    layers: Layers
    mask: Tensor


@dataclass
class _Session:
    """Where a conversation stands: its row in a cohort, messages read and the last sampled token."""

    cohort: _Cohort
    row: int
    messages: int
    pending: int


class TinyPolicy:
    """Plays every role with one word-level causal language model.

    Args:
        model: Any `transformers` causal language model with a standard KV cache.
        tokenizer: Its tokenizer; message contents are joined by white space, roles are not rendered.
        stop_words: A turn ends with the first of these tokens (the closing tags of actions).
        temperature: Sampling temperature; 0 takes the most likely token.
        max_new_tokens: A turn of this many tokens is cut.
        seed: Seed of the private generator that samples.
    """

    prompts = "terse"
    """The prompt style it reads."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        stop_words: Sequence[str] = ("</search>", "</question>", "</answer>"),
        temperature: float = 1.0,
        max_new_tokens: int = 32,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self._stop_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(stop_words)))
        self._generator = torch.Generator().manual_seed(seed)
        self._sessions: dict[tuple[str, str, str], _Session] = {}

    def forget(self) -> None:
        """Drop the caches of all conversations; call it when the games are over."""
        self._sessions.clear()

    @torch.inference_mode()
    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Read what is new to each conversation and sample one turn for it."""
        sessions = [self._sessions.get(view.conversation_id) for view in views]
        contexts = [self._new_tokens(view, session) for view, session in zip(views, sessions, strict=True)]
        chunks = [
            [session.pending, *context] if session else context
            for session, context in zip(sessions, contexts, strict=True)
        ]
        cohort = _gather(sessions)
        tokens, logprobs, cohort = self._decode(cohort, chunks)
        replies = []
        for row, view in enumerate(views):
            self._sessions[view.conversation_id] = _Session(
                cohort, row, len(view.messages) + 1, tokens[row][-1]
            )
            text = " ".join(self.tokenizer.convert_ids_to_tokens(tokens[row]))
            replies.append(Reply(text, tuple(tokens[row]), tuple(logprobs[row]), tuple(contexts[row])))
        return replies

    def _new_tokens(self, view: View, session: _Session | None) -> list[int]:
        fresh = view.messages[session.messages :] if session else view.messages
        text = " ".join(message.content for message in fresh)
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text).ids
        return ids

    def _decode(
        self, cohort: _Cohort | None, chunks: Sequence[Sequence[int]]
    ) -> tuple[list[list[int]], list[list[float]], _Cohort]:
        batch, width = len(chunks), max(map(len, chunks))
        step_ids = torch.zeros(batch, width, dtype=torch.long)
        step_mask = torch.zeros(batch, width, dtype=torch.bool)
        for row, chunk in enumerate(chunks):
            step_ids[row, width - len(chunk) :] = torch.tensor(chunk)
            step_mask[row, width - len(chunk) :] = True
        cache = DynamicCache() if cohort is None else DynamicCache(cohort.layers)
        mask = step_mask if cohort is None else torch.cat([cohort.mask, step_mask], dim=1)
        active = torch.ones(batch, dtype=torch.bool)
        sampled: list[tuple[Tensor, Tensor, Tensor]] = []
        while True:
            positions = mask.long().cumsum(1)[:, -step_ids.shape[1] :] - 1
            logits = self.model(
                input_ids=step_ids,
                attention_mask=mask.long(),
                position_ids=positions.clamp(min=0),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            token, logprob = self._sample(logits)
            sampled.append((token, logprob, active))
            active = active & ~torch.isin(token, self._stop_ids)
            if len(sampled) == self.max_new_tokens or not active.any():
                break
            step_ids = token[:, None]
            mask = torch.cat([mask, active[:, None]], dim=1)
        layers: Layers = [(layer.keys, layer.values) for layer in cache.layers]  # type: ignore[union-attr, misc]
        return *_columns_to_rows(sampled), _Cohort(layers, mask)

    def _sample(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        if self.temperature == 0.0:
            logprobs = logits.log_softmax(-1)
            token = logprobs.argmax(-1)
        else:
            logprobs = (logits / self.temperature).log_softmax(-1)
            token = torch.multinomial(logprobs.exp(), 1, generator=self._generator)[:, 0]
        return token, logprobs.gather(1, token[:, None])[:, 0]


def _columns_to_rows(
    sampled: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> tuple[list[list[int]], list[list[float]]]:
    tokens, logprobs, active = (torch.stack(column, dim=1) for column in zip(*sampled, strict=True))
    lengths = active.sum(1).tolist()
    token_rows = [row[:length] for row, length in zip(tokens.tolist(), lengths, strict=True)]
    logprob_rows = [row[:length] for row, length in zip(logprobs.tolist(), lengths, strict=True)]
    return token_rows, logprob_rows


def _gather(sessions: Sequence[_Session | None]) -> _Cohort | None:
    """Put the cached rows of many conversations into one cohort, older columns padded on the left."""
    cohorts = {id(session.cohort): session.cohort for session in sessions if session}
    if not cohorts:
        return None
    columns = max(cohort.mask.shape[1] for cohort in cohorts.values())
    template = next(iter(cohorts.values()))
    heads, size = template.layers[0][0].shape[1], template.layers[0][0].shape[3]
    mask = torch.zeros(len(sessions), columns, dtype=torch.bool)
    layers: Layers = [
        (torch.zeros(len(sessions), heads, columns, size), torch.zeros(len(sessions), heads, columns, size))
        for _ in template.layers
    ]
    for key, cohort in cohorts.items():
        pairs = [
            (i, session.row) for i, session in enumerate(sessions) if session and id(session.cohort) == key
        ]
        target, source = (torch.tensor(side) for side in zip(*pairs, strict=True))
        start = columns - cohort.mask.shape[1]
        mask[target, start:] = cohort.mask[source]
        for (keys, values), (old_keys, old_values) in zip(layers, cohort.layers, strict=True):
            keys[target, :, start:] = old_keys[source]
            values[target, :, start:] = old_values[source]
    first = int(mask.any(0).int().argmax())
    trimmed = [(keys[:, :, first:], values[:, :, first:]) for keys, values in layers]
    return _Cohort(trimmed, mask[:, first:])
