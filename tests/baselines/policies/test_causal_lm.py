"""Policies: scores of sampled tokens only, whatever the model, the chunks and the adapters."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.models.gemma2 import Gemma2Config, Gemma2ForCausalLM

from baselines.losses import sampled_logprobs_and_entropy
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.samples import Batch, Sample, Segment, collate
from tests.baselines.conftest import policy_of

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def small(kind: str) -> PreTrainedModel:
    """A random model; Gemma 2 caps its logits after the output layer, the others do not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "llama":
            return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
        if kind == "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()
        return Gemma2ForCausalLM(
            Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5, attn_implementation="eager")
        ).eval()


def batch(seed: int = 0, rows: int = 3) -> Batch:
    """Conversations with results between the turns, of different lengths."""
    generator = torch.Generator().manual_seed(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, 50, (count,), generator=generator).tolist())

    return collate(
        [
            Sample("g", "s", (Segment(ids(4), False), Segment(ids(3 + row), True), Segment(ids(5), False),
                              Segment(ids(2), True, (-1.0, -1.0))))
            for row in range(rows)
        ]
    )  # fmt: skip


def policy(model: PreTrainedModel, **options: object) -> CausalLMPolicy:
    return CausalLMPolicy(model, lambda model, seed, version: None, **options)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_tokens", [1, 4, 1000])
def test_scores_are_those_of_the_whole_logits(kind: str, temperature: float, chunk_tokens: int):
    model, found = small(kind), batch()
    scores = policy(model, temperature=temperature, chunk_tokens=chunk_tokens).score(found)
    logits = model(input_ids=found.ids, attention_mask=found.attention.long()).logits
    for row, column in found.mask.nonzero().tolist():
        token = found.ids[row, column][None]
        expected = sampled_logprobs_and_entropy(logits[row, column - 1][None], token, temperature)
        torch.testing.assert_close(scores.logprobs[row, column][None], expected[0])
        torch.testing.assert_close(scores.entropy[row, column][None], expected[1])
    assert not scores.logprobs[~found.mask].any() and not scores.entropy[~found.mask].any()
    assert scores.states.shape == (int(found.mask.sum()), 16)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_chunks_and_recomputed_activations_give_the_same_gradient(kind: str):
    gradients = []
    for options in ({}, {"chunk_tokens": 2}, {"gradient_checkpointing": True}):
        model = small(kind)
        scores = policy(model, **options).score(batch())
        (scores.logprobs.sum() + 0.1 * scores.entropy.sum()).backward()
        gradients.append(torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None]))
        assert not model.training
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], atol=1e-5, rtol=1e-4)


def test_states_know_nothing_of_the_token_that_follows():
    """A value read from them is a baseline: it cannot depend on the action."""
    model, found = small("llama"), batch(rows=1)
    changed = found.ids.clone()
    place = int(found.mask[0].nonzero()[-1])
    changed[0, place] = (changed[0, place] + 1) % 50
    other = Batch(changed, found.attention, found.mask, found.turns, found.sampled_logprobs)
    assert torch.equal(policy(model).score(found).states, policy(model).score(other).states)


def test_a_duplicate_stays_as_it_was_while_the_policy_learns():
    original = policy(small("llama"))
    frozen, copy = original.duplicate(), original.duplicate(trainable=True)
    assert not list(frozen.trainable_parameters()) and list(copy.trainable_parameters())
    before = original.score(batch()).logprobs.detach()
    with torch.no_grad():
        next(iter(original.trainable_parameters())).add_(0.1)
    assert not torch.allclose(original.score(batch()).logprobs, before)
    torch.testing.assert_close(frozen.score(batch()).logprobs, before)
    torch.testing.assert_close(copy.score(batch()).logprobs, before)
    frozen.load_state_dict(original.state_dict())
    torch.testing.assert_close(frozen.score(batch()).logprobs, original.score(batch()).logprobs)


def test_weights_that_do_not_fit_are_refused_by_name():
    own = policy(small("llama"))
    state = dict(own.state_dict())
    name = next(iter(state))
    with pytest.raises(ValueError, match=name):
        own.load_state_dict({**state, name: torch.zeros(3)})
    with pytest.raises(ValueError, match="1 weights differ"):
        own.load_state_dict({other: state[other] for other in list(state)[1:]})


def test_adapters_are_trained_and_the_base_is_shared():
    peft = pytest.importorskip("peft")
    base = small("llama")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    own = policy(peft.get_peft_model(base, config))
    assert all("lora" in name for name in own.state_dict())
    frozen = own.duplicate()
    shared = {id(weight) for weight in own.model.parameters()} & {id(w) for w in frozen.model.parameters()}
    assert len(shared) == len(list(own.model.parameters())) - len(own.state_dict())
    before = frozen.score(batch()).logprobs
    own.score(batch()).logprobs.sum().backward()
    with torch.no_grad():
        for weight in own.trainable_parameters():
            assert weight.grad is not None
            weight.add_(0.1)
    assert not torch.allclose(own.score(batch()).logprobs, before)
    torch.testing.assert_close(frozen.score(batch()).logprobs, before)


def test_autocast_runs_in_half_precision_and_leaves_the_weights_alone():
    model = small("llama")
    exact, half = policy(model).score(batch()), policy(model, autocast=True).score(batch())
    assert half.logprobs.dtype == torch.float32
    difference = (exact.logprobs - half.logprobs).detach().abs()
    assert 0.0 < float(difference.max()) < 0.05
    half.logprobs.sum().backward()
    assert all(weight.dtype == torch.float32 for weight in model.parameters())


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_greedy_policy_cannot_be_trained(temperature: float):
    with pytest.raises(ValueError, match="temperature above 0"):
        policy(small("llama"), temperature=temperature)


def test_dropout_and_recomputed_activations_are_refused_together():
    model = LlamaForCausalLM(LlamaConfig(**SIZES, attention_dropout=0.1))
    with pytest.raises(ValueError, match="dropout"):
        policy(model, gradient_checkpointing=True)


def test_players_of_a_version_carry_it(cloned_model: LlamaForCausalLM):
    own = policy_of(cloned_model)
    assert own.version == "initial"
    own.published("step 3")
    assert own.version == "step 3" and own.agent(1) is not own.agent(1)
