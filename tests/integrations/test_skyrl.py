"""SkyRL-Gym makes the solver's environment and plays it; its tools and its own environment use our search."""

import doctest
import importlib
import re

import pytest

pytest.importorskip("skyrl_gym", reason="needs skyrl-gym: make adapters")

import skyrl_gym
from omegaconf import OmegaConf
from skyrl_gym.envs.base_text_env import BaseTextEnv
from skyrl_gym.envs.registration import registry

from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.single_agent import SolverEnv
from ssp_env.game import Message, View
from ssp_env.integrations import libraries, skyrl
from ssp_env.integrations.skyrl import SearchTools
from ssp_env.scenario import open_scenario
from ssp_env.search.tool import SearchTool
from ssp_env.serve.app import build_app
from tests.game.doubles import QUESTION, Shelf, answer, search
from tests.markdown import ROOT, blocks, expected_output
from tests.serve.running import running

TINY = {"world": "tiny"}


@pytest.fixture(autouse=True)
def _empty_registry():
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def row(task):
    """A data row, as SkyRL hands its other columns to an environment."""
    return {"reward_spec": {"ground_truth": [task.answer, *task.aliases]}, "max_turns": 2}


def shelf(**rules):
    return open_scenario(search=Shelf(), questions=[], answers=["Tavor"], rules=rules)


def known(env_config=None, truth="Tavor", prompt=QUESTION, **registered):
    """An environment that SkyRL made, and what it tells the model first."""
    if registered:
        skyrl.register(**registered)
    env = skyrl_gym.make("ssp_solver", env_config=env_config, extras={"reward_spec": {"ground_truth": truth}})
    return env, env.init([{"role": "user", "content": prompt}])[0]


def test_an_attempt_goes_as_in_our_environment_message_by_message():
    skyrl.register(TINY)
    rewards = []
    scenario = open_scenario("tiny")
    local = SolverEnv(scenario=scenario)
    for task in scenario.questions[::10]:
        local.reset(seed=0, options={"task": task})
        env = skyrl_gym.make("ssp_solver", env_config={}, extras=row(task))
        said, _ = env.init([{"role": "user", "content": task.question}])
        done = False
        while not done:
            assert said == local.view.to_openai("user")
            messages = tuple(Message(one["role"], one["content"]) for one in said)
            view = local.view
            action = LookupSolver().act(
                View("g", "solver_0", "solve", messages, view.turns_left, view.searches_left)
            )
            stepped = env.step(action)
            done = stepped["done"]
            _, reward, terminated, *_ = local.step(action)
            assert (stepped["reward"], done) == (reward, terminated)
            said = [*said, {"role": "assistant", "content": action}, *stepped["observations"]]
        rewards.append(reward)
        assert env.get_metrics()["solved"] == reward and stepped["observations"] == []
    assert set(rewards) == {0.0, 1.0}
    assert env.get_metrics()["searches"] == 1.0 and env.get_metrics()["turns"] == 2.0 == env.turns


def test_a_group_is_attempts_that_do_not_touch_each_other():
    (first, told), (second, same) = known(scenario=shelf()), known()
    assert told == same
    [found] = first.step(search("belin"))["observations"]
    assert "Corun" in found["content"] and found["role"] == "user"
    assert second.step(answer())["reward"] == 1.0
    assert first.step(answer("Nobody"))["reward"] == 0.0


@pytest.mark.parametrize("truth", ["Tavor", ["Sarn", "Tavor"], {"target": ["Tavor"]}, {"target": "Tavor"}])
def test_right_answers_come_in_every_form_that_data_have(truth):
    env, _ = known(truth=truth, scenario=shelf())
    assert env.step(answer())["reward"] == 1.0


def test_the_limit_of_turns_is_that_of_the_rules():
    env, _ = known(scenario=shelf(max_turns=3))
    assert [env.step(search("belin"))["done"] for _ in range(3)] == [False, False, True]
    assert env.get_metrics() == {"turns": 3.0, "searches": 2.0, "solved": 0.0}


@pytest.mark.parametrize("config", [TINY, OmegaConf.create(TINY)])
def test_settings_of_skyrl_open_a_scenario_where_none_is_registered(config):
    env = skyrl.SolverTextEnv(config, {"reward_spec": {"ground_truth": "dobek"}})
    [told], _ = env.init([{"role": "user", "content": "mayor of corun ?"}])
    assert told["content"] == "solve mayor of corun ?"


def test_a_search_that_breaks_down_is_no_wrong_answer():
    def broken(query):
        raise ConnectionError("the index is gone")

    env, _ = known(scenario=open_scenario(search=broken, answers=["Tavor"]))
    with pytest.raises(RuntimeError, match="search for solver_0: ConnectionError: the index is gone"):
        env.step(search("belin"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: skyrl.SolverTextEnv(None, {}),
            "expected env_config, or register(), to name what is searched",
        ),
        (lambda: skyrl.register({"hops": [1]}), "expected the scenario to name what is searched"),
        (
            lambda: skyrl.register({"world": "tiny", "rules": {"attempts": 4}}),
            "rules.attempts must be 1, got 4",
        ),
        (lambda: skyrl.register({"wolrd": "tiny", "search": "bm25"}), "did you mean 'world'"),
        (lambda: skyrl.SolverTextEnv(TINY, {}), "reward_spec has the ground_truth"),
        (lambda: skyrl.SolverTextEnv(TINY, row_of([])), "reward_spec has the ground_truth"),
        (lambda: skyrl.SolverTextEnv(TINY, row_of(["a", 5])), "reward_spec has the ground_truth"),
        (lambda: skyrl.SolverTextEnv(TINY, row_of("a")).init([]), "needs questions|with a question"),
    ],
)
def test_what_cannot_be_played_is_refused_before_the_first_game(make, said):
    with pytest.raises(ValueError, match=re.escape(said) if "|" not in said else said):
        make()


def row_of(truth):
    return {"reward_spec": {"ground_truth": truth}}


def test_a_taken_name_is_refused():
    skyrl.register(TINY)
    with pytest.raises(skyrl_gym.error.RegistrationError, match="already registered"):
        skyrl.register(TINY)
    skyrl.register(TINY, id="another")


def test_an_environment_of_theirs_searches_with_our_tool():
    env = BaseTextEnv()
    env.init_tool_groups([SearchTools(SearchTool(Shelf(), layout="plain"))])
    assert env.tool_to_toolgroup == {"search": "SearchToolGroup"}
    assert env._execute_tool("SearchToolGroup", "search", ["belin"]) == "Belin has her home in Corun."


def test_their_search_environment_searches_with_our_server():
    with running(build_app(Shelf())) as address:
        config = OmegaConf.create(
            {"search_url": f"{address}/retrieve", "topk": 3, "timeout": 30, "log_requests": False}
        )
        extras = {"reward_spec": {"ground_truth": {"target": ["Corun"]}}, "max_turns": 3}
        env = skyrl_gym.make("search", env_config=config, extras=extras)
        [found] = env.step("<search> belin </search>")["observations"]
    assert "Belin has her home in Corun." in found["content"]
    assert env.step("<answer> Corun </answer>")["reward"] == 1.0


def test_another_version_is_named_with_the_tested_one(monkeypatch):
    monkeypatch.setattr(libraries, "version", lambda name: "0.5.0")
    said = re.escape("expected skyrl-gym>=0.4,<0.5 (tested: 0.4.0), got skyrl-gym 0.5.0")
    with pytest.raises(libraries.UnsupportedVersionError, match=said):
        importlib.reload(skyrl)


def test_the_examples_in_docs_and_docstrings_run(capsys):
    [example] = [block for block in blocks(ROOT / "docs" / "frameworks.md", "python") if "skyrl" in block]
    exec(example, {"__name__": "example"})
    assert capsys.readouterr().out.splitlines() == expected_output(example)
    results = doctest.testmod(skyrl)
    assert results.attempted > 0 == results.failed
