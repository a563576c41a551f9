"""Any causal language model of transformers as a player of every role."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agents.conversation_tokens import ConversationTokens, Overflow, Prompt, Rendering
from agents.decode_loop import DecodeLoop, TurnRequest
from agents.sampling_params import SamplingByRole, SamplingParams, prompt_room, sampling_by_role
from ssp_env.game import PROTOCOLS, Protocol, Reply, Role, View

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Precision = Literal["auto", "float32", "bfloat16"]
BATCH_TOKENS = CACHE_TOKENS = 65_536


class TransformersAgent:
    """Plays proposer, solver and reader with a causal language model.

    A turn ends with the first complete action, the model's end-of-turn token or its most tokens. Every
    message is tokenised once: what the model sampled is kept as ids and never decoded and encoded again. The
    KV cache of a conversation is kept from turn to turn, and openings that conversations share are read once.

    What is sampled depends on the seed, the conversation, the turn and the version of the weights, not on the
    other turns in the batch (up to rounding).

    The text of a turn ends with its action, but a chat model was trained to end it with a token of its own,
    and has to keep the habit where no game watches its tags. So one more token is sampled after the action;
    an end of turn is kept and trained like any other token, and anything else is dropped.

    Args:
        model: A causal language model of transformers, in evaluation mode, with attention to all earlier
            tokens (Llama, Qwen2, Qwen3, ...; no sliding windows).
        tokenizer: Its tokenizer.
        protocol: Tags of the games it plays, see `ConversationTokens`.
        rendering: How messages become text, see `ConversationTokens`.
        sampling: How turns are sampled: one setting, or settings by role.
        adapters: LoRA adapters by role: folders, or names of adapters of a peft model.
        context_window: Most tokens of prompt and reply together; the model's own limit if None.
        sample_end_of_turn: Whether a chat model is asked for its end of turn after its action. It costs one
            step a turn; plain rendering has no such token.
        on_overflow: `cut` takes out the middle of a prompt that does not fit, and its reply carries no token
            ids; `error` raises ContextOverflow.
        batch_tokens: Most tokens decoded together, padding included; bounds the memory of the batch. A
            token takes 46 KB with SmolLM2 in float32, 57 KB with Qwen2.5-7B in bfloat16.
        cache_tokens: Most tokens whose keys and values are kept between turns; the conversations that waited
            longest are read again from their ids.

    Attributes:
        conversations: The conversations as token ids.
        loop: The batch; its figures tell how many tokens went through the model.
        sampled_tokens: Tokens sampled so far.

    Raises:
        ValueError: If an option is out of its range, a role is unknown, the chat template lacks what the
            protocol needs, or the model's cache cannot be used.

    Example:
        >>> def play_with(folder, games, engine):
        ...     agent = TransformersAgent.from_pretrained(folder, sampling=SamplingParams(temperature=1.0))
        ...     return play(games, proposer=agent, solver=agent, search=engine)
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        protocol: Protocol = PROTOCOLS["default"],
        rendering: Rendering = "chat",
        sampling: SamplingByRole = SamplingParams(),  # noqa: B008  # frozen
        adapters: Mapping[Role, str | Path] | None = None,
        context_window: int | None = None,
        sample_end_of_turn: bool = True,
        on_overflow: Overflow = "cut",
        batch_tokens: int = BATCH_TOKENS,
        cache_tokens: int = CACHE_TOKENS,
    ) -> None:
        self._sampling = sampling_by_role(sampling)
        window = context_window or model.config.max_position_embeddings
        room = prompt_room(self._sampling, window)
        self._adapters: dict[Role, str] = {}
        if adapters:
            from agents.lora import with_adapters

            model, self._adapters = with_adapters(model, adapters)
        self.conversations = ConversationTokens(
            tokenizer,
            protocol=protocol,
            rendering=rendering,
            max_prompt_tokens=room,
            on_overflow=on_overflow,
            end_ids=_end_ids(model, tokenizer),
        )
        self.loop = DecodeLoop(
            model, batch_tokens=batch_tokens, cache_tokens=cache_tokens, adapters=bool(self._adapters)
        )
        self.model = model
        self.sampled_tokens = 0
        self._end_ids = (
            self.conversations.end_ids if sample_end_of_turn and rendering == "chat" else frozenset()
        )

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, dtype: Precision = "auto", device: str = "cpu", **options: object
    ) -> TransformersAgent:
        """Load model and tokenizer from a folder; nothing is downloaded.

        Args:
            folder: What `save_pretrained` wrote: config.json, weights, tokenizer.
            dtype: Type of the weights in memory; `auto` is that of the file.
            device: Where the model runs.
            options: As for the class.

        Raises:
            FileNotFoundError: If there is no model in the folder.
            ValueError: As for the class.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not Path(folder, "config.json").is_file():
            raise FileNotFoundError(
                f"no model in {str(folder)!r}: expected a folder with config.json, weights and a tokenizer"
            )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(model.to(device).eval(), tokenizer, **options)  # type: ignore[arg-type]

    def act_batch(self, views: Sequence[View]) -> list[Reply]:
        """Return one reply per view, with token ids and log-probabilities wherever a trainer may use them.

        Raises:
            ContextOverflow: If a prompt is too long and `on_overflow` is `error`.
        """
        prompts = [self.conversations.prompt(view) for view in views]
        requests = [self._request(view, prompt) for view, prompt in zip(views, prompts, strict=True)]
        for request in requests:
            self.loop.submit(request)
        self.loop.run(requests)
        return [
            self._reply(view, prompt, request)
            for view, prompt, request in zip(views, prompts, requests, strict=True)
        ]

    async def act_async(self, view: View) -> Reply:
        """Return the reply to one view; whoever else asks meanwhile shares the batch, from any thread.

        Raises:
            ContextOverflow: If the prompt is too long and `on_overflow` is `error`.
        """
        prompt = self.conversations.prompt(view)
        request = self._request(view, prompt)
        self.loop.submit(request)
        self.loop.run_in_background()
        await asyncio.wrap_future(request.future)
        return self._reply(view, prompt, request)

    def forget(self) -> None:
        """Drop the KV caches: call it when the games are over.

        Conversations go on with the same ids, which are read anew. When the weights have changed, call
        `published`.
        """
        self.loop.forget()

    def published(self, version: str) -> None:
        """Sample from new weights from here on: call it when the weights of `model` have changed.

        All KV caches are dropped, turns under way begin anew, and random numbers are drawn afresh for this
        version, so that games of the same ids do not repeat those of the step before.

        Args:
            version: Name of the weights, which replies carry from now on as `weights_version`.
        """
        self.loop.published(version)

    def _request(self, view: View, prompt: Prompt) -> TurnRequest:
        role = view.role
        params = self._sampling[role]
        return TurnRequest(
            key=view.conversation_id,
            role=role,
            prompt=prompt.token_ids,
            limit=params.limit(view),
            temperature=params.temperature,
            top_p=params.top_p,
            rng=params.rng(view, self.loop.weights_version),
            is_finished=lambda ids: self.conversations.is_finished(view, ids),
            is_last=lambda ids: self.conversations.is_last(view, ids),
            adapter=self._adapters.get(role),
            end_ids=self._end_ids,
        )

    def _reply(self, view: View, prompt: Prompt, request: TurnRequest) -> Reply:
        sample = request.future.result()
        self.sampled_tokens += len(sample.token_ids)
        reply = self.conversations.reply(view, prompt, sample.token_ids, sample.logprobs)
        return replace(reply, weights_version=sample.weights_version)


class AsyncTransformersAgent:
    """The same player for `play_async`: turns join the running batch as they come, one by one.

    Args:
        agent: The player, which may be asked in batches at the same time.
    """

    def __init__(self, agent: TransformersAgent) -> None:
        self.agent = agent

    async def act(self, view: View) -> Reply:
        """Return the reply to one view."""
        return await self.agent.act_async(view)


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids that end a turn, of which chat models often have several."""
    config = getattr(model, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
    return {id_ for id_ in ids if isinstance(id_, int)}
