"""Batch filling: each kind on a step made by hand, and what the pool of questions always keeps to."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.config import preset
from baselines.config.self_play import FillingConfig
from baselines.rollouts.batch_filling import Filling, PooledQuestion, QuestionPool, key_of
from baselines.rollouts.rollout import Pairing, Rollout, Setting, play_pairings
from ssp_env.game import Game, Reply, Task, View
from ssp_env.scenario import Scenario, open_scenario
from tests.baselines.short_runs import EASY_GAME

CORPUS = open_scenario("tiny")
"""Where nobody searches."""


# -- a step made by hand -------------------------------------------------------------------------------


@dataclass
class Drawn:
    """A source that gives out answers one after another."""

    answers: Iterator[str]

    def draw(self, rng: np.random.Generator, count: int) -> tuple[list[Task], dict[str, Scenario]]:
        tasks = [Task(next(self.answers), id=str(number), corpus="tiny") for number in range(count)]
        return tasks, {"tiny": CORPUS}

    def reopen(self, corpus: str) -> Scenario:
        assert corpus == "tiny"
        return CORPUS


class Player:
    """Asks for each answer what it is told to, and knows the answers to some questions.

    A question may be missing, which is invalid. Two of four attempts at "even" questions are right.
    """

    def __init__(self, **questions: str) -> None:
        self.questions = questions
        self.asked: list[str] = []

    def act(self, view: View) -> Reply:
        text = self._text(view)
        return Reply(text, token_ids=(1, 2), context_ids=(3, 4), logprobs=(-1.0, -1.0))

    def _text(self, view: View) -> str:
        words = view.messages[0].content.split()
        if view.role == "proposer":
            question = self.questions.get(words[-1])
            return f"<question> {question} </question>" if question else "hm"
        question = " ".join(words[1:])
        self.asked.append(question)
        right = "even" not in question or view.seat in ("solver_0", "solver_1")
        known = [a for a, asked in self.questions.items() if key_of(asked, "") == key_of(question, "")]
        return f"<answer> {known[0] if known and right else 'wrong'} </answer>"


ASKED = {"a": "who is even ?", "b": "what is two ?", "d": "What IS two ?", "e": "where is five ?"}
"""By answer: c has no question, d's is a copy of b's."""


def played(filling: Filling, answers: str, step: int = 0, proposals: int = 1) -> tuple[Rollout, Player]:
    """One step over these answers, whose further proposals take the answers after the bar."""
    drawn, _, further = answers.partition("|")
    setting = Setting(Drawn(iter(drawn + further)), EASY_GAME, 0, step, proposals)  # type: ignore[arg-type]
    player = Player(**ASKED)
    pairing = Pairing(player, player, len(drawn))
    return filling.complete(play_pairings(setting, [pairing]), setting, pairing), player


def trained(rollout: Rollout) -> list[str]:
    """Questions of the solver's samples, one by group."""
    by_id = {game.id: game for game in rollout.games}
    return [by_id[name].question for name in dict.fromkeys(s.game_id for s in rollout.samples["solver"])]


def test_a_smaller_batch_holds_the_valid_questions_and_counts_copies():
    rollout, _ = played(Filling(FillingConfig()), "abcd")
    assert trained(rollout) == ["who is even ?", "what is two ?", "What IS two ?"]
    assert rollout.metrics["duplicate_questions"] == 1 and "filled" not in rollout.metrics
    assert len(rollout.samples["proposer"]) == 4


def test_copies_are_left_out_of_the_solvers_batch_alone():
    rollout, _ = played(Filling(FillingConfig(distinct=True)), "abcd")
    assert trained(rollout) == ["who is even ?", "what is two ?"]
    assert rollout.metrics["duplicate_questions"] == 1
    assert len(rollout.samples["proposer"]) == 4 and len(rollout.games) == 4


def test_resampling_asks_until_the_batch_is_full():
    rollout, _ = played(Filling(FillingConfig("resample")), "abcd|cdecc")
    # Two places are empty after the step, and after c and d; e fills one, and the last c does not.
    assert trained(rollout) == ["who is even ?", "what is two ?", "where is five ?"]
    assert rollout.metrics["filled"] == 1
    assert [game.task.answer for game in rollout.games] == [*"abcdcdecc"]
    assert rollout.metrics["duplicate_questions"] == 2
    assert rollout.metrics["valid_rate"] == pytest.approx(5 / 9)
    assert len(rollout.samples["proposer"]) == 9
    assert len({game.id for game in rollout.games}) == 9


def test_resampling_stops_after_its_rounds_and_when_nothing_is_missing():
    rollout, _ = played(Filling(FillingConfig("resample", rounds=2)), "c|cc")
    assert trained(rollout) == [] and len(rollout.games) == 3 and rollout.metrics["filled"] == 0
    full, _ = played(Filling(FillingConfig("resample")), "ab")
    assert len(full.games) == 2 and full.metrics["filled"] == 0


def test_dummies_cost_attempts_and_have_no_reward_at_all():
    rollout, player = played(Filling(FillingConfig("dummy")), "abcd")
    assert trained(rollout) == ["who is even ?", "what is two ?", "What IS two ?", "c ?"]
    assert player.asked.count("c ?") == 4
    by_id = {game.id: game for game in rollout.games}
    for sample in rollout.samples["solver"]:
        assert math.isnan(sample.reward) == (by_id[sample.game_id].question == "c ?")
    assert rollout.metrics["filled"] == 1 and rollout.metrics["valid_rate"] == 0.75


def test_earlier_questions_are_played_by_the_solver_alone():
    filling = Filling(FillingConfig("replay"))
    first, _ = played(filling, "abcd")
    assert first.metrics["replayed"] == 0 and first.metrics["pool_size"] == 2
    second, player = played(filling, "ccce", step=1)
    assert sorted(trained(second)) == ["what is two ?", "where is five ?", "who is even ?"]
    assert second.metrics["filled"] == second.metrics["replayed"] == 2
    assert (second.metrics["pool_size"], second.metrics["pool_age"]) == (3, pytest.approx(2 / 3))
    # Proposals of this step alone are the proposer's, and the figures of the step are about them.
    assert [s.game_id for s in second.samples["proposer"]] == ["0", "1", "2", "3"]
    assert second.metrics["valid_rate"] == 0.25
    again = [game for game in second.games if game.id.startswith("replayed")]
    assert [game.task.corpus for game in again] == ["tiny", "tiny"]
    assert {game.question: game.outcome.success_rate for game in again if game.outcome} == {
        "who is even ?": 0.5,
        "what is two ?": 1.0,
    }
    groups = [sample.group for sample in second.samples["solver"]]
    assert len(set(groups)) == 3 and all(groups.count(group) == 4 for group in groups)
    assert player.asked.count("what is two ?") == 4


def test_a_question_that_is_asked_anew_is_not_replayed_beside_itself():
    filling = Filling(FillingConfig("replay"))
    played(filling, "ab")
    # d asks what b asked, in capitals.
    rollout, _ = played(filling, "dccc", step=1)
    assert trained(rollout) == ["What IS two ?", "who is even ?"]
    assert rollout.metrics["replayed"] == 1 and rollout.metrics["pool_size"] == 2


def test_a_pool_that_is_reset_starts_empty_every_so_many_steps():
    filling = Filling(FillingConfig("replay-reset", reset_every=2))
    replayed = [played(filling, "ab" if step == 0 else "cc", step=step)[0] for step in range(3)]
    assert [rollout.metrics["replayed"] for rollout in replayed] == [0, 2, 0]
    assert [rollout.metrics["pool_size"] for rollout in replayed] == [2, 2, 0]


def test_priority_goes_to_questions_that_are_answered_half_of_the_time():
    counts = {"who is even ?": 0, "what is two ?": 0}
    for step in range(1, 40):
        filling = Filling(FillingConfig("prioritised", max_age=50))
        played(filling, "ab")
        rollout, _ = played(filling, "c", step=step)
        counts[trained(rollout)[0]] += 1
    assert counts["who is even ?"] > 30 and counts["what is two ?"] > 0


def test_old_and_worn_out_questions_are_not_asked_again():
    filling = Filling(FillingConfig("prioritised", max_age=5, max_uses=2))
    played(filling, "a")
    uses = [played(filling, "c", step=step)[0].metrics["replayed"] for step in (1, 2, 3)]
    assert uses == [1, 1, 0]
    old = Filling(FillingConfig("prioritised", max_age=5))
    played(old, "a")
    assert [played(old, "c", step=step)[0].metrics["replayed"] for step in (5, 6)] == [1, 0]


# -- the pool ------------------------------------------------------------------------------------------


def ended(question: str, success: float) -> Game:
    """A game about a question that ended with this share of right answers of four."""
    game = Game(Task("x", question=question, corpus="c"), replace(EASY_GAME, attempts=4))
    for number in range(4):
        (request, *_) = game.requests()
        game.submit(request.id, Reply(f"<answer> {'x' if number < 4 * success else 'y'} </answer>"))
    return game


NAMES = st.sampled_from(["one ?", "One?", "two ?", "the two", "three ?", "four ?", "five ?"])
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(NAMES, st.sampled_from([0.0, 0.5, 1.0])), max_size=4), st.integers(0, 4)),
    max_size=12,
)


@given(
    STEPS,
    st.sampled_from(["replay", "replay-reset", "prioritised"]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_a_pool_keeps_to_its_size_ages_and_uses_and_holds_no_copies(
    steps: list[tuple[list[tuple[str, float]], int]], kind: str, capacity: int, age: int, uses: int
):
    config = FillingConfig(kind, capacity=capacity, max_age=age, max_uses=uses, reset_every=2)  # type: ignore[arg-type]
    pool, rng = QuestionPool(config), np.random.default_rng(0)
    for step, (valid, count) in enumerate(steps):
        pool.begin(step)
        fresh = {key_of(question, "c") for question, _ in valid}
        drawn = pool.draw(count, rng, without=fresh)
        assert len(drawn) <= min(count, len(pool))
        keys = [key_of(question.question, question.corpus) for question in drawn]
        assert len(set(keys)) == len(keys) and not fresh & set(keys)
        for question in drawn:
            if kind == "prioritised":
                assert 0 < step - question.step <= age and question.uses < uses
            if kind == "replay-reset":
                assert question.step // 2 == step // 2
            pool.replayed(ended(question.question, 0.5))
        for text, success in valid:
            pool.add(ended(text, success), step)
        assert len(pool) <= capacity
        kept = [PooledQuestion(**item) for item in pool.to_list()]
        assert len({key_of(question.question, question.corpus) for question in kept}) == len(kept)
        again = QuestionPool(config)
        again.load(json.loads(json.dumps(pool.to_list())))
        assert again.to_list() == pool.to_list()


def test_a_question_that_comes_again_keeps_its_age_and_gets_its_success():
    pool = QuestionPool(FillingConfig("replay"))
    pool.add(ended("one ?", 1.0), 3)
    pool.add(ended("ONE", 0.5), 7)
    (item,) = pool.to_list()
    assert (item["question"], item["step"], item["success"], item["uses"]) == ("one ?", 3, 0.5, 0)


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"filling": {"kind": "reply"}}, "kind"),
        ({"filling": {"capacity": 0}}, "filling.capacity must be at least 1, got 0"),
        ({"filling": {"max_ages": 3}}, "did you mean 'max_age'"),
        ({"solver": "frozen", "filling": {"kind": "replay"}}, "the solver does not learn"),
    ],
)
def test_filling_that_cannot_be_is_refused(changes: dict[str, object], said: str):
    with pytest.raises(ValueError, match=said):
        preset("smoke").changed(changes)
