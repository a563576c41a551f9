"""Demonstrations drawn from oracle play: they are what was played, and good to copy."""

import json

import numpy as np
import pytest

from agents import oracle_play
from agents.oracle_play import FILE, OraclePlayer, draw_demonstrations, style_data
from ssp_env.game import PROTOCOLS, Game, GameConfig, Task
from ssp_env.game.prompts import prompt_style
from ssp_env.game.prompts.demonstrations import FewShot, Listing
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import World, WorldConfig


@pytest.fixture(scope="module")
def world():
    return World(WorldConfig.from_id("small-heldout-7"))


@pytest.fixture(scope="module")
def engine(world):
    return BM25Engine(world.passages())


def drawn(world, engine, seed=0, count=2, **options):
    return draw_demonstrations(world, count, np.random.default_rng(seed), engine=engine, **options)


def test_the_style_on_file_is_what_is_drawn():
    assert json.loads(FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(style_data()))


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_every_step_follows_from_what_was_read_before(world, engine, hops):
    for one in drawn(world, engine, hops=hops):
        assert one.hops == hops
        for told, searches in ((one.answer, one.proposing), (one.question, one.solving)):
            for query, pages in searches:
                assert query in told and len(pages) == GameConfig().top_k
                told += " ".join(f"{page.title} {page.text}" for page in pages)
            assert one.answer in told
        assert one.answer not in one.question
        assert len(one.solving) == hops


def test_the_pages_are_the_engines(world, engine):
    for one in drawn(world, engine):
        for query, pages in (*one.proposing, *one.solving):
            (found,) = engine.search([query], 3)
            assert [(page.title, page.text) for page in found] == [(page.title, page.text) for page in pages]
            assert not any(page.id or page.score for page in pages)


def test_the_same_seed_draws_the_same_and_another_others(world, engine):
    assert drawn(world, engine, 3) == drawn(world, engine, 3) != drawn(world, engine, 4)


def test_a_oracle_player_wins_as_solver_and_loses_as_proposer(world, engine):
    (gold,) = world.questions(2, 1, np.random.default_rng(0))
    player = OraclePlayer(gold)
    game = Game(Task(gold.answer, gold.aliases, 2, id="g"))
    (outcome,) = play([game], proposer=player, solver=player, search=engine)
    assert (outcome.reason, outcome.rewards) == ("solved", {"proposer_0": 0.0, "solver_0": 1.0})


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_complete_oracle_proves_its_answers_link_by_link(world, engine, hops):
    rules = GameConfig(quote_check="per_hop", grounded=True, noise_passages=0)
    reasons = {}
    for complete in (True, False):
        games = []
        for number, known in enumerate(world.questions(hops, 6, np.random.default_rng(1))):
            games.append(Game(Task(known.answer, known.aliases, hops, id=str(number)), rules))
            player = OraclePlayer(known, complete=complete)
            play(games[-1:], proposer=player, solver=player, search=engine)
        reasons[complete] = {game.outcome.reason for game in games}
    assert reasons[True] == {"solved"}
    assert ("unquoted" in reasons[False]) is (hops > 1)


@pytest.mark.parametrize("style", ["few_shot", "drawn"])
def test_demonstrated_quotations_stand_in_what_both_players_found(style):
    for one in prompt_style(style).demonstrations:
        for searches in (one.proposing, one.solving):
            texts = [passage.text for _, found in searches for passage in found]
            standing = [copied for copied in one.quotations if any(copied in text for text in texts)]
            # A solver may find the answer by one search of two.
            assert standing and (searches is one.solving or standing == list(one.quotations))


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_demonstrations_of_any_world_make_a_style_for_any_protocol(world, engine, protocol):
    shown = drawn(world, engine)
    style, tags = FewShot(shown, Listing("Which?", "One; Two"), ["x", "y"]), PROTOCOLS[protocol]
    text = "\n".join(
        message.content for message in style.proposer(GameConfig(protocol=protocol), Task("Tavor", hops=2))
    )
    for one in shown:
        assert f"Answer: {one.answer}\nHops: 2" in text
        assert tags.write("question", one.question).text in text
    assert text.endswith("Answer: Tavor\nHops: 2")


def test_terse_worlds_and_worlds_that_give_too_few_are_refused(world, engine, monkeypatch):
    with pytest.raises(ValueError, match="tiny-train-0 is terse"):
        draw_demonstrations(World(WorldConfig()), 1, np.random.default_rng(0))
    monkeypatch.setattr(oracle_play, "_MAX_DRAWS", 1)
    with pytest.raises(ValueError, match=r"small-heldout-7: only [01] of 2 demonstrations in 1 games"):
        drawn(world, engine)
