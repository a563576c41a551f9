"""The check of a GPU gives all its figures on a CPU too; never how fast that is."""

import contextlib
import io

import pytest
import torch
import typer

from benchmarks import gpu_check

DTYPES = ("float32", "bfloat16")
TRAINING = ("Llama, training in float32", "Llama, training in float32 with autocast to bfloat16")


@pytest.fixture(scope="module")
def printed() -> str:
    written = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(written):
        patch.setattr(torch.cuda, "is_available", lambda: False)
        gpu_check.main()
    return written.getvalue()


@pytest.fixture(scope="module")
def values(printed: str) -> dict[str, float]:
    """The figures of the table by measurement."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()[4:]]
    assert all(len(row) == 4 for row in cells)
    return {measurement: float(value.replace(",", "")) for measurement, value, _, _ in cells}


def test_the_table_says_where_it_was_measured(printed):
    first, _, header, *_ = printed.split("\n")
    for part in ("CPU", "size small", torch.__version__, "transformers", "Python"):
        assert part in first
    assert header == "| measurement | value | unit | expected |"


def test_the_cpu_agrees_with_itself_and_bfloat16_rounds(values):
    for kind in ("mean", "largest"):
        for dtype in DTYPES:
            assert values[f"log-probabilities, device {dtype} less CPU {dtype}, {kind}"] < 1e-3
        assert 0 < values[f"log-probabilities, device bfloat16 less CPU float32, {kind}"] < 0.1


def test_sampler_and_trainer_agree_as_far_as_the_type_allows(values):
    for sampled in ("games, {}", "Llama, decoding in {}"):
        assert values[f"{sampled.format('float32')}: ratio error, largest"] < 1e-3
        assert 0 < values[f"{sampled.format('bfloat16')}: ratio error, largest"] < 0.2
    assert 0 < values[f"{TRAINING[1]}, float32 sampler: ratio error, largest"] < 0.2
    for dtype in DTYPES:
        assert values[f"games, {dtype}: sampled tokens"] > 0


def test_decoding_and_training_are_timed(values):
    for name in [f"Llama, decoding in {dtype}: sampled" for dtype in DTYPES]:
        assert values[name] > 0
    for name in TRAINING:
        assert values[f"{name}: trained"] > 0
        assert values[f"{name}: norm of the gradient"] > 0
        # Where the system does not report the memory of a process it is NaN.
        assert not values[f"{name}: peak memory"] <= 0


def test_self_play_learns_from_what_the_present_weights_sampled(values):
    for step in (1, 2):
        assert values[f"self-play, step {step}: largest ratio error"] < 1e-3
        assert values[f"self-play, step {step}: norm of the gradient"] > 0
        assert values[f"self-play, step {step}: trained tokens"] > 0


def test_the_large_llama_has_the_options_of_smollm2():
    options = gpu_check.SIZES["full"].options
    assert (options["num_hidden_layers"], options["hidden_size"], options["vocab_size"]) == (30, 576, 49152)


def test_a_part_that_fails_is_named_and_the_others_go_on(monkeypatch, capsys):
    def broken(device, size):
        raise RuntimeError("out of memory")
        yield

    monkeypatch.setattr(gpu_check, "PARTS", (broken, lambda *_: iter([gpu_check.Row("after it", 1.0)])))
    with pytest.raises(typer.Exit):
        gpu_check.main()
    said = capsys.readouterr().out
    assert "broken failed: RuntimeError" in said and "| after it | 1 |" in said


def test_an_unknown_size_is_refused():
    with pytest.raises(typer.BadParameter, match="small or full, got 'huge'"):
        gpu_check.main(size="huge")
