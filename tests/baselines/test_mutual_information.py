"""Mutual information, of proposers whose dependence on their task is known."""

import math
from copy import deepcopy

import pytest
import torch

from baselines.mutual_information import PROPOSALS, mutual_information
from baselines.samples import Sample, Segment
from tests.baselines.test_self_play import opened


def proposal(task: int, *said: int) -> Sample:
    segments = (Segment((task, task), False), Segment(said, True), Segment((9,), False), Segment(said, True))
    return Sample(f"game {task}", "proposer_0", segments, role="proposer")


class Table:
    """A learner for which a conversation has a log-probability by its task and its first sampled token."""

    policy = None

    def __init__(self, logprob):
        self.logprob, self.rows = logprob, 0

    def scored(self, batch, policy):
        self.rows += len(batch.ids)
        scores = torch.zeros(batch.ids.shape)
        for row, ids in enumerate(batch.ids):
            first = int(batch.mask[row].nonzero()[0])
            scores[row, first] = self.logprob(int(ids[0]), int(ids[first]))
        return scores


def test_a_proposer_that_ignores_its_task_has_no_information_about_it():
    learner = Table(lambda task, said: -3.0)
    assert mutual_information(learner, [proposal(t, t + 10) for t in range(6)]) == pytest.approx(
        0.0, abs=1e-6
    )
    assert learner.rows == PROPOSALS**2


def test_a_proposer_that_fits_its_task_alone_has_all_there_is():
    learner = Table(lambda task, said: 0.0 if said == task + 10 else -60.0)
    proposals = [proposal(t, t + 10) for t in range(4)]
    assert mutual_information(learner, proposals) == pytest.approx(math.log(4))
    assert mutual_information(learner, proposals[:2]) == pytest.approx(math.log(2))


def test_copies_of_a_task_are_no_second_task():
    learner = Table(lambda task, said: -1.0)
    assert mutual_information(learner, [proposal(3, 10), proposal(3, 11)]) is None
    assert mutual_information(learner, []) is None


def test_half_of_the_information_by_hand():
    # Two tasks; each conversation is e times as probable behind its own prompt.
    learner = Table(lambda task, said: 0.0 if said == task + 10 else -1.0)
    expected = 0.0 - math.log((1 + math.exp(-1)) / 2)
    found = mutual_information(learner, [proposal(0, 10), proposal(1, 11)])
    assert found == pytest.approx(expected, abs=1e-6)


def test_every_step_in_which_the_proposer_learns_is_measured(learner, lenient_scores):
    _, metrics = opened(learner, {}).step(0)
    assert 0.0 <= metrics["mutual_information"] <= math.log(PROPOSALS) + 1e-6
    solver_only = opened(learner, {"proposer": {"algorithm": "frozen"}})
    assert "mutual_information" not in solver_only.step(0)[1]


def test_it_is_measured_with_the_weights_that_sampled(learner, lenient_scores):
    before = deepcopy(learner)
    game = opened(learner, {})
    played, metrics = game.step(0)
    same = opened(before, {}).learners["proposer"]
    assert mutual_information(same, played.samples["proposer"]) == metrics["mutual_information"]
    assert mutual_information(game.learners["proposer"], played.samples["proposer"]) != pytest.approx(
        metrics["mutual_information"], abs=1e-9
    )
