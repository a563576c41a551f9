"""The benchmark of training gives both trainers the same work and divides a step into its parts."""

import sys

import pytest

from agents.decode_loop import DecodeLoop
from baselines import preset
from benchmarks import training_speed
from benchmarks.training_speed import Load, Ours, Stopwatch, Times, beside_trl, comparison, step_shares, tiny

LOAD = Load(prompts=2, attempts=2, prompt_tokens=6, new_tokens=3, micro_batch=2)


def test_the_shares_of_a_step_add_up_to_one_and_nothing_stays_watched():
    run = DecodeLoop.run
    # The smoke preset is paid nothing: without an entropy bonus there would be no update.
    config = preset("smoke").changed({"proposer": {"entropy_coefficient": 0.01}})
    shares, tokens = step_shares(config, 1, None)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert set(shares) >= {"games", "generation", "search", "log-probs", "update"}
    assert all(shares[part] > 0.0 for part in ("games", "generation", "log-probs", "update"))
    assert tokens > 0
    assert DecodeLoop.run is run


def test_time_in_an_inner_method_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 1.0, 3.0, 7.0])
    monkeypatch.setattr(training_speed.time, "process_time", lambda: next(clock))

    class Game:
        def play(self):
            return self.ask()

        def ask(self):
            return "answer"

    watch = Stopwatch()
    with watch.watch([("games", Game, "play"), ("generation", Game, "ask")]):
        assert Game().play() == "answer"
    assert watch.seconds == {"games": 5.0, "generation": 2.0}


@pytest.mark.parametrize("share_prefixes", [False, True])
def test_our_step_samples_and_trains_the_tokens_of_the_load(share_prefixes: bool):
    ours = Ours(tiny()[0], LOAD, share_prefixes=share_prefixes)
    ours.step()
    assert ours.metrics["solver/trained_tokens"] == LOAD.sampled == 12
    assert ours.metrics["solver/max_ratio_error"] < 1e-4


@pytest.mark.filterwarnings("default")
def test_trl_takes_the_same_steps():
    pytest.importorskip("trl", reason="needs trl: make parity")
    times = beside_trl(LOAD, steps=2)
    assert len(times.ours) == len(times.sharing) == len(times.theirs) == 2
    assert times.their_tokens == LOAD.sampled
    assert comparison(LOAD, times)["steps"] == 2


def test_without_trl_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match="run `make parity`"):
        beside_trl(LOAD, steps=1)


def test_a_micro_batch_that_does_not_divide_the_completions_is_refused():
    with pytest.raises(ValueError, match="must divide the 64 completions of a step, got 5"):
        Load(micro_batch=5)


def test_the_ratio_is_the_median_of_the_pairs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training_speed, "version", lambda name: "1")
    figures = comparison(LOAD, Times([1.0, 1.0, 2.0], [0.5, 1.5, 1.0], [2.0, 3.0, 3.0]))
    assert figures["ratio_of_trl"] == {
        "ours": {"min": 1.5, "median": 2.0, "max": 3.0},
        "ours_sharing_prefixes": {"min": 2.0, "median": 3.0, "max": 4.0},
    }
