"""Arguments of the environment and options of its games, right and wrong ones."""

from dataclasses import replace

import pytest
from gymnasium.error import ResetNeeded

from ssp_env import search_self_play_v0
from ssp_env.envs.aec import PHASES
from ssp_env.game import GameConfig, Task
from ssp_env.game.passage import Passage
from tests.envs.games import finish, make, say, started
from tests.game.doubles import PROPOSAL, QUESTION, TASK, Shelf, answer, question, search

# -- arguments ---------------------------------------------------------------------------------------------


def test_options_choose_the_task_and_other_keys_are_ignored():
    env = make()
    env.reset(seed=0, options={"task": Task("Sarn", hops=4), "unknown": 1})
    assert "Answer: Sarn\nN: 4" in env.observe("proposer_0")["prompt"]
    env.reset(options={"unknown": 1})
    assert "Answer: Tavor" in env.observe("proposer_0")["prompt"]
    with pytest.raises(TypeError, match=r"options\['task'\] must be a Task, got str"):
        env.reset(options={"task": "Sarn"})


def test_tasks_are_played_over_their_own_corpus():
    left, right = Shelf(), Shelf([Passage("r", "Belin", "right")])
    env = make(tasks=[Task("Tavor", corpus="right")], search={"left": left, "right": right})
    env.reset(seed=0)
    say(env, search("belin"))
    assert "right" in env.observe("proposer_0")["prompt"]
    assert left.batches == []


def test_a_given_question_goes_to_the_solvers_at_once():
    env = started(game={"attempts": 2})
    env.reset(seed=0, options={"task": replace(TASK, question=QUESTION)})
    assert env.agent_selection == "solver_0"
    assert PHASES[env.observe("solver_0")["phase"]] == "solve"
    assert QUESTION in env.observe("solver_0")["prompt"]
    assert env.observe("proposer_0")["prompt"] == ""
    say(env, search("belin"), answer(), answer("Nobody"))
    assert env.rewards == {"proposer_0": 0.5, "solver_0": 1.0, "solver_1": 0.0}
    assert env.infos["proposer_0"]["turns"] == 0


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"task": QUESTION}, TypeError, r"options\['task'\] must be a Task, got str"),
        ({"task": Task("Tavor", corpus="moon")}, ValueError, "no search engine for corpus 'moon'"),
    ],
)
def test_bad_options_say_what_was_expected(options, error, match):
    env = make(search={"": Shelf()})
    env.reset(seed=0)
    say(env, search("belin"))
    with pytest.raises(error, match=match):
        env.reset(options=options)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: Task(""), "non-blank answer"),
        (lambda: Task("Tavor", hops=0), "hops must be from 1 to 20, got 0"),
        (lambda: Task("Tavor", hops=99), "hops must be from 1 to 20, got 99"),
        (lambda: GameConfig(attempts=0), "attempts must be at least 1, got 0"),
    ],
)
def test_games_that_cannot_be_played_cannot_be_asked_for(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_the_view_is_what_players_take():
    env = started()
    view = env.view
    assert (view.seat, view.phase) == ("proposer_0", "propose")
    say(env, *PROPOSAL)
    assert (env.view.seat, env.view.phase) == ("solver_0", "verify")
    env.abort("enough")
    with pytest.raises(ResetNeeded, match="nobody is to act"):
        _ = env.unwrapped.view


def test_a_driver_whose_player_broke_down_ends_the_game_as_error():
    env = started()
    say(env, search("belin"))
    env.abort("the model server is down")
    assert set(env.truncations.values()) == {True}
    assert set(env.rewards.values()) == {0.0}
    assert env.infos["solver_0"]["reason"] == "error"
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("again")
    finish(env)
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("again")


def test_the_raw_environment_needs_a_reset_before_it_steps_and_after_the_end():
    env = make().unwrapped
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step("text")
    with pytest.raises(ResetNeeded, match="abort"):
        env.abort("too early")
    env.reset(seed=0)
    say(env, question("short"))
    finish(env)
    for action in ("text", None):
        with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
            env.step(action)


def test_there_is_nothing_to_render_before_a_game():
    for face in (search_self_play_v0.raw_env, search_self_play_v0.parallel_env):
        with pytest.raises(ResetNeeded, match=r"call reset\(\) before render\(\)"):
            face(render_mode="ansi").render()


def test_the_wrapped_environment_warns_after_the_end_and_changes_nothing():
    env = started()
    say(env, question("short"))
    finish(env)
    events = list(env.unwrapped.game.events)
    env.step("text")
    assert env.unwrapped.game.events == events


async def agree(request):
    return True


class LaterShelf(Shelf):
    async def search(self, queries, top_k):
        return super().search(queries, top_k)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"search": None}, ValueError, "tasks needs search"),
        ({"tasks": None}, ValueError, "search needs tasks"),
        ({"tasks": []}, ValueError, "at least one Task"),
        ({"tasks": ["Tavor"]}, TypeError, "must hold Task objects, got str"),
        ({"search": {"moon": Shelf()}}, ValueError, "no search engine for corpus ''"),
        ({"search": {"": Shelf(), "moon": LaterShelf()}}, TypeError, "search must be blocking"),
        ({"reader": "reader"}, TypeError, "reader must be an agent with act"),
        ({"config": GameConfig(judge=True)}, ValueError, "needs judge="),
        ({"judge": lambda request: True}, ValueError, "never asked unless"),
        ({"judge": "strict", "config": GameConfig(judge=True)}, TypeError, "judge must be a function from a"),
        ({"judge": agree, "config": GameConfig(judge=True)}, TypeError, "judge must be a blocking function"),
        ({"render_mode": "rgb_array"}, ValueError, "one of human, ansi, html, got 'rgb_array'"),
        ({"max_action_chars": -1}, ValueError, "0 <= min_length <= max_length, got 0 and -1"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, error, match):
    with pytest.raises(error, match=match):
        make(**arguments)


def test_the_embedded_world_is_generated_not_stored_and_its_games_can_be_won():
    env = search_self_play_v0.env()
    env.reset(seed=3)
    prompt = env.observe("proposer_0")["prompt"]
    word, hops, colon, name = prompt.split()
    assert (word, colon) == ("propose", ":")
    assert hops in "123"
    env.step(f"<search> {name} </search>")
    page = env.observe("proposer_0")["prompt"]
    assert page.count("<information>") == 1
    assert name in page.split("<information>")[1]
    prompts = set()
    for seed in range(30):
        env.reset(seed=seed)
        prompts.add(env.observe("proposer_0")["prompt"])
    assert len(prompts) > 15
