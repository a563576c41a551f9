"""Tasks: where they come from, how they spread, and that held-out worlds are never trained on."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.config import TERSE_GAME
from baselines.config.source import SourceConfig
from baselines.rollouts.tasks import Source, WorldSource, heldout_games, open_source
from ssp_env.game import GameConfig, Turn
from ssp_env.scenario import open_scenario
from ssp_env.search import BM25Engine
from ssp_env.worlds import World, WorldConfig, world_preset
from ssp_env.worlds.schema import is_heldout_composition

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


# -- known questions and corpora of one's own ----------------------------------------------------------


def test_known_questions_come_from_training_worlds_and_keep_held_out_pairs_of_relations_out():
    tasks, scenarios = draw(0, 60, worlds=3, hops=(2, 3), known_questions=True)
    for task in tasks:
        world = scenarios[task.corpus].world
        assert world.config.split == "train" and world.resolve(task.question) == task.answer
        assert world.hops_of(task.question) == task.hops
    assert len({task.question for task in tasks}) > 40
    known, _ = WorldSource(worlds=3, hops=(2, 3)).draw_known(np.random.default_rng(0), 60)
    assert not any(is_heldout_composition(question.relations) for question, _ in known)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = [
        {"id": name, "title": name, "text": f"{name} is the capital of {name}ia, far away."} for name in "abc"
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [{"id": name, "question": f"Capital of {name}ia?", "golden_answers": [name]} for name in "abc"]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "answers.jsonl").write_text('{"id": "1", "answer": "a"}\n{"id": "2", "answer": "b"}\n')
    return tmp_path


def of_corpus(folder: Path, **files: str) -> Source:
    config = SourceConfig(
        corpus=str(folder / "corpus.jsonl"), **{k: str(folder / v) for k, v in files.items()}
    )
    config.check_files()
    return open_source(config, "tiny", (1, 2), GameConfig())


def test_questions_of_a_file_are_drawn_once_before_any_comes_again(corpus: Path):
    tasks, scenarios = of_corpus(corpus, questions="questions.jsonl").draw(np.random.default_rng(0), 7)
    assert [task.id for task in tasks] == [str(number) for number in range(7)]
    assert sorted(Counter(task.question for task in tasks).values()) == [2, 2, 3]
    for start in (0, 3):
        assert len({task.question for task in tasks[start : start + 3]}) == 3
    assert {task.corpus for task in tasks} == set(scenarios)


def test_answers_of_a_file_are_asked_for_at_every_number_of_hops(corpus: Path):
    tasks, _ = of_corpus(corpus, answers="answers.jsonl").draw(np.random.default_rng(0), 4)
    assert sorted((task.answer, task.hops, task.question) for task in tasks) == [
        ("a", 1, ""), ("a", 2, ""), ("b", 1, ""), ("b", 2, "")
    ]  # fmt: skip


def test_only_a_file_for_that_purpose_is_held_out(corpus: Path):
    source = of_corpus(corpus, questions="questions.jsonl", heldout="questions.jsonl")
    (heldout,) = source.heldout(GameConfig(), 2, validation=False)
    assert heldout.name == "questions" and len(heldout.games) == 2
    assert list(source.heldout(GameConfig(), 2, validation=True)) == []


def test_a_missing_file_is_named_with_its_option(corpus: Path):
    with pytest.raises(FileNotFoundError, match=r"source\.heldout: there is no file or folder '.*none'"):
        of_corpus(corpus, heldout="none")


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_searches_of_a_run_lose_what_the_source_says_in_training_and_in_measuring(drop: float):
    source = open_source(SourceConfig(drop=drop), "tiny", (1,), TERSE_GAME)
    _, drawn = source.draw(np.random.default_rng(0), 4)
    (held,) = source.heldout(TERSE_GAME, 4, validation=False)
    reopened = {key: source.reopen(key) for key in drawn}
    for scenarios in (drawn, reopened, held.scenarios):
        for scenario in scenarios.values():
            names = [passage.text.split()[0] for passage in map(scenario.world.passage, range(24))]
            found = scenario.engine.search(names, 2)
            whole = BM25Engine(map(scenario.world.passage, range(24))).search(names, 2)
            kept = sum(map(len, found)) / sum(map(len, whole))
            assert (kept > 0.95) if drop == 0 else (0.3 < kept < 0.7)


def test_losses_are_shares_and_for_generated_worlds():
    with pytest.raises(ValueError, match=r"source\.drop must be from 0 to below 1, got 1"):
        SourceConfig(drop=1)
    with pytest.raises(ValueError, match=r"source\.drop is for generated worlds"):
        SourceConfig(corpus="pages.jsonl", drop=0.1)
