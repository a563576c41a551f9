"""The benchmark of precisions computes in those that it names; never how fast they are."""

import json

import pytest
import torch
from typer import BadParameter

from benchmarks.gpu_check import SIZES
from benchmarks.precision import NEW_TOKENS, VARIANTS, _adapted, _read, _sample, _train, main


def variant(name):
    return next(one for one in VARIANTS if one.name == name)


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("float32", torch.float32),
        ("float32, autocast to bfloat16", torch.bfloat16),
        ("bfloat16", torch.bfloat16),
    ],
)
def test_layers_compute_in_the_precision_of_the_row(name, computed):
    model = _adapted(variant(name), "small")
    seen = []
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    layer.base_layer.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with variant(name).around():
        for _ in _read(model, torch.arange(12).view(2, 6)):
            pass
    assert set(seen) == {computed}


def test_training_gives_adapters_a_gradient_and_sampling_reads_the_cache():
    model = _adapted(variant("float32"), "small")
    stages = _train(model, torch.arange(12).view(2, 6))
    gradients = []
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.register_hook(lambda gradient: gradients.append(float(gradient.abs().sum())))
    for _ in stages:
        pass
    assert max(gradients) > 0
    shapes = []
    model.base_model.model.model.embed_tokens.register_forward_hook(
        lambda module, inputs, output: shapes.append(tuple(inputs[0].shape))
    )
    for _ in _sample(model, torch.arange(12).view(2, 6)):
        pass
    assert shapes == [(2, 6), *[(2, 1)] * NEW_TOKENS]


def test_every_precision_has_its_rates_in_the_table_and_in_the_file(tmp_path, capsys):
    main(repeats=1, compiled=False, size="small", out=tmp_path / "precision.json")
    names = [one.name for one in VARIANTS if not one.compiled]
    table = capsys.readouterr().out.splitlines()[-len(names) :]
    assert [line.split("|")[1].strip() for line in table] == names
    rates = json.loads((tmp_path / "precision.json").read_text())["tokens_per_cpu_second"]
    assert list(rates) == names
    assert all(rate > 0 for found in rates.values() for rate in found.values())


def test_another_size_is_refused():
    assert set(SIZES) == {"small", "full"}
    with pytest.raises(BadParameter, match="size must be one of small, full, got 'big'"):
        main(repeats=1, compiled=False, size="big", out=None)
