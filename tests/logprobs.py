"""Log-probabilities of whole conversations, written out, to compare others with."""

import torch
from torch import Tensor


def token_logprobs(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of every token given those before it, (batch, length); 0 for the first.

    `logits` are (batch, length, vocabulary), position t predicting token t + 1.
    """
    exact = logits if logits.dtype == torch.float64 else logits.float()
    logprobs = (exact[:, :-1] / temperature).log_softmax(-1)
    picked = logprobs.gather(-1, ids[:, 1:, None])[..., 0]
    return torch.cat([torch.zeros_like(picked[:, :1]), picked], dim=1)
