"""Batched sampling from a causal language model: one prefill, then one token a step from a KV cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(slots=True)
class Sample:
    """Sampled ids of one row and the log-probability of each at the sampling temperature."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    is_finished: Callable[[int, Sequence[int]], bool],
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    rng: np.random.Generator,
) -> list[Sample]:
    """Continue every prompt until it is finished or has `max_new_tokens` new tokens.

    The global torch generator is neither read nor advanced. Log-probabilities are those of the whole
    distribution at the sampling temperature, before `top_p` cuts it; at temperature 0 those at temperature 1.

    Args:
        model: A causal language model of transformers, in evaluation mode.
        prompts: Token ids per row, at least one each; lengths may differ.
        is_finished: Told the row number and its new ids after every token; True ends the row.
        max_new_tokens: Most new tokens per row, at least 1.
        temperature: 0 takes the likeliest token.
        top_p: Mass of the likeliest tokens sampled from, in (0, 1].
        rng: Source of one uniform number per row and step.

    Returns:
        One sample per prompt, in order.
    """
    from transformers import DynamicCache

    rows = list(range(len(prompts)))
    samples = [Sample() for _ in prompts]
    cache = DynamicCache(config=model.config)
    # Demonstrations open every prompt of a role: what all rows share is read once.
    shared = _common_length(prompts)
    if shared:
        common = torch.tensor([prompts[0][:shared]], device=model.device)
        model(input_ids=common, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))
    ids, mask = _left_pad([prompt[shared:] for prompt in prompts], model.device)
    mask = torch.cat([mask.new_ones(len(prompts), shared), mask], dim=1)
    positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, shared:]
    for step in range(max_new_tokens):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        uniform = torch.from_numpy(rng.random(len(prompts))[rows]).to(logits.device)
        chosen, logprobs = choose(logits.float(), temperature, top_p, uniform)
        for row, token, logprob in zip(rows, chosen.tolist(), logprobs.tolist(), strict=True):
            samples[row].token_ids.append(token)
            samples[row].logprobs.append(logprob)
        going = [place for place, row in enumerate(rows) if not is_finished(row, samples[row].token_ids)]
        if not going or step + 1 == max_new_tokens:
            break
        if len(going) < len(rows):
            keep = torch.tensor(going, device=logits.device)
            cache.batch_select_indices(keep)
            rows = [rows[place] for place in going]
            chosen, mask, positions = chosen[keep], mask[keep], positions[keep]
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return samples


def choose(
    logits: torch.Tensor, temperature: float, top_p: float, uniform: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pick one token per row from nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    Args:
        logits: Float, shape (rows, vocabulary).
        temperature: 0 takes the likeliest token.
        top_p: Mass of the nucleus, in (0, 1]; the likeliest token is always in it.
        uniform: Numbers in [0, 1), shape (rows,).

    Returns:
        Token ids and their log-probabilities before the cut, both of shape (rows,).
    """
    logprobs = torch.log_softmax(logits / (temperature or 1.0), dim=-1)
    if temperature == 0.0:
        chosen = logprobs.argmax(dim=-1)
    else:
        ranked, order = logprobs.exp().sort(dim=-1, descending=True, stable=True)
        reached = ranked.double().cumsum(dim=-1)
        nucleus = (reached - ranked < top_p).sum(dim=-1, keepdim=True)
        mass = reached.gather(-1, nucleus - 1)
        place = torch.searchsorted(reached, uniform.double()[:, None] * mass, right=True)
        chosen = order.gather(-1, place.minimum(nucleus - 1)).squeeze(-1)
    return chosen, logprobs.gather(-1, chosen[:, None]).squeeze(-1)


def _common_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many leading ids all prompts share, leaving at least one id of each."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    limit = min(map(len, prompts)) - 1
    return next((place for place in range(limit) if first[place] != last[place]), limit)


def _left_pad(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, device=device)
        mask[row, longest - len(prompt) :] = 1
    return ids, mask
