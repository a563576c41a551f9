"""Which log-probabilities a server reports, and whether they are those a trainer needs.

A trainer needs the log-probability of each sampled token under the whole distribution at the sampling
temperature, before the nucleus cuts it. vLLM's `--logprobs-mode` decides once for all requests:

| mode | reported | right for |
|---|---|---|
| `raw_logprobs` (default) | the distribution at temperature 1 | temperature 1 or 0, any `top_p` |
| `processed_logprobs` | at the sampling temperature, after the cut | `top_p` 1, or temperature 0 |
| `raw_logits`, `processed_logits` | no log-probabilities | nothing |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from agents.sampling_params import SamplingParams
from agents.vllm.errors import LogprobsUnfit

LogprobsMode = Literal["raw_logprobs", "processed_logprobs", "logits", "none"]
PROBE_TEMPERATURE = 2.0
TOP = 5


def are_fit(mode: LogprobsMode, sampling: SamplingParams) -> bool:
    """Whether a mode reports log-probabilities at the sampling temperature, before the nucleus cuts them.

    >>> are_fit("raw_logprobs", SamplingParams(temperature=0.7))
    False
    >>> are_fit("processed_logprobs", SamplingParams(temperature=0.7, top_p=1.0))
    True
    """
    if mode not in ("raw_logprobs", "processed_logprobs"):
        return False
    if sampling.temperature == 0:
        return True
    return sampling.temperature == 1 if mode == "raw_logprobs" else sampling.top_p == 1


def check_fit(mode: LogprobsMode, sampling: SamplingParams, server: str) -> None:
    """Raise if a trainer could not use what a server reports.

    Raises:
        LogprobsUnfit: With what to change.
    """
    if are_fit(mode, sampling):
        return
    asked = f"temperature {sampling.temperature:g} and top_p {sampling.top_p:g}"
    if mode == "none":
        advice = "it reports none at all: is it vLLM, and may clients ask for them (--max-logprobs)?"
    elif sampling.top_p == 1:
        advice = f"it reports {mode}: start it with --logprobs-mode processed_logprobs"
    elif sampling.temperature == 1:
        advice = f"it reports {mode}: start it with --logprobs-mode raw_logprobs, or sample with top_p 1"
    else:
        advice = (
            f"it reports {mode}, and no mode of vLLM fits both: sample with top_p 1 "
            "and start it with --logprobs-mode processed_logprobs"
        )
    raise LogprobsUnfit(f"training needs log-probabilities at {asked}, before the cut; {server}: {advice}")


def probe_request(temperature: float) -> dict[str, Any]:
    """Return a request for one token that shows the log-probabilities of the likeliest ones."""
    return {
        "prompt": [1, 2, 3],
        "max_tokens": 1,
        "temperature": temperature,
        "top_p": 1.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 0,
        "ignore_eos": True,
        "logprobs": TOP,
        # Two tokens may read alike.
        "return_tokens_as_token_ids": True,
    }


def mode_of(plain: Any, flattened: Any) -> LogprobsMode:
    """Tell the mode from the replies to two probes.

    The likeliest tokens are the same at every temperature; what lies between two of them shrinks with it, if
    the report follows the temperature.

    Args:
        plain: The reply at temperature 1.
        flattened: The reply at `PROBE_TEMPERATURE`.
    """
    first, second = _top(plain), _top(flattened)
    if first is None or second is None:
        return "none"
    if first[0] > 0 or sum(map(math.exp, first)) > 1.01:
        return "logits"
    # Half-way between a report that stays as it is and one that is divided by the temperature.
    between = (1 + 1 / PROBE_TEMPERATURE) / 2
    unchanged = second[0] - second[-1] > between * (first[0] - first[-1])
    return "raw_logprobs" if unchanged else "processed_logprobs"


def _top(reply: Any) -> list[float] | None:
    """The largest log-probabilities of the first token."""
    try:
        top = reply["choices"][0]["logprobs"]["top_logprobs"][0]
    except (KeyError, IndexError, TypeError):
        return None
    values = list(top.values()) if isinstance(top, Mapping) else []
    numbers = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return sorted(numbers, reverse=True)[:TOP] or None
