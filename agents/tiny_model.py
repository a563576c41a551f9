"""A Llama of about a million parameters with a word-level tokenizer, trainable on two CPU cores."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.models.llama.modeling_llama import LlamaAttention

from agents.scripted.notes import LINK
from ssp_env.game import PROTOCOLS, Protocol
from ssp_env.game.prompts.terse import PROMPT_WORDS
from ssp_env.game.task import MAX_TASK_HOPS
from ssp_env.worlds import terse_vocabulary

PAD, UNKNOWN = "<pad>", "<unk>"
ROPE_THETA = 1e6
LOOK_BACK_SHARPNESS = 6.0
MATCH_SCALE = 2.0


class _Copying(NamedTuple):
    """What a head of the second layer compares and copies; note h is the token h tokens back."""

    now: tuple[int, ...]
    earlier: tuple[int, ...]
    copied: int


# From the last head to the first: two heads read facts backwards, all others forwards.
_COPYING = (
    _Copying(now=(1, 3), earlier=(1, 0), copied=2),  # belin is mayor of -> corun, from corun mayor belin
    _Copying(now=(1,), earlier=(0,), copied=1),  # belin is -> mayor
    _Copying(now=(0, 1), earlier=(1, 2), copied=0),
)


def protocol_words(protocol: Protocol) -> list[str]:
    """Every word that terse prompts, scripted players and the protocol use besides a world's own."""
    tags = (protocol.think, protocol.search, protocol.question, protocol.answer, protocol.observation)
    words = [mark + tag + ">" for tag in tags for mark in ("<", "</")]
    digits = [str(number) for number in range(1, MAX_TASK_HOPS + 1)]
    return [*words, *protocol.notices.values(), *PROMPT_WORDS, *digits, LINK]


def build_tokenizer(
    protocol: Protocol = PROTOCOLS["terse"], vocabulary: Iterable[str] | None = None
) -> PreTrainedTokenizerFast:
    """Build a tokenizer with one token per white-space separated word.

    Args:
        protocol: Its tags and notices are words.
        vocabulary: The content words; those of the terse worlds if None.
    """
    vocabulary = terse_vocabulary() if vocabulary is None else vocabulary
    words = dict.fromkeys([PAD, UNKNOWN, *protocol_words(protocol), *sorted(vocabulary)])
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=UNKNOWN)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN)


def build_model(
    vocabulary_size: int,
    *,
    hidden_size: int = 128,
    layers: int = 4,
    heads: int = 4,
    intermediate_size: int = 384,
    context: int = 512,
    seed: int = 0,
) -> LlamaForCausalLM:
    """Build a Llama with tied embeddings; equal seeds give equal weights.

    Weights are random but for an induction circuit (Olsson et al. 2022) and its mirror image in the first two
    layers, so that minutes of CPU time go into the game and not into discovering how to copy.

    Raises:
        ValueError: If there are fewer than 2 layers or 4 heads, which the circuit needs.
    """
    if layers < 2 or heads < 4:
        raise ValueError(f"the tiny model needs at least 2 layers and 4 heads, got {layers} and {heads}")
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.05,
        attention_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        _write_induction_circuit(model)
    model.eval()
    return model


@torch.no_grad()
def _write_induction_circuit(model: LlamaForCausalLM) -> None:
    """Let the first layer note the tokens before each token, and the second copy by them.

    Head h of the first layer attends h tokens back and notes that token in a subspace of its own. A head of
    the second layer compares notes of the current token with notes of earlier ones and copies a note from
    where they agree: what followed the same two tokens, or what stood before the same one.
    """
    config = model.config
    heads, width = config.num_attention_heads, config.hidden_size
    size = width // heads
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    identity = torch.nn.init.orthogonal_(torch.empty(size, width))
    notes = torch.nn.init.orthogonal_(torch.empty(width, width)).view(width, heads, size)
    _look_back(first, config)
    first.v_proj.weight.copy_(identity.repeat(heads, 1))
    first.o_proj.weight.copy_(notes.reshape(width, width))
    second.q_proj.weight.zero_()
    second.k_proj.weight.zero_()
    slots = _slow_slots(size)
    for head in range(heads):
        copying = _COPYING[min(heads - head - 1, len(_COPYING) - 1)]
        rows = range(head * size, (head + 1) * size)
        for projection, compared in ((second.q_proj, copying.now), (second.k_proj, copying.earlier)):
            generator = torch.Generator().manual_seed(head)
            for part, note in enumerate(compared):
                chosen = slots[part :: len(compared)]
                mixing = torch.nn.init.orthogonal_(torch.empty(size, size), generator=generator)
                projection.weight[rows[0] + chosen] = MATCH_SCALE * mixing[: len(chosen)] @ notes[:, note].T
        second.v_proj.weight[rows] = notes[:, copying.copied].T
    second.o_proj.weight.copy_(identity.T.repeat(1, heads))


def _slow_slots(size: int) -> torch.Tensor:
    """Dimensions of a head that the rotary embedding hardly turns within a context."""
    slow = [i for i in range(size // 2) if ROPE_THETA ** (-2 * i / size) < 0.01]
    return torch.tensor([*slow, *(i + size // 2 for i in slow)])


def _look_back(attention: LlamaAttention, config: LlamaConfig) -> None:
    """Make head h attend h tokens back: a bias that the rotary embedding turns into a distance."""
    size = config.hidden_size // config.num_attention_heads
    half, sharp = size // 2, min(4, size // 2)
    angles = ROPE_THETA ** (-torch.arange(half) / half)
    query, key = (torch.zeros(config.num_attention_heads, 2, half) for _ in range(2))
    for head in range(config.num_attention_heads):
        query[head, 0, :sharp] = LOOK_BACK_SHARPNESS
        key[head, 0, :sharp] = LOOK_BACK_SHARPNESS * (angles[:sharp] * head).cos()
        key[head, 1, :sharp] = LOOK_BACK_SHARPNESS * (angles[:sharp] * head).sin()
    attention.q_proj.weight.mul_(0.2)
    attention.k_proj.weight.mul_(0.2)
    attention.q_proj.bias.copy_(query.flatten())
    attention.k_proj.bias.copy_(key.flatten())


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights (safetensors), configuration and tokenizer into a folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: If the folder holds no checkpoint.
        ValueError: If what it holds cannot be read.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"no checkpoint in {folder}: expected config.json and model.safetensors there"
        )
    try:
        model = LlamaForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"the checkpoint in {folder} cannot be read: {error}") from error
    model.eval()
    return model, tokenizer
