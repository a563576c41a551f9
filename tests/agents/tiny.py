"""The Llama of the smoke preset, a few thousand parameters, and conversations for it to have."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from transformers import LlamaForCausalLM

from agents.tiny_model import build_model, build_tokenizer
from baselines.config import preset
from ssp_env.game import PROTOCOLS, Message, Reply, View
from ssp_env.worlds import terse_vocabulary

TERSE = PROTOCOLS["terse"]
VOCABULARY = terse_vocabulary()
TOKENIZER = build_tokenizer(TERSE, VOCABULARY)
SIZES = preset("smoke").model.sizes()
# An untrained model rarely writes a closing tag; with every fourth word as a stop word turns end anywhere.
STOP_WORDS = VOCABULARY[::4]


@cache
def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """A shared model that no test may change."""
    return build_model(len(TOKENIZER), **SIZES, seed=seed)


def ids_of(text: str) -> list[int]:
    """Token ids of a text, one a word."""
    return TOKENIZER.convert_tokens_to_ids(text.split())


def random_words(rng: np.random.Generator, low: int = 1, high: int = 12) -> str:
    return " ".join(rng.choice(VOCABULARY, size=int(rng.integers(low, high))))


def view_of(
    messages: Sequence[Message], game_id: str = "g", seat: str = "solver_0", phase: str = "solve"
) -> View:
    return View(game_id, seat, phase, tuple(messages), turns_left=9, searches_left=9)  # type: ignore[arg-type]


def said(text: str) -> Message:
    return Message("assistant", text)


def told(text: str) -> Message:
    return Message("tool", text)


def asked(text: str) -> Message:
    return Message("user", text)


def recomputed_logprobs(
    model: LlamaForCausalLM, replies: Sequence[Reply], temperature: float
) -> list[list[float]]:
    """Log-probabilities of the sampled tokens of one conversation by one forward pass over all of it."""
    ids = [id_ for reply in replies for id_ in (*reply.context_ids, *reply.token_ids)]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    logprobs = (logits.double() / (temperature or 1.0)).log_softmax(-1)
    rows, end = [], 0
    for reply in replies:
        start = end + len(reply.context_ids)
        end = start + len(reply.token_ids)
        rows.append([float(logprobs[place - 1, ids[place]]) for place in range(start, end)])
    return rows
