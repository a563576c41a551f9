import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from agents.sampling import choose, sample


@pytest.fixture(scope="module")
def model():
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def never(row, ids):
    return False


def run(model, prompts, seed=0, is_finished=never, **options):
    settings = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 1.0} | options
    return sample(model, prompts, is_finished=is_finished, rng=np.random.default_rng(seed), **settings)


PROMPTS = {
    "one": [[3, 1, 4]],
    "shared opening": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    "nothing shared": [[5], [6, 7, 8, 9, 10, 11, 12], [7, 7]],
    "one is the opening of another": [[1, 2], [1, 2, 3, 4, 5]],
    "equal": [[8, 9, 10], [8, 9, 10]],
}


@pytest.mark.parametrize("prompts", PROMPTS.values(), ids=PROMPTS)
def test_a_batch_gives_what_each_prompt_gives_alone_without_a_cache(model, prompts):
    # Rows end at different lengths, so that the batch shrinks while it is decoded.
    samples = run(model, prompts, temperature=0.0, is_finished=lambda row, ids: len(ids) == 3 + 2 * row)
    for row, (prompt, sampled) in enumerate(zip(prompts, samples, strict=True)):
        ids = list(prompt)
        logprobs = []
        for _ in range(3 + 2 * row):
            with torch.inference_mode():
                scores = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            ids.append(int(scores.argmax()))
            logprobs.append(float(scores.max()))
        assert sampled.token_ids == ids[len(prompt) :]
        assert sampled.logprobs == pytest.approx(logprobs, abs=1e-4)


def test_logprobs_are_those_at_the_sampling_temperature_before_the_cut(model):
    (sampled,) = run(model, [[1, 2, 3]], temperature=2.0, top_p=0.5)
    with torch.inference_mode():
        logits = model(torch.tensor([[1, 2, 3, *sampled.token_ids]])).logits[0, 2:-1]
    expected = (logits / 2.0).log_softmax(-1).gather(-1, torch.tensor(sampled.token_ids)[:, None])[:, 0]
    assert sampled.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_seeds_decide_and_the_global_generator_is_left_alone(model):
    before = torch.random.get_rng_state()
    first, again, other = (run(model, [[1, 2, 3]] * 3, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    assert first == again != other
    assert len({tuple(row.token_ids) for row in first}) == 3


def test_no_row_grows_past_the_limit(model):
    assert [len(row.token_ids) for row in run(model, [[1], [2, 3]], max_new_tokens=1)] == [1, 1]


def test_top_p_keeps_the_smallest_set_of_tokens_with_that_mass():
    logits = torch.tensor([0.2, 0.5, 0.3]).log().repeat(1000, 1)
    uniform = (torch.arange(1000) + 0.5) / 1000
    chosen, _ = choose(logits, temperature=1.0, top_p=0.7, uniform=uniform)
    assert torch.bincount(chosen, minlength=3).tolist() == [0, 625, 375]
    chosen, _ = choose(logits, temperature=1.0, top_p=1.0, uniform=uniform)
    assert torch.bincount(chosen, minlength=3).tolist() == [200, 500, 300]
    chosen, _ = choose(logits, temperature=1.0, top_p=0.01, uniform=uniform)
    assert set(chosen.tolist()) == {1}


def test_temperature_sharpens_and_flattens():
    logits = torch.tensor([0.2, 0.8]).log().repeat(1000, 1)
    uniform = (torch.arange(1000) + 0.5) / 1000
    chosen, _ = choose(logits, temperature=0.5, top_p=1.0, uniform=uniform)
    # Squared odds: 16 to 1.
    assert int((chosen == 0).sum()) == pytest.approx(1000 / 17, abs=1)


def test_the_largest_uniform_number_still_picks_a_token_of_the_nucleus():
    logits = torch.zeros(1, 7)
    chosen, _ = choose(logits, temperature=1.0, top_p=1.0, uniform=torch.tensor([1.0 - 2**-53]))
    assert 0 <= int(chosen) < 7
