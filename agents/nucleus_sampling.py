"""Nucleus sampling: one token per row, decided by one number per row."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def choose(
    logits: torch.Tensor,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    uniforms: Sequence[float],
) -> tuple[list[int], list[float]]:
    """Pick one token per row from nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751).

    Log-probabilities are those of the whole distribution at the row's temperature, before `top_ps` cuts it;
    at temperature 0 those at temperature 1.

    Args:
        logits: Shape (rows, vocabulary).
        temperatures: 0 takes the likeliest token.
        top_ps: Mass of the nucleus, in (0, 1]; the likeliest token is always in it.
        uniforms: One number in [0, 1) per row, which decides the pick.

    Returns:
        One token id per row, and their log-probabilities.
    """
    scale = torch.tensor([temperature or 1.0 for temperature in temperatures], device=logits.device)
    logprobs = torch.log_softmax(logits.float() / scale[:, None], dim=-1)
    chosen = logprobs.argmax(dim=-1)
    whole = [row for row, top_p in enumerate(top_ps) if top_p == 1.0 and temperatures[row] > 0]
    cut = [row for row, top_p in enumerate(top_ps) if top_p < 1.0 and temperatures[row] > 0]
    if whole:
        mass = logprobs[whole].exp().double().cumsum(dim=-1)
        chosen[whole] = _place(mass, mass[:, -1:], [uniforms[row] for row in whole])
    if cut:
        ranked, order = logprobs[cut].exp().sort(dim=-1, descending=True, stable=True)
        mass = ranked.double().cumsum(dim=-1)
        limit = torch.tensor([top_ps[row] for row in cut], dtype=torch.float64, device=logits.device)
        last = (mass - ranked < limit[:, None]).sum(dim=-1, keepdim=True) - 1
        place = _place(mass, mass.gather(-1, last), [uniforms[row] for row in cut])
        chosen[cut] = order.gather(-1, place[:, None].minimum(last))[:, 0]
    return chosen.tolist(), logprobs.gather(-1, chosen[:, None])[:, 0].tolist()


def _place(mass: torch.Tensor, total: torch.Tensor, uniforms: Sequence[float]) -> torch.Tensor:
    """Where each number falls among cumulated masses that end at `total`."""
    numbers = torch.tensor(uniforms, dtype=torch.float64, device=mass.device)[:, None]
    return torch.searchsorted(mass, numbers * total, right=True)[:, 0].clamp_max(mass.shape[-1] - 1)
