"""Tasks: where they come from, how they spread, and that held-out worlds are never trained on."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.config import TERSE_GAME
from baselines.tasks import WorldSource, heldout_games
from ssp_env.game import Turn
from ssp_env.scenario import open_scenario
from ssp_env.worlds import World, WorldConfig, world_preset

FIRST = range(12)


def draw(seed: int = 0, count: int = 24, **options: object) -> tuple:
    return WorldSource(**options).draw(np.random.default_rng(seed), count)  # type: ignore[arg-type]


# -- worlds --------------------------------------------------------------------------------------------


def test_training_and_heldout_worlds_share_no_page_and_no_fact_chain():
    pages = {
        split: {
            page.text
            for index in FIRST
            for page in World(world_preset("tiny", split=split, index=index)).passages()
        }
        for split in ("train", "heldout")
    }
    assert len(pages["train"]) == len(pages["heldout"]) == 24 * len(FIRST)
    assert not pages["train"] & pages["heldout"]


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_a_heldout_world_is_no_training_world_of_any_number(index: int):
    heldout = World(world_preset("tiny", split="heldout", index=index))
    assert heldout.fingerprint() != World(world_preset("tiny", index=index)).fingerprint()
    assert (heldout.id, heldout.config.split) == (f"tiny-heldout-{index}", "heldout")


def test_a_site_searches_its_own_world_word_by_word():
    scenario = open_scenario("tiny", index=5)
    assert len(scenario.engine) == len(scenario.world)
    for page in scenario.world.passages():
        (hits,) = scenario.engine.search([page.title], 1)
        assert hits[0].title == page.title


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="nowhere"):
        draw(preset="nowhere")


# -- training tasks ------------------------------------------------------------------------------------


def test_tasks_are_fixed_by_the_generator():
    assert draw(3)[0] == draw(3)[0] != draw(4)[0]


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 4))
@settings(max_examples=20)
def test_tasks_ask_for_entities_that_such_a_path_ends_in(seed: int, count: int, worlds: int):
    tasks, scenarios = draw(seed, count, worlds=worlds, hops=(1, 2, 3))
    assert len({task.id for task in tasks}) == len(tasks) == count
    assert {task.corpus for task in tasks} == set(scenarios)
    assert len(scenarios) <= worlds
    for task in tasks:
        world = scenarios[task.corpus].world
        assert world.id == task.corpus and world.config.split == "train"
        assert task.hops in (1, 2, 3) and task.answer in world.answers(task.hops)


def test_tasks_spread_over_worlds_hops_and_answers():
    tasks, scenarios = draw(0, 300, worlds=4, hops=(1, 3))
    assert set(Counter(task.corpus for task in tasks).values()) == {75} and len(scenarios) == 4
    hops = Counter(task.hops for task in tasks)
    assert set(hops) == {1, 3} and min(hops.values()) > 110
    assert len({(task.corpus, task.answer) for task in tasks}) > 60


def test_different_draws_come_from_different_worlds():
    assert not set(draw(1, 8)[1]) & set(draw(2, 8)[1])


# -- held-out games ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_heldout_games_are_what_was_asked_for(hops: int):
    config = replace(TERSE_GAME, attempts=1)
    games, scenarios = heldout_games("tiny", hops, 10, config)
    assert len(games) == 10 and len({game.id for game in games}) == 10
    assert len({(game.task.corpus, game.question) for game in games}) == 10
    for game in games:
        world = scenarios[game.task.corpus].world
        assert world.config.split == "heldout"
        assert world.hops_of(game.question) == hops == game.task.hops
        assert world.resolve(game.question) == game.task.answer
        assert game.phase == "solve" and game.config == config
        (turn,) = [request for request in game.requests() if isinstance(request, Turn)]
        assert game.question in turn.view.messages[-1].content
    per_world = Counter(game.task.corpus for game in games)
    assert sorted(per_world.values()) == [2, 4, 4]


def test_heldout_games_are_the_same_every_time_and_others_from_other_worlds():
    def asked(**options: int) -> list[tuple[str, str]]:
        return [(game.id, game.question) for game in heldout_games("tiny", 2, 8, TERSE_GAME, **options)[0]]

    assert asked() == asked()
    assert not {game_id for game_id, _ in asked()} & {game_id for game_id, _ in asked(first_world=50)}
    assert len({game_id.rpartition("/")[0] for game_id, _ in asked(per_world=1)}) == 8


def test_heldout_games_of_different_hops_can_be_played_together():
    ids = [game.id for hops in (1, 2, 3) for game in heldout_games("tiny", hops, 6, TERSE_GAME)[0]]
    assert len(set(ids)) == len(ids)


def test_heldout_answers_can_be_read_off_the_pages():
    """Solved by hand: follow the question through the pages the engine returns on the way."""
    games, scenarios = heldout_games("tiny", 3, 5, TERSE_GAME)
    for game in games:
        scenario = scenarios[game.task.corpus]
        *relations, place = game.question.removesuffix(" ?").split(" of ")
        for relation in reversed(relations):
            (hits,) = scenario.engine.search([place], 1)
            words = hits[0].text.split()
            place = next(
                words[i + 2] for i in range(0, len(words), 3) if words[i : i + 2] == [place, relation]
            )
        assert place == game.task.answer


def test_worlds_can_be_opened_again_from_the_id_in_a_task():
    (task, *_), scenarios = draw(0, 1)
    world = World(WorldConfig.from_id(task.corpus))
    assert world.fingerprint() == scenarios[task.corpus].world.fingerprint()
