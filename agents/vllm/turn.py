"""One turn, sampled by as many completions of `/v1/completions` as it takes to end where it must."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.conversation_tokens import TokenIds
from agents.sampling_params import SamplingParams
from agents.vllm.errors import ServerUnavailable
from ssp_env.game import Protocol, View

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
    max_new_tokens: int,
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
        max_new_tokens: Most ids to sample.
        seed: Seed of this request, from 0 to 2^63 - 1.
        stop: Texts that end the reply, and are part of it.
        end_ids: Ids that end a turn; no others do.
    """
    return {
        "prompt": list(prompt_ids),
        "max_tokens": max_new_tokens,
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


class SampledTurn:
    """Gathers the ids of one turn; does no I/O.

    A turn is over with its first complete action, the end-of-turn token or the token limit. vLLM can stop at
    texts only, and a closing tag completes no action where it stands alone or inside a thought. So the server
    is asked to stop at every closing tag, and where that was too early it is asked to go on.

    Args:
        view: The situation.
        prompt_ids: What the model reads.
        sampling: How it samples.
        stop: Closing tags that may complete an action.
        end_ids: Ids that end a turn.
        is_finished: Whether a turn is over after these ids.
        weights_version: Version of the weights, where each shall draw random numbers of its own.

    Attributes:
        token_ids: The ids so far.
        logprobs: What was reported for each; empty if any completion came without.
        weights_version: Version of the weights that sampled them.
        done: Whether the turn is over.
    """

    def __init__(
        self,
        view: View,
        prompt_ids: Sequence[int],
        sampling: SamplingParams,
        *,
        stop: Sequence[str],
        end_ids: Sequence[int],
        is_finished: Callable[[Sequence[int]], bool],
        weights_version: str = "",
    ) -> None:
        self._prompt_ids = tuple(prompt_ids)
        self._sampling = sampling
        self._limit = sampling.limit(view)
        self._seed = sampling.turn_seed(view, weights_version)
        self._stop = stop
        self._end_ids = end_ids
        self._is_finished = is_finished
        self.start_again()

    def start_again(self) -> None:
        """Forget what was sampled."""
        self.token_ids: TokenIds = ()
        self.logprobs: tuple[float, ...] = ()
        self.weights_version = ""
        self.done = False

    def request(self) -> dict[str, Any]:
        """Return the body of the next request, all but the model's name."""
        return completion_request(
            self._prompt_ids + self.token_ids,
            self._sampling,
            max_new_tokens=self._limit - len(self.token_ids),
            # A seed opens the same stream again, which must not meet the same turn twice.
            seed=(self._seed + len(self.token_ids)) % 2**63,
            stop=self._stop,
            end_ids=self._end_ids,
        )

    def add(self, completion: Completion) -> None:
        """Take the answer to the request.

        Weights that changed since the turn began make it begin anew: no segment has two versions.

        Raises:
            ServerUnavailable: If the completion holds nothing.
        """
        if not completion.token_ids:
            raise ServerUnavailable("expected at least one sampled token, got none")
        if self.token_ids and completion.weights_version != self.weights_version:
            self.start_again()
            return
        begun, self.weights_version = len(self.token_ids), completion.weights_version
        ids = self.token_ids + completion.token_ids
        finished = (end for end in range(begun + 1, len(ids) + 1) if self._is_finished(ids[:end]))
        end = min(next(finished, len(ids) + 1), self._limit)
        self.done = end <= len(ids)
        complete = len(self.logprobs) == begun and len(completion.logprobs) == len(completion.token_ids)
        self.logprobs = (self.logprobs + completion.logprobs)[:end] if complete else ()
        self.token_ids = ids[:end]


def stop_texts(protocol: Protocol, view: View) -> tuple[str, ...]:
    """Closing tags that may end this turn; a reader has no search.

    >>> from ssp_env.game import PROTOCOLS
    >>> stop_texts(PROTOCOLS["default"], View("g", "proposer_0", "propose", (), 1, 1))
    ('</search>', '</question>')
    """
    stops = protocol.stop_strings(view.final_action, has_search_tool=view.has_search_tool)
    return (*stops, "</tool_call>") if protocol.calls == "native" and view.has_search_tool else stops


def end_ids_of(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids that end a turn: the tokenizer's, and those of the model it was loaded beside."""
    from transformers import GenerationConfig

    ends = [tokenizer.eos_token_id]
    folder = Path(tokenizer.name_or_path)
    if (folder / "generation_config.json").is_file():
        stated = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
        ends += stated if isinstance(stated, list) else [stated]
    return tuple(dict.fromkeys(end for end in ends if isinstance(end, int)))
