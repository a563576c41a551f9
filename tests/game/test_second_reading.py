"""The second reading: another order, other noise, and both must give the answer; off, nothing changes."""

import json

import pytest

from agents.scripted import ScriptedPlayer
from ssp_env.cli.rules import read_rules
from ssp_env.game import Game, GameConfig, Judge, Noise, Read
from ssp_env.game.events import EvidenceMixed
from ssp_env.game.passage import Passage
from ssp_env.play import play
from ssp_env.records import Episode, rescore
from ssp_env.records.replay import first_difference
from ssp_env.scenario import open_scenario
from tests.game.doubles import PAGES, answer, ended, new_game, outcome, propose, question, search, turn_of

SEARCHES = (search("belin"), search("corun"), search("sarn"))
NOISE = [Passage(f"noise-{n}", f"Noise {n}", f"Nothing of use, {n}.") for n in range(8)]


def proposed(**options):
    game = new_game(**{"noise_passages": 4, "second_reading": True, **options})
    propose(game, *SEARCHES)
    game.submit(turn_of(game, "proposer_0").id, question())
    return game


def go_on(game, *replies):
    """Answer readings with these replies; give the requests that came meanwhile."""
    waiting, met, fresh = [*replies], [], iter(NOISE)
    while waiting and game.outcome is None:
        (request,) = game.requests()
        met.append(request)
        if isinstance(request, Noise):
            game.submit(request.id, [next(fresh) for _ in range(request.count)])
        else:
            game.submit(request.id, waiting.pop(0))
    return met


def mixed(game):
    return [event for event in game.events if isinstance(event, EvidenceMixed)]


def order(event):
    return [passage.id for passage in event.passages if passage.id not in event.noise_ids]


def test_two_readings_of_other_order_and_noise_must_both_recover_the_answer():
    game = proposed()
    requests = go_on(game, answer(), answer())
    assert [request.id for request in requests] == ["noise", "read", "noise/second", "read/second_recovery"]
    first, second = mixed(game)
    assert sorted(order(first)) == sorted(order(second)) and order(first) != order(second)
    assert not first.noise_ids & second.noise_ids and len(second.noise_ids) == 4
    assert {passage.id for passage in first.passages} <= requests[2].exclude
    assert game.phase == "solve"
    views = [request.view for request in requests if isinstance(request, Read)]
    assert views[0].conversation_id != views[1].conversation_id
    for view, event in zip(views, mixed(game), strict=True):
        text = "\n".join(message.content for message in view.messages)
        places = [text.index(passage.text) for passage in event.passages]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([answer("Sarn")], "not_recovered"),
        ([answer(), answer("Sarn")], "not_confirmed"),
        ([answer(), "nothing"], "no_reading"),
    ],
)
def test_a_question_is_invalid_unless_both_agree(replies, reason):
    game = proposed()
    requests = go_on(game, *replies)
    assert ended(game) == ("invalid", reason)
    assert set(outcome(game).rewards.values()) == {0.0}
    assert outcome(game).metrics["second_readings"] == len(replies) - 1
    assert sum(isinstance(request, Read) for request in requests) == len(replies)


def test_it_comes_after_all_other_readings_so_that_what_is_refused_costs_nothing():
    game = proposed(closed_book=True, uniqueness=True)
    requests = go_on(game, answer(), answer("unknown"), answer(), answer())
    assert [request.view.probe for request in requests if isinstance(request, Read)] == [
        "recovery", "closed_book", "uniqueness", "second_recovery",
    ]  # fmt: skip
    assert game.phase == "solve"
    game = proposed(closed_book=True)
    go_on(game, answer(), answer())
    assert ended(game) == ("invalid", "closed_book") and outcome(game).metrics["second_readings"] == 0


def test_the_judge_decides_about_either_answer():
    game = proposed(judge=True, noise_passages=0)
    for read, judged in (("read", "reader/judge"), ("read/second_recovery", "reader/second_recovery/judge")):
        (request,) = game.requests()
        assert request.id == read
        game.submit(read, answer("Tavor the younger"))
        (request,) = game.requests()
        assert isinstance(request, Judge) and request.id == judged
        game.submit(judged, True)
    assert game.phase == "solve"


@pytest.mark.parametrize("seed", range(20))
def test_without_noise_the_order_alone_is_another_one(seed):
    game = proposed(noise_passages=0, seed=seed)
    go_on(game, answer(), answer())
    first, second = mixed(game)
    assert order(first) != order(second) and sorted(order(first)) == sorted(order(second))


def test_off_it_changes_neither_events_nor_prompts_nor_random_numbers():
    games = [proposed(second_reading=on) for on in (False, True)]
    for game in games:
        go_on(game, answer())
    plain, second = games
    assert plain.phase == "solve"
    assert plain.events == second.events
    assert not GameConfig().second_reading
    going = [proposed(second_reading=False), proposed()]
    for game in going:
        go_on(game, answer("Sarn"))
    assert going[0].events == going[1].events
    off, on = (game.outcome.metrics for game in going)
    assert {**off, "second_readings": 0.0} == on


@pytest.mark.parametrize("prompts", ["english", "few_shot", "terse"])
def test_players_are_told_the_same(prompts):
    opened = [new_game(prompts=prompts, second_reading=on).requests()[0].view for on in (False, True)]
    assert opened[0] == opened[1]


def test_it_repeats_the_check_and_needs_it():
    with pytest.raises(ValueError, match="second_reading=True needs rag_check=True"):
        GameConfig(second_reading=True, rag_check=False)


def test_it_is_a_rule_like_the_others(tmp_path):
    (tmp_path / "rules.toml").write_text("second_reading = true\n")
    rules = read_rules(tmp_path / "rules.toml", ["attempts=2"])
    config = GameConfig().changed(rules)
    assert config.second_reading and GameConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="second_reading"):
        GameConfig().changed({"second_reading": "yes"})


@pytest.mark.parametrize("steps", range(1, 5))
def test_it_is_restored_at_any_place(steps):
    game = proposed()
    go_on(game, *[answer()] * steps)
    copy = Game.restore(json.loads(json.dumps(game.snapshot())))
    assert (copy.events, copy.requests(), copy.phase) == (game.events, game.requests(), game.phase)


def test_old_snapshots_are_of_games_without_it():
    data = new_game().snapshot()
    data["config"].pop("second_reading", None)
    assert not Game.restore(data).config.second_reading


def test_games_are_played_recorded_replayed_and_rescored_with_it():
    scenario = open_scenario("tiny", rules={"second_reading": True, "noise_passages": 2})
    tasks = scenario.draw_tasks(12, seed=3)
    games = [Game(task, scenario.rules, rng=n, game_id=f"{n}") for n, task in enumerate(tasks)]
    play(games, proposer=ScriptedPlayer(), solver=ScriptedPlayer(), search=scenario.engine, seed=1)
    valid = [game for game in games if game.outcome.verdict == "valid"]
    assert valid
    for game in valid:
        first, second = mixed(game)
        assert order(first) != order(second) or len(order(first)) < 2
        assert game.outcome.metrics["second_readings"] == 1
        episode = Episode.of(game)
        assert first_difference(Episode.from_data(json.loads(episode.to_line()))) == ""
        plain = rescore(episode, GameConfig.from_dict({**game.config.to_dict(), "second_reading": False}))
        assert plain.outcome is not None


def test_pages_of_these_tests_are_no_noise():
    assert not {page.id for page in PAGES} & {page.id for page in NOISE}
