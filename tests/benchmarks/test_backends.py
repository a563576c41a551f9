"""The agreement of back ends: what is recorded, and how two samples of a turn compare."""

from benchmarks.backends import Agreement, Recorder, Turn, compare
from ssp_env.game import Message, Reply, View

VIEW = View("g", "solver_0", "solve", (Message("user", "Where?"),), 3, 3)


class Said:
    def __init__(self, *replies):
        self.replies = list(replies)

    def act_batch(self, views):
        return [self.replies.pop(0) for _ in views]


def test_prompts_are_recorded_as_they_were_read():
    first = Reply("a", (5, 6), (-1.0, -1.0), (1, 2))
    second = Reply("b", (7,), (-1.0,), (3,))
    recorder = Recorder(Said(first, second, Reply("no ids")))
    for _ in range(3):
        recorder.act_batch([VIEW])
    assert [turn.prompt_ids for turn in recorder.turns] == [(1, 2), (1, 2, 5, 6, 3)]
    assert recorder.without_ids == 1


def turn(ids, logprobs):
    return Turn(VIEW, (1,), tuple(ids), tuple(logprobs))


def test_equal_turns_differ_by_their_largest_difference():
    assert compare(turn([5, 6], [-1.0, -2.0]), turn([5, 6], [-1.0, -2.25])) == Agreement(True, 0.25)


def test_a_turn_that_goes_on_is_another_turn():
    assert not compare(turn([5], [-1.0]), turn([5, 6], [-1.0, -1.0])).equal


def test_where_turns_part_the_choices_are_compared_and_no_logprob_behind_them():
    one, other = turn([5, 6, 9], [-1.0, -2.0, 0.0]), turn([5, 7, 8], [-1.0, -2.5, -9.0])
    assert compare(one, other) == Agreement(False, 0.0, 0.5)
