"""Held-out accuracy of scripted solvers, whose strength is known."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.scripted import ScriptedSolver
from baselines.config import TERSE_GAME
from baselines.evaluation.heldout import Accuracy, evaluate
from ssp_env.game import Reply, View
from ssp_env.scoring import wilson_interval


def measured(strength: object, **options: object) -> dict[str, Accuracy]:
    options = {"hops": (1, 2, 3), "questions": 20, **options}
    config = options.pop("config", TERSE_GAME)
    return evaluate(ScriptedSolver(strength), "tiny", config, **options)  # type: ignore[arg-type]


def test_a_perfect_solver_is_always_right():
    for hops, accuracy in measured("perfect").items():
        assert (accuracy.pass_at_1, accuracy.n, accuracy.searches) == (1.0, 20, int(hops))


def test_a_hopeless_solver_is_never_right():
    for accuracy in measured("hopeless").values():
        assert (accuracy.pass_at_1, accuracy.searches) == (0.0, 0.0)


def test_a_solver_of_one_hop_is_right_on_one_hop():
    results = measured("one_hop")
    assert results["1"].pass_at_1 == 1.0 and results["1"].searches == 1.0
    assert results["2"].pass_at_1 < 0.3 and results["3"].pass_at_1 < 0.3


def test_one_attempt_counts_per_question_whatever_the_rules_say():
    """Pass@1 is not the share of questions that every attempt gets right."""
    half = {"chain": 0.5, "start_entity": 0.5}
    single, group = (measured(half, config=replace(TERSE_GAME, attempts=k), questions=40) for k in (1, 8))
    assert single == group
    assert all(0.25 < accuracy.pass_at_1 < 0.75 for accuracy in group.values())


def test_the_interval_is_wilsons_and_holds_the_value():
    for strength in ("hopeless", "weak", "perfect"):
        for accuracy in measured(strength).values():
            low, high = accuracy.ci95
            assert (low, high) == wilson_interval(round(accuracy.pass_at_1 * accuracy.n), accuracy.n)
            assert 0.0 <= low <= accuracy.pass_at_1 <= high <= 1.0


def test_results_do_not_depend_on_how_many_games_are_played_together():
    assert measured("weak", batch=3) == measured("weak", batch=100)


def test_other_worlds_give_other_questions():
    assert measured("guess", hops=(1,), questions=40) != measured(
        "guess", hops=(1,), questions=40, validation=True
    )


def test_only_the_hops_asked_for_are_measured():
    assert set(measured("perfect", hops=(2,))) == {"2"}


class Forgetful:
    """A perfect solver that counts how long it is trusted with what it remembers."""

    def __init__(self) -> None:
        self.solver = ScriptedSolver("perfect")
        self.remembered: set[tuple[str, str, str]] = set()
        self.most = 0

    def act_batch(self, views: Sequence[View]) -> list[str | Reply]:
        self.remembered |= {view.conversation_id for view in views}
        self.most = max(self.most, len(self.remembered))
        return [self.solver.act(view) for view in views]

    def forget(self) -> None:
        self.remembered.clear()


def test_a_solver_with_a_memory_is_told_to_forget_after_every_batch():
    solver = Forgetful()
    results = evaluate(solver, "tiny", TERSE_GAME, hops=(1, 2), questions=12, batch=4)
    assert all(accuracy.pass_at_1 == 1.0 for accuracy in results.values())
    assert solver.most == 4 and not solver.remembered


def test_results_become_plain_data():
    accuracy = Accuracy(0.25, (0.1, 0.5), 8, 1.5)
    assert accuracy.to_dict() == {"pass_at_1": 0.25, "ci95": [0.1, 0.5], "n": 8, "searches": 1.5}


def test_an_unknown_world_is_named():
    with pytest.raises(ValueError, match="nowhere"):
        evaluate(ScriptedSolver("perfect"), "nowhere", TERSE_GAME, questions=1)
