"""Which hops are asked: most often those that the solver can half do, and none never."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.rollouts.hop_mixture import HopMixture
from baselines.rollouts.tasks import WorldSource
from ssp_env.game import Game, Task
from ssp_env.play import play
from tests.baselines.test_self_play import opened
from tests.game.doubles import HOPELESS, PERFECT, PROPOSAL, Script, Shelf, rules

ASKING = Script(*PROPOSAL)


def played(hops, solver, proposer=ASKING):
    game = Game(Task("Tavor", hops=hops, id="t"), rules(rag_check=False))
    play([game], proposer=proposer, solver=solver, search=Shelf())
    return game


@given(st.dictionaries(st.integers(1, 4), st.floats(0, 1), min_size=1))
def test_shares_are_probabilities_and_greatest_where_success_is_nearest_to_half(success):
    mixture = HopMixture(sorted(success))
    mixture.success = dict(success)
    shares = mixture.shares()
    assert sum(shares.values()) == pytest.approx(1)
    by_distance = sorted(success, key=lambda hops: abs(success[hops] - 0.5))
    ordered = [shares[hops] for hops in by_distance]
    assert all(first >= second - 1e-12 for first, second in pairwise(ordered))
    assert min(ordered) >= 0.1 / (1.1 * len(success)) - 1e-12


def test_only_valid_questions_move_the_average_of_their_hops():
    mixture = HopMixture([1, 2])
    mixture.record([played(1, PERFECT), played(1, HOPELESS), played(2, PERFECT)])
    assert mixture.success == {1: pytest.approx(0.5), 2: pytest.approx(0.55)}
    mixture.record([played(2, PERFECT, proposer=Script("nothing"))])
    assert mixture.success[2] == pytest.approx(0.55)
    copy = HopMixture([1, 2])
    copy.load(mixture.plain_state())
    assert copy.shares() == mixture.shares()


@pytest.mark.parametrize("known", [False, True])
def test_a_source_draws_hops_by_their_shares(known):
    source = WorldSource(known_questions=known, shares={1: 0.0, 2: 0.9, 3: 0.1})
    tasks, _ = source.draw(np.random.default_rng(0), 200)
    drawn = Counter(task.hops for task in tasks)
    assert drawn[1] == 0 and 160 < drawn[2] < 200 and drawn[3] == 200 - drawn[2]
    equal, _ = replace(source, shares={}).draw(np.random.default_rng(0), 200)
    assert set(Counter(task.hops for task in equal)) == {1, 2, 3}


@pytest.mark.parametrize("kind", ["equal", "adaptive"])
def test_a_step_asks_for_hops_by_the_success_of_earlier_steps_and_a_checkpoint_keeps_it(kind, learner):
    changes = {"hop_mixture": kind, "hops": [1, 2], "answers": 60, "proposer": {"algorithm": "frozen"}}
    game = opened(learner, changes)
    game.rollouts.hop_mixture.success = {1: 1.0, 2: 0.5}
    played, _ = game.step(0)
    asked = Counter(task.hops for task in (one.task for one in played.games))
    assert (asked[1] < 15) is (kind == "adaptive")
    other = opened(learner, changes)
    other.load_state_dict(game.state_dict(), game.plain_state())
    assert other.rollouts.hop_mixture.success == game.rollouts.hop_mixture.success != {1: 0.5, 2: 0.5}
