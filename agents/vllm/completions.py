"""The request and the reply of `/v1/completions`, with token ids in and token ids out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.sampling_params import SamplingParams
from agents.vllm.errors import ServerUnavailable

LEAST_TEMPERATURE = 0.01
"""vLLM raises lower temperatures, but for 0, to this one."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What was sampled in answer to one request.

    Attributes:
        token_ids: The sampled ids, an end-of-turn token included.
        logprobs: What the server reports for each of them.
        weights_version: Version of the weights that sampled them.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    weights_version: str = ""


def completion_request(
    prompt_ids: Sequence[int],
    sampling: SamplingParams,
    *,
    max_tokens: int,
    seed: int,
    stop: Sequence[str],
    end_ids: Sequence[int],
) -> dict[str, Any]:
    """Return the body of a request, all but the model's name.

    Every value that a server might else take from the model's `generation_config.json` is set, so that
    temperature and nucleus are the only things that shape the distribution.

    Args:
        prompt_ids: What the model reads.
        sampling: Temperature and nucleus.
        max_tokens: Most ids to sample.
        seed: Seed of this request, from 0 to 2^63 - 1.
        stop: Texts that end the reply, and are part of it.
        end_ids: Ids that end a turn; no others do.
    """
    return {
        "prompt": list(prompt_ids),
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": seed,
        "stop": list(stop),
        "include_stop_str_in_output": True,
        "ignore_eos": True,
        "stop_token_ids": list(end_ids),
        "add_special_tokens": False,
        "return_token_ids": True,
        "logprobs": 0,
    }


def check_temperature(sampling: SamplingParams) -> None:
    """Raise ValueError for temperatures that vLLM would replace by another one.

    >>> check_temperature(SamplingParams(temperature=0.001))
    Traceback (most recent call last):
    ValueError: vLLM samples at temperature 0 or from 0.01 on, got 0.001
    """
    if 0 < sampling.temperature < LEAST_TEMPERATURE:
        raise ValueError(
            f"vLLM samples at temperature 0 or from {LEAST_TEMPERATURE} on, got {sampling.temperature}"
        )


def read_completion(reply: Any, *, weights_version: str = "") -> Completion:
    """Check the reply to a request and take the ids and log-probabilities out of it.

    Raises:
        ServerUnavailable: If it is malformed, has no token ids, or the server gave the request up.

    >>> choice = {"token_ids": [5], "logprobs": {"token_logprobs": [-0.5]}, "finish_reason": "stop"}
    >>> read_completion({"choices": [choice]}).token_ids
    (5,)
    """
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        raise ServerUnavailable(f"expected one choice in the reply of a completion, got {_excerpt(reply)}")
    choice = choices[0]
    # An aborted request was cut anywhere.
    if choice.get("finish_reason") not in ("stop", "length"):
        raise ServerUnavailable(
            f"expected a completion that stopped or is full, got {choice.get('finish_reason')!r}"
        )
    ids = choice.get("token_ids")
    if not isinstance(ids, list) or not ids or not all(type(token) is int and token >= 0 for token in ids):
        raise ServerUnavailable(
            f"expected the sampled token ids, got {_excerpt(ids)}: return_token_ids needs vLLM 0.11 or newer"
        )
    logprobs = choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, Mapping) else None
    if values is not None and not _are_logprobs(values, len(ids)):
        raise ServerUnavailable(
            f"expected one log-probability for each of {len(ids)} tokens, got {_excerpt(values)}"
        )
    return Completion(tuple(ids), tuple(values or ()), weights_version)


def _are_logprobs(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
