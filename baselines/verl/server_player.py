"""A player whose turns are sampled by verl's rollout servers, token in, token out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.conversation_tokens import ConversationTokens, Rendering
from agents.sampling_params import SamplingParams
from agents.vllm.turn import Completion, SampledTurn, end_ids_of, stop_texts
from ssp_env.game import Protocol, Reply, View


class ServerPlayer:
    """Plays every seat of one game.

    A conversation that has filled the response says nothing more, so that it ends by the rules of the game.

    Args:
        server_manager: verl's client, with `generate(request_id, prompt_ids, sampling_params)`.
        tokenizer: The policy's.
        protocol: Tags of the game.
        sampling: verl's sampling parameters.
        prompt_length: Most tokens of a prompt; a reading may have as many as prompt and response together.
        response_length: Most tokens of everything after the prompt.
        max_new_tokens: Most tokens of a turn.
        rendering: As for `ConversationTokens`.
        backend: `vllm` or `sglang`; they name the same options differently.
    """

    def __init__(
        self,
        server_manager: Any,
        tokenizer: Any,
        protocol: Protocol,
        sampling: Mapping[str, Any],
        *,
        prompt_length: int,
        response_length: int,
        max_new_tokens: int,
        rendering: Rendering = "chat",
        backend: str = "vllm",
    ) -> None:
        self._server, self._sampling, self._backend = server_manager, dict(sampling), backend
        self._prompt_length, self._response_length = prompt_length, response_length
        self._max_new_tokens, self._protocol = max_new_tokens, protocol
        self._end_ids = end_ids_of(tokenizer)
        self._conversations = ConversationTokens(
            tokenizer,
            protocol=protocol,
            rendering=rendering,
            max_prompt_tokens=prompt_length + response_length,
            on_overflow="error",
            end_ids=self._end_ids,
        )
        self._used: dict[tuple[str, str, str], int] = {}

    async def act(self, view: View) -> Reply:
        """Sample one turn.

        Raises:
            ValueError: If a prompt is longer than `prompt_length`: cut, it would not say what to do.
        """
        prompt = self._conversations.prompt(view)
        read, key = prompt.context_ids or (), view.conversation_id
        if view.role != "reader" and key not in self._used and len(read) > self._prompt_length:
            raise ValueError(
                f"the prompt of {view.seat} has {len(read)} tokens, but rollout.prompt_length is "
                f"{self._prompt_length}: raise data.max_prompt_length"
            )
        used = self._used[key] + len(read) if key in self._used else 0
        room = self._response_length - used
        if room < 1:
            self._used[key] = self._response_length
            return Reply("")
        turn = await self._sample(view, prompt.token_ids, min(room, self._max_new_tokens))
        self._used[key] = used + len(turn.token_ids)
        reply = self._conversations.reply(view, prompt, turn.token_ids, turn.logprobs)
        return replace(reply, weights_version=turn.weights_version)

    async def _sample(self, view: View, prompt_ids: tuple[int, ...], limit: int) -> SampledTurn:
        turn = SampledTurn(
            view,
            prompt_ids,
            SamplingParams(max_new_tokens=limit),
            stop=stop_texts(self._protocol, view),
            end_ids=self._end_ids,
            is_finished=lambda ids: self._conversations.is_finished(view, ids),
        )
        while not turn.done:
            asked = turn.request()
            output = await self._server.generate(
                request_id="/".join(view.conversation_id),
                prompt_ids=asked["prompt"],
                sampling_params=self._parameters(asked),
            )
            version = output.extra_fields.get("global_steps")
            logprobs = tuple(output.log_probs or ())
            turn.add(Completion(tuple(output.token_ids), logprobs, "" if version is None else str(version)))
        return turn

    def _parameters(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Verl's own, with where a turn ends."""
        ends = {"stop": asked["stop"], "stop_token_ids": asked["stop_token_ids"]}
        if self._backend == "sglang":
            return {**self._sampling, **ends, "no_stop_trim": True, "max_new_tokens": asked["max_tokens"]}
        return {
            **self._sampling,
            **ends,
            "include_stop_str_in_output": True,
            "max_tokens": asked["max_tokens"],
        }
