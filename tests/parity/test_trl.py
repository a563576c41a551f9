"""Our losses equal those of TRL's GRPOTrainer, in values and gradients, in float64."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from baselines.losses import aggregate, kl, policy_loss
from tests.logprobs import token_logprobs

trl = pytest.importorskip("trl", reason="needs trl: make parity, or pip install 'ssp-env[trl]'")
pytestmark = pytest.mark.filterwarnings("default")

PROMPT, COMPLETION, ROWS, VOCABULARY, TEMPERATURE = 4, 9, 4, 31, 0.7


def model_of(seed: int = 0) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            initializer_range=0.3,
        )
        return LlamaForCausalLM(config).double().eval()


def batch(beta: float) -> dict[str, Any]:
    """Prompts padded on the left, completions with results in the middle and padding on the right."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (ROWS, PROMPT + COMPLETION), generator=generator)
    prompt_mask = torch.ones(ROWS, PROMPT, dtype=torch.long)
    prompt_mask[1, :2] = 0
    completion_mask = torch.ones(ROWS, COMPLETION, dtype=torch.long)
    completion_mask[2, 6:] = 0
    tool_mask = torch.ones(ROWS, COMPLETION, dtype=torch.long)
    tool_mask[:, 3:5] = 0
    tool_mask[3, 5] = 0
    ids[1, :2] = 0
    ids[:, PROMPT:][completion_mask == 0] = 0
    noise = 0.6 * torch.randn(ROWS, COMPLETION, generator=generator, dtype=torch.float64)
    found = {
        "prompt_ids": ids[:, :PROMPT],
        "prompt_mask": prompt_mask,
        "completion_ids": ids[:, PROMPT:],
        "completion_mask": completion_mask,
        "tool_mask": tool_mask,
        "advantages": torch.tensor([1.2, -0.7, 0.4, -1.1], dtype=torch.float64),
        "num_items_in_batch": (completion_mask * tool_mask).sum(),
        "old_per_token_logps": noise,
    }
    if beta:
        found["ref_per_token_logps"] = 0.3 * noise.flip(0)
    return found


def completion_logprobs(model: LlamaForCausalLM, inputs: dict[str, Any]) -> Tensor:
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=attention).logits
    return token_logprobs(logits, ids, TEMPERATURE)[:, PROMPT:]


def theirs(model: LlamaForCausalLM, inputs: dict[str, Any], folder: Path, **options: Any) -> Tensor:
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, VOCABULARY)}}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<s>")),
        pad_token="<pad>",
        eos_token="</s>",
    )
    model.save_pretrained(folder)
    model.config._name_or_path = str(folder)
    config = trl.GRPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to=[],
        per_device_train_batch_size=ROWS, num_generations=2, temperature=TEMPERATURE, epsilon=0.2,
        max_completion_length=COMPLETION, use_bias_correction_kl=False, **options,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model,
        reward_funcs=lambda completions, **rest: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": "w3"}] * ROWS),
        processing_class=tokenizer,
    )
    trainer.current_gradient_accumulation_steps = 1
    return trainer._compute_loss(model, inputs)


def ours(model: LlamaForCausalLM, inputs: dict[str, Any], loss_type: str, level: str, beta: float) -> Tensor:
    mask = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
    logprobs = completion_logprobs(model, inputs)
    surrogate = "cispo" if loss_type == "cispo" else "gspo" if level == "sequence" else "clip"
    old = inputs["old_per_token_logps"]
    if (loss_type, level) == ("cispo", "sequence"):
        # Every token has the ratio of its sequence, as a weight, through which no gradient goes.
        apart = torch.where(mask, logprobs.detach() - old, 0.0)
        old = logprobs.detach() - (apart.sum(1) / mask.sum(1))[:, None]
    losses = policy_loss(
        logprobs,
        old,
        inputs["advantages"],
        mask,
        kind=surrogate,  # type: ignore[arg-type]
        clip_high=5.0 if loss_type == "cispo" else 0.28,
    ).losses
    if beta:
        losses = losses + beta * kl(logprobs, inputs["ref_per_token_logps"], mask, estimator="k3")
    normaliser = {"grpo": "sequence", "dr_grpo": "constant"}.get(loss_type, "token")
    return aggregate(losses, mask, normaliser=normaliser, length=COMPLETION)  # type: ignore[arg-type]


CASES = [(kind, "token") for kind in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")] + [
    (kind, "sequence") for kind in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")
]


@pytest.mark.parametrize(("loss_type", "level"), CASES)
@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_values_and_gradients_are_those_of_trl(loss_type: str, level: str, beta: float, tmp_path: Path):
    high = 5.0 if loss_type == "cispo" else 0.28
    results = []
    for name in ("theirs", "ours"):
        model, inputs = model_of(), batch(beta)
        if name == "theirs":
            options = {"loss_type": loss_type, "importance_sampling_level": level, "beta": beta}
            loss = theirs(model, inputs, tmp_path, epsilon_high=high, **options)
        else:
            loss = ours(model, inputs, loss_type, level, beta)
        loss.backward()
        gradient = torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
        results.append(SimpleNamespace(loss=float(loss.detach()), gradient=gradient))
    their, our = results
    # The loss is a difference of terms near 1, of which little may be left.
    assert our.loss == pytest.approx(their.loss, rel=1e-6, abs=1e-8)
    assert float((our.gradient - their.gradient).norm()) <= 1e-6 * float(their.gradient.norm())
    assert float(their.gradient.norm()) > 1e-3
