"""The embedded arena: its tasks and gold questions belong to one training world and can be answered there."""

from ssp_env.embedded import embedded_engine, embedded_questions, embedded_tasks, embedded_world
from ssp_env.worlds import is_heldout_composition, parse_question


def test_it_is_a_training_world_and_the_engine_searches_its_pages():
    assert embedded_world().config.split == "train"
    assert len(embedded_engine()) == len(embedded_world()) == 24


def test_every_entity_is_asked_for_with_one_to_three_hops():
    tasks = embedded_tasks()
    assert {(task.answer, task.hops) for task in tasks} == {
        (name, hops) for name in embedded_world().names() for hops in (1, 2, 3)
    }
    assert len({task.id for task in tasks}) == len(tasks) == 72


def test_gold_questions_are_right_and_hold_no_heldout_pair():
    questions = embedded_questions()
    assert len({task.question for task in questions}) == len({task.id for task in questions}) == 120
    for task in questions:
        assert embedded_world().resolve(task.question) == task.answer
        assert embedded_world().hops_of(task.question) == task.hops
        assert not is_heldout_composition(parse_question(task.question).relations)
    assert [task.hops for task in questions] == [1] * 40 + [2] * 40 + [3] * 40
