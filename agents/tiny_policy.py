"""A token-in, token-out policy of whole words, whose KV cache lives as long as the conversation.

Each message is tokenised once, when it is first seen; what was sampled is never decoded and encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from agents.decode_loop import DecodeLoop, TurnRequest
from agents.sampling_params import SamplingParams
from ssp_env.game import Reply, View

BATCH_TOKENS = CACHE_TOKENS = 65_536
MAX_NEW_TOKENS = 32


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A conversation up to the end of the policy's last reply: how many messages, and their ids."""

    messages: int
    token_ids: tuple[int, ...]


class TinyPolicy:
    """Plays every role with one word-level causal language model.

    What is sampled depends on the seed, the conversation, the turn and the version of the weights, not on the
    other turns in the batch (up to rounding).

    Args:
        model: Any `transformers` causal language model with a standard KV cache.
        tokenizer: Its tokenizer; message contents are joined by white space, roles are not rendered.
        stop_words: A turn ends with the first of these tokens (the closing tags of actions).
        temperature: Sampling temperature; 0 takes the most likely token.
        max_new_tokens: A turn of this many tokens is cut.
        seed: Seed of the private generators that sample.

    Attributes:
        loop: The batch; its figures tell how many tokens went through the model.

    Raises:
        ValueError: If an option is out of its range, or the model's cache cannot be used.
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
        max_new_tokens: int = MAX_NEW_TOKENS,
        seed: int = 0,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.loop = DecodeLoop(model, batch_tokens=BATCH_TOKENS, cache_tokens=CACHE_TOKENS)
        self._sampling = SamplingParams(temperature, 1.0, max_new_tokens, seed)
        self._stop_ids = frozenset(map(tokenizer.convert_tokens_to_ids, stop_words))
        self._words = [str(tokenizer.convert_ids_to_tokens(id_)) for id_ in range(len(tokenizer))]
        self._spoken: dict[tuple[str, str, str], _Spoken] = {}

    def forget(self) -> None:
        """Drop all conversations and their caches; call it when the games are over."""
        self._spoken.clear()
        self.loop.forget()

    def published(self, version: str) -> None:
        """Sample from new weights from here on: call it when the weights of `model` have changed.

        All caches are dropped, and random numbers are drawn afresh for this version, so that games of the
        same ids do not repeat those of the step before. Conversations go on with the same ids.

        Args:
            version: Name of the weights, which replies carry from now on as `weights_version`.
        """
        self.loop.published(version)

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Read what is new to each conversation and sample one turn for it."""
        encoded: dict[str, tuple[int, ...]] = {}
        contexts, requests = [], []
        for view in views:
            spoken = self._spoken.get(view.conversation_id)
            if spoken is None or len(view.messages) <= spoken.messages:
                # Conversations only grow: this is the first turn, maybe of another one of the same name.
                spoken = _Spoken(0, ())
            text = " ".join(message.content for message in view.messages[spoken.messages :])
            if text not in encoded:
                encoded[text] = tuple(self.tokenizer.backend_tokenizer.encode(text).ids)
            contexts.append(encoded[text])
            requests.append(self._request(view, spoken.token_ids + encoded[text]))
        for request in requests:
            self.loop.submit(request)
        self.loop.run(requests)
        return [
            self._reply(view, context, request)
            for view, context, request in zip(views, contexts, requests, strict=True)
        ]

    def _request(self, view: View, prompt: tuple[int, ...]) -> TurnRequest:
        return TurnRequest(
            key=view.conversation_id,
            role=view.role,
            prompt=prompt,
            limit=self._sampling.limit(view),
            temperature=self._sampling.temperature,
            top_p=self._sampling.top_p,
            rng=Random(self._sampling.turn_seed(view, self.loop.weights_version)),
            is_finished=self._is_finished,
            is_last=lambda ids: view.turns_left <= 1,
        )

    def _is_finished(self, ids: Sequence[int]) -> bool:
        return ids[-1] in self._stop_ids

    def _reply(self, view: View, context: tuple[int, ...], request: TurnRequest) -> Reply:
        sample = request.future.result()
        token_ids = (*request.prompt, *sample.token_ids)
        self._spoken[view.conversation_id] = _Spoken(len(view.messages) + 1, token_ids)
        text = " ".join(self._words[id_] for id_ in sample.token_ids)
        return Reply(text, sample.token_ids, sample.logprobs, context, weights_version=sample.weights_version)
