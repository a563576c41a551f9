"""A player whose turns are sampled by the rollout servers of another framework, token in, token out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from agents.conversation_tokens import ContextOverflow, ConversationTokens, Prompt, Rendering
from agents.sampling_params import SamplingParams
from agents.vllm.turn import Completion, SampledTurn, end_ids_of, stop_texts
from ssp_env.game import Protocol, Reply, View

Complete = Callable[[str, Mapping[str, Any]], Awaitable[Completion]]
"""Samples what a request asks for, in vLLM's words (`SampledTurn.request`); first the conversation's name."""


class HostedPlayer:
    """Plays every seat of one game.

    A conversation that has filled its response or the window says nothing more, so that it ends by the rules
    of the game. A reading that is longer than the window is cut in its middle: nobody trains on it.

    Args:
        complete: The framework's servers.
        tokenizer: The policy's.
        protocol: Tags of the game.
        prompt_length: Most tokens of a prompt.
        response_length: Most tokens of everything after the prompt.
        context_window: Most tokens of both together.
        max_new_tokens: Most tokens of a turn.
        prompt_option: What a user raises where a prompt is too long, for the error.
        rendering: As for `ConversationTokens`.
    """

    def __init__(
        self,
        complete: Complete,
        tokenizer: Any,
        protocol: Protocol,
        *,
        prompt_length: int,
        response_length: int,
        context_window: int,
        max_new_tokens: int,
        prompt_option: str,
        rendering: Rendering = "chat",
    ) -> None:
        self._complete, self._protocol = complete, protocol
        self._prompt_length, self._response_length = prompt_length, response_length
        self._window, self._max_new_tokens = context_window, max_new_tokens
        self._prompt_option = prompt_option
        self._end_ids = end_ids_of(tokenizer)
        shared: dict[str, Any] = {
            "protocol": protocol, "rendering": rendering, "end_ids": self._end_ids
        }  # fmt: skip
        self._conversations = ConversationTokens(
            tokenizer, max_prompt_tokens=context_window - 1, on_overflow="error", **shared
        )
        read = context_window - min(max_new_tokens, context_window // 2)
        self._readings = ConversationTokens(tokenizer, max_prompt_tokens=read, on_overflow="cut", **shared)
        self._used: dict[tuple[str, str, str], int] = {}

    async def act(self, view: View) -> Reply:
        """Sample one turn.

        Raises:
            ValueError: If a prompt is longer than `prompt_length`: cut, it would not say what to do.
        """
        key = view.conversation_id
        tokens = self._readings if view.role == "reader" else self._conversations
        prompt = self._prompt(tokens, view)
        if prompt is None:
            return Reply("")
        used = self._used[key] + len(prompt.context_ids or ()) if key in self._used else 0
        room = min(self._response_length - used, self._window - len(prompt.token_ids))
        if room < 1:
            self._used[key] = self._response_length
            return Reply("")
        turn = await self._sample(tokens, view, prompt, min(room, self._max_new_tokens))
        self._used[key] = used + len(turn.token_ids)
        reply = tokens.reply(view, prompt, turn.token_ids, turn.logprobs)
        return replace(reply, weights_version=turn.weights_version)

    def _prompt(self, tokens: ConversationTokens, view: View) -> Prompt | None:
        """What a seat reads now; None if its conversation is full."""
        begun = self._used.get(view.conversation_id)
        if begun is not None and begun >= self._response_length:
            return None
        try:
            prompt = tokens.prompt(view)
        except ContextOverflow as error:
            if begun is None:
                raise ValueError(f"{error}: raise {self._prompt_option}") from error
            self._used[view.conversation_id] = self._response_length
            return None
        read = len(prompt.token_ids)
        if view.role != "reader" and begun is None and read > self._prompt_length:
            raise ValueError(
                f"the prompt of {view.seat} has {read} tokens, and there is room for {self._prompt_length}: "
                f"raise {self._prompt_option}"
            )
        return prompt

    async def _sample(
        self, tokens: ConversationTokens, view: View, prompt: Prompt, limit: int
    ) -> SampledTurn:
        turn = SampledTurn(
            view,
            prompt.token_ids,
            SamplingParams(max_new_tokens=limit),
            stop=stop_texts(self._protocol, view),
            end_ids=self._end_ids,
            is_finished=lambda ids: tokens.is_finished(view, ids),
        )
        while not turn.done:
            turn.add(await self._complete("/".join(view.conversation_id), turn.request()))
        return turn
