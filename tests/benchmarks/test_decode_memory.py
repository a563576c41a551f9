"""The benchmark of the batch's memory reads what it says; never how much that takes."""

import torch

from benchmarks.decode_memory import OPENING_TOKENS, TURN_TOKENS, Load, sampled_per_second
from tests.agents.chatty import build_model

LOAD = Load(conversations=3, turns=2, new_tokens=2)


def test_conversations_share_their_opening_and_grow_turn_by_turn():
    prompts = LOAD.prompts(50)
    assert prompts == LOAD.prompts(50)
    assert [len(prompt) for prompt in prompts] == [
        OPENING_TOKENS + n * TURN_TOKENS for n in (1, 1, 1, 2, 2, 2)
    ]
    for first, second in zip(prompts[:3], prompts[3:], strict=True):
        assert second[: len(first)] == first
    assert len({tuple(prompt[:OPENING_TOKENS]) for prompt in prompts}) == 1
    assert len(set(map(tuple, prompts))) == 6


def test_every_turn_is_sampled_within_the_size_of_the_batch():
    model = build_model(50, max_position_embeddings=4096)
    shapes = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    try:
        assert sampled_per_second(model, 4000, LOAD) > 0
    finally:
        hook.remove()
    decoding = [shape for shape in shapes if shape == torch.Size([shape[0], 1])]
    # Two turns of 1,302 tokens fit together three times; of 1,902 twice.
    assert max(rows for rows, _ in decoding) == 3
    assert sum(rows for rows, _ in decoding) == 6
