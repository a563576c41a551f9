"""Intervals of clustered trials: attempts at one question tell less than as many questions."""

import numpy as np
import pytest

from baselines.evaluation.agent_figures import Share, count_figures
from baselines.evaluation.intervals import clustered_interval, effective_trials
from ssp_env.game import Game, GameConfig, Task
from ssp_env.scoring import wilson_interval


def trials(*clusters, world="w"):
    return [(bool(result), (number, world)) for number, results in enumerate(clusters) for result in results]


def test_single_attempts_are_independent():
    alone = trials(*[[1]] * 6, *[[0]] * 4)
    assert effective_trials(alone) == pytest.approx(10)
    assert Share.of(alone).interval == wilson_interval(6, 10)
    assert effective_trials([]) == 0 and Share.of([]).interval == (0.0, 1.0)


def test_attempts_that_always_agree_count_once_per_question():
    together = trials(*[[1] * 8] * 6, *[[0] * 8] * 4)
    assert effective_trials(together) == pytest.approx(10)
    assert Share.of(together).interval == pytest.approx(wilson_interval(6, 10))
    assert str(Share.of(together)).startswith("48 of 80")


def test_attempts_that_are_independent_count_each():
    mixed = trials(*[[1, 0, 1, 0]] * 20)
    assert effective_trials(mixed) == 80


@pytest.mark.parametrize("result", [0, 1])
def test_where_all_end_alike_each_question_counts_once(result):
    low, high = Share.of(trials(*[[result] * 8] * 5)).interval
    assert (low, high) == wilson_interval(5 * result, 5)


def test_several_worlds_are_clusters_of_questions():
    good = [(True, (f"good/{number}", "good")) for number in range(50)]
    bad = [(False, (f"bad/{number}", "bad")) for number in range(50)]
    assert effective_trials(good + bad) == pytest.approx(2)
    # One world tells nothing about how worlds differ.
    assert effective_trials(good[:25] + [(False, (f"good/x{number}", "good")) for number in range(25)]) == 50


def test_the_interval_covers_what_it_says():
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(400):
        abilities = rng.beta(0.5, 0.5, size=40)
        counts = rng.binomial(8, abilities)
        drawn = trials(*[[1] * count + [0] * (8 - count) for count in counts.tolist()])
        low, high = Share.of(drawn).interval
        covered += low <= 0.5 <= high
        low, high = wilson_interval(int(counts.sum()), 320)
        naive += low <= 0.5 <= high
    assert covered / 400 > 0.92 > 0.8 > naive / 400


def test_a_share_that_is_certain_as_its_trials_has_wilsons_interval():
    assert clustered_interval(3, 7, 7) == wilson_interval(3, 7)
    low, high = clustered_interval(30, 70, 7.0)
    assert (low, high) == pytest.approx(wilson_interval(3, 7))


def attempted(number, right):
    game = Game(
        Task("Tavor", question=f"Who is number {number}?"), GameConfig(attempts=4), game_id=f"{number}"
    )
    for place in range(4):
        game.submit(f"solver_{place}/turn/0", f"<answer> {'Tavor' if place < right else 'Sarn'} </answer>")
    return game


def test_the_figures_of_an_agent_take_attempts_at_one_question_together():
    figures = count_figures([], [attempted(number, 4 * (number < 3)) for number in range(6)])
    assert figures.known_solved == Share(12, 24)
    assert figures.known_solved.to_dict()["ci95"] == pytest.approx(list(wilson_interval(3, 6)))
    assert figures.valid_tags.to_dict()["ci95"] == pytest.approx(list(wilson_interval(6, 6)))
