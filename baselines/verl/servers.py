"""Completions of verl's rollout servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.vllm.turn import Completion
from baselines.hosted_player import Complete


def completions(server_manager: Any, sampling: Mapping[str, Any], backend: str) -> Complete:
    """Return what asks verl's servers.

    Args:
        server_manager: verl's client, with `generate(request_id, prompt_ids, sampling_params)`.
        sampling: verl's sampling parameters.
        backend: `vllm` or `sglang`; they name the same options differently.
    """

    async def complete(conversation: str, asked: Mapping[str, Any]) -> Completion:
        output = await server_manager.generate(
            request_id=conversation,
            prompt_ids=asked["prompt"],
            sampling_params=_parameters(sampling, asked, backend),
        )
        version = output.extra_fields.get("global_steps")
        logprobs = tuple(output.log_probs or ())
        return Completion(tuple(output.token_ids), logprobs, "" if version is None else str(version))

    return complete


def _parameters(sampling: Mapping[str, Any], asked: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """What verl itself sets, with where a turn ends."""
    ends = {"stop": asked["stop"], "stop_token_ids": asked["stop_token_ids"]}
    if backend == "sglang":
        return {**sampling, **ends, "no_stop_trim": True, "max_new_tokens": asked["max_tokens"]}
    return {**sampling, **ends, "include_stop_str_in_output": True, "max_tokens": asked["max_tokens"]}
