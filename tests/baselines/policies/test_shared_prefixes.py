"""Conversations as trees: the states, scores and gradients are those of the conversations one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from baselines import LearnerConfig
from baselines.learner import Learner
from baselines.policies.shared_prefixes import alike, fold, refuse_unable
from baselines.samples import Batch, Sample, Segment, collate
from tests.baselines.policies.test_causal_lm import SIZES, policy, small

ALWAYS = 10**9
conversations = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=9), min_size=1, max_size=8)


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return ids, torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])


@given(rows=conversations, worth=st.sampled_from([0, 1, 5, ALWAYS]))
def test_every_token_sees_its_own_conversation_and_nothing_else(rows: list[list[int]], worth: int):
    folded = fold(*padded(rows), worth)
    width = folded.ids.shape[1]
    for row, places in zip(rows, folded.places.tolist(), strict=True):
        path = places[: len(row)]
        number, columns = path[0] // width, [place % width for place in path]
        assert folded.ids.flatten()[path].tolist() == row
        assert folded.positions.flatten()[path].tolist() == list(range(len(row)))
        for depth, column in enumerate(columns):
            seen = folded.visible[number, 0, column].nonzero().flatten().tolist()
            assert sorted(seen) == sorted(columns[: depth + 1])


@given(rows=conversations)
def test_what_conversations_begin_with_in_common_is_there_once(rows: list[list[int]]):
    folded = fold(*padded(rows), ALWAYS)
    first = {tuple(row[: end + 1]) for row in rows for end in range(len(row))}
    places = {
        place for row, found in zip(rows, folded.places.tolist(), strict=True) for place in found[: len(row)]
    }
    # Those that have no first token in common are in trees of their own.
    assert len(places) == len(first)


def test_conversations_that_share_too_little_for_their_attention_stay_apart():
    rows = [[9, *range(20)], [9, *range(20, 40)]]
    assert fold(*padded(rows), worth=10).ids.shape == (2, 21)
    assert fold(*padded(rows), worth=900).ids.shape == (1, 41)


def test_small_trees_fill_rows_as_wide_as_the_largest():
    assert fold(*padded([[1, 2, 3, 4, 5, 6], [7, 7], [8, 8, 8], [9]]), worth=0).ids.shape == (2, 6)


def attempts(seed: int = 0) -> Batch:
    """Three questions of several attempts each, with results between the turns, of different lengths."""
    rng = np.random.default_rng(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(1, 50, count).tolist())

    samples = []
    for _ in range(3):
        prompt, search, found = ids(6), ids(3), ids(5)
        for attempt in range(4):
            # Half of the attempts make the same search.
            turn = search if attempt % 2 else ids(3 + attempt)
            samples.append(
                Sample("g", "s", (Segment(prompt, False), Segment(turn, True), Segment(found, False),
                                  Segment(ids(2), True)))
            )  # fmt: skip
    return collate(samples)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("options", [{}, {"gradient_checkpointing": True}, {"chunk_tokens": 4}])
def test_scores_and_gradients_are_those_of_plain_batches(attention: str, options: dict[str, object]):
    found, gradients = [], []
    for share in (False, True):
        model = small("qwen2").double()
        model.set_attn_implementation(attention)
        scores = policy(model, temperature=0.7, share_prefixes=share, **options).score(attempts())
        (scores.logprobs.sum() + 0.1 * scores.entropy.sum() + scores.states.square().sum()).backward()
        found.append(scores)
        gradients.append(torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None]))
    for plain, shared in zip(*found, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-7, atol=1e-7)
    # The norms of Qwen2 are computed in float32 whatever the model is in.
    assert (gradients[1] - gradients[0]).norm() < 1e-6 * gradients[0].norm()


def test_a_token_of_the_prompt_goes_through_the_model_once():
    batch, read = attempts(), []
    model = small("llama")
    model.base_model.register_forward_hook(
        lambda module, args, kwargs, output: read.append(int((kwargs["input_ids"] != 0).sum())),
        with_kwargs=True,
    )
    model.config.hidden_size = ALWAYS
    shared = policy(model, share_prefixes=True)
    read.clear()
    shared.score(batch)
    different = {
        tuple(row[:end]) for row in batch.ids.tolist() for end in range(1, len(row) + 1) if row[end - 1]
    }
    assert read == [len(different)]
    assert len(different) < int(batch.attention.sum()) * 0.75


def test_micro_batches_keep_attempts_at_a_question_together():
    batch = attempts()
    shuffled = batch.select(np.random.default_rng(0).permutation(len(batch.ids)).tolist())
    longest = batch.ids.shape[1]
    for share in (False, True):
        learner = Learner(
            policy(small("llama"), share_prefixes=share), LearnerConfig(micro_batch_tokens=4 * longest)
        )
        groups = list(learner.micro_batches(shuffled))
        assert sorted(row for group in groups for row in group) == list(range(12))
        assert all(len(group) * longest <= 4 * longest or len(group) == 1 for group in groups) or not share
        prompts = [{tuple(shuffled.ids[row, :6].tolist()) for row in group} for group in groups]
        assert (max(map(len, prompts)) == 1) is share


def test_alike_puts_equal_beginnings_side_by_side():
    ids, attention = padded([[2, 1], [1, 5, 5], [2, 1, 3], [1, 5, 4]])
    assert alike(ids, attention.sum(1).tolist()) == [3, 1, 0, 2]


def parts(model: PreTrainedModel) -> tuple[PreTrainedModel, torch.nn.Module]:
    return model, model.base_model


def mistral() -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4))


def bloom() -> PreTrainedModel:
    """Its attention knows distances by the mask, and no positions."""
    return BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2))


def flash() -> PreTrainedModel:
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    model.config._attn_implementation_internal = "flash_attention_2"
    return model


def test_models_that_cannot_read_trees_are_refused():
    with pytest.raises(
        ValueError, match=r"llama has attention by flash_attention_2: set model\.share_prefixes"
    ):
        refuse_unable(*parts(flash()), plain_head=True)
    with pytest.raises(ValueError, match="changed after the output layer"):
        refuse_unable(*parts(small("llama")), plain_head=False)
    with pytest.raises(ValueError, match="layers with sliding_attention"):
        policy(small("gemma2"), share_prefixes=True)
    with pytest.raises(ValueError, match="mistral has layers with sliding_attention"):
        policy(mistral(), share_prefixes=True)
    with pytest.raises(ValueError, match="bloom has other states for them than for the conversations"):
        policy(bloom(), share_prefixes=True)
