"""The game served to OpenEnv: its validator, its client in concurrent sessions, and what is refused."""

import importlib
import re
import subprocess
import sys
import threading
from functools import partial

import pytest

pytest.importorskip("openenv", reason="needs openenv: make adapters")

from openenv.core.generic_client import GenericEnvClient

from ssp_env import cli
from ssp_env.envs.aec import raw_env
from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.game import Message, Task, View
from ssp_env.integrations import libraries, openenv
from ssp_env.integrations.openenv import GameAction, SearchSelfPlayClient, build_openenv_app
from ssp_env.scenario import open_scenario
from ssp_env.serve.access import Limits
from tests import web
from tests.game.doubles import HOPELESS, PERFECT, PROPOSAL, QUESTION, Shelf, answer
from tests.markdown import ROOT, blocks, expected_output
from tests.serve.running import process, running

# The client reads the loop's deprecated policy, and uvicorn the deprecated half of websockets.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SERVE = ("-m", "tests.serve.run_ssp", "serve", "--port", "0", "--openenv", "--world", "tiny")
TINY = open_scenario("tiny")


def shelf(**rules):
    asked = Task("Tavor", hops=2, question=QUESTION)
    return open_scenario(search=Shelf(), answers=[Task("Tavor", hops=2)], questions=[asked], rules=rules)


def client(address, **options):
    return SearchSelfPlayClient(base_url=address, **options).sync()


def seen(observation):
    """The view that an observation was made of, for players of ours."""
    messages = tuple(Message(said["role"], said["content"]) for said in observation.messages)
    return View(
        "game", observation.seat, "solve", messages, observation.turns_left, observation.searches_left
    )


def play(env, act, **reset):
    """Play an episode; the observations before each action, the actions, and the last result."""
    result, told = env.reset(**reset), []
    while not result.done:
        told.append((result.observation, act(result.observation)))
        result = env.step(GameAction(text=told[-1][1]))
    return told, result


def follow(observation):
    return LookupSolver().act(seen(observation))


def test_openenvs_validator_passes_what_ssp_serve_serves():
    with process(*SERVE) as (_, address):
        command = [sys.executable, "-m", "openenv.cli", "validate", "--url", address]
        validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, validated.stdout + validated.stderr
    assert "Verdict: PASS" in validated.stdout and "mode: simulation" in validated.stdout


def test_a_solver_plays_the_game_of_its_seed_as_the_environment_does():
    local, rewards = SolverEnv(scenario=TINY), []
    with running(build_openenv_app(TINY)) as address, client(address) as env:
        for seed in range(12):
            told, last = play(env, follow, seed=seed)
            _, info = local.reset(seed=seed)
            for observation, action in told:
                assert observation.messages == local.view.to_openai("user")
                _, reward, terminated, _, info = local.step(action)
            assert terminated and last.reward == reward
            assert last.observation.rewards == {"solver_0": reward}
            assert (last.observation.reason, last.observation.failure) == (info["reason"], None)
            rewards.append(last.reward)
    assert set(rewards) == {0.0, 1.0}


def test_a_proposer_is_paid_for_what_its_solver_does_not_know():
    def act(observation):
        return PROPOSAL[sum(said["role"] == "assistant" for said in observation.messages)]

    paid = {}
    for name, solver in (("perfect", PERFECT), ("hopeless", HOPELESS)):
        local = ProposerEnv(scenario=shelf(rag_check=False), solver=solver)
        local.reset(seed=1)
        for line in PROPOSAL:
            _, paid[name], *_ = local.step(line)
        app = build_openenv_app(shelf(rag_check=False), role="proposer", solver=solver)
        with running(app) as address, client(address) as env:
            _, last = play(env, act, seed=1)
        assert last.reward == paid[name] and last.observation.rewards == {"proposer_0": paid[name]}
    assert paid == {"perfect": 0.0, "hopeless": 1.0}


def test_one_client_plays_all_seats_and_finds_the_reward_of_each():
    def act(observation):
        said = sum(one["role"] == "assistant" for one in observation.messages)
        lines = PROPOSAL if observation.seat == "proposer_0" else [answer()]
        return answer("Nobody") if observation.seat == "solver_2" else lines[said]

    local = raw_env(scenario=shelf(attempts=3))
    local.reset(seed=5)
    with running(build_openenv_app(shelf(attempts=3), role="all")) as address, client(address) as env:
        told, last = play(env, act, seed=5)
        for observation, action in told:
            assert (observation.seat, observation.messages) == (
                local.agent_selection,
                local.view.to_openai("user"),
            )
            local.step(action)
        assert env.state().step_count == len(told) == 8 and env.state().seat == ""
    assert last.reward is None and last.observation.rewards == local.rewards
    assert last.observation.rewards["solver_0"] == 1.0 != last.observation.rewards["solver_2"]
    assert last.observation.success_rate == pytest.approx(2 / 3)


def test_sessions_are_games_of_their_own_and_their_number_is_limited():
    with running(build_openenv_app(TINY, sessions=3)) as address:
        clients = [client(address) for _ in range(3)]
        first = [env.reset(seed=seed).observation for env, seed in zip(clients, (1, 2, 1), strict=True)]
        assert first[0] == first[2] != first[1]
        for env, told in zip(clients, first, strict=True):
            assert env.step(GameAction(text=follow(told))).observation.messages[:1] == told.messages
        with pytest.raises(Exception, match="CAPACITY_REACHED"), client(address) as one_too_many:
            one_too_many.reset(seed=0)
        for env in clients:
            env.close()
        with client(address) as env:
            assert env.reset(seed=1).observation == first[0]


def test_tasks_are_numbered_and_do_not_tell_the_answer():
    def ask(path, **asked):
        return web.post(f"{address}/search_self_play/{path}", json={"split": "train", **asked}).json()

    with running(build_openenv_app(TINY)) as address, client(address) as env:
        count = ask("num_tasks")["num_tasks"]
        assert count == len(TINY.questions)
        for index in (0, count - 1):
            task = TINY.questions[index]
            described = ask("task", index=index)
            assert task.question in str(described)
            told = env.reset(index=index, seed=0).observation
            assert task.question in told.messages[0]["content"]
            for shown in (described, told, env.state()):
                assert task.answer.casefold() not in str(shown).casefold()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"sed": 3}, "unknown argument of reset 'sed'"),
        ({"index": 10**6}, "expected the index of a task, from 0 to 119, got 1000000"),
        ({"index": 0, "split": "test"}, "expected the split 'train', got 'test'"),
    ],
)
def test_a_reset_that_cannot_be_is_refused_and_the_session_goes_on(row, said):
    with running(build_openenv_app(TINY)) as address, client(address) as env:
        with pytest.raises(RuntimeError, match=said):
            env.reset(**row)
        assert env.reset(seed=0).observation.seat == "solver_0"


def test_steps_outside_a_game_and_actions_of_another_form_are_refused():
    with running(build_openenv_app(TINY)) as address, GenericEnvClient(base_url=address).sync() as env:
        with pytest.raises(RuntimeError, match="call reset"):
            env.step({"text": "hm"})
        env.reset(seed=0)
        with pytest.raises(RuntimeError, match="VALIDATION_ERROR"):
            env.step({"query": "hm"})
        env.step({"text": "<answer> nobody </answer>"})
        with pytest.raises(RuntimeError, match="call reset"):
            env.step({"text": "again"})


def test_a_search_that_breaks_down_pays_nobody():
    def search(query):
        raise ConnectionError("the index is gone")

    broken = open_scenario(search=search, questions=[Task("Tavor", question=QUESTION)], answers=["Tavor"])
    with running(build_openenv_app(broken)) as address, client(address) as env:
        env.reset(seed=0)
        last = env.step(GameAction(text="<search> belin </search>"))
    assert last.done and last.reward == 0.0 and last.observation.verdict == "error"
    assert "search for solver_0: ConnectionError: the index is gone" in last.observation.failure


def test_a_session_outlives_the_time_for_a_request_and_needs_the_token():
    app = build_openenv_app(TINY, token="secret")
    with running(app, Limits(head_seconds=0.2)) as address:
        with pytest.raises(ConnectionError, match="401"), client(address) as env:
            env.reset(seed=0)
        with client(address, headers={"Authorization": "Bearer secret"}) as env:
            env.reset(seed=0)
            with pytest.raises(ConnectionError, match="401"), client(address) as other:
                other.reset(seed=0)
            threading.Event().wait(0.5)
            assert env.state().seat == "solver_0"


def test_web_pages_of_other_machines_open_no_session():
    with running(build_openenv_app(TINY)) as address:
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}):
            with pytest.raises(ConnectionError, match="403"), client(address, headers=headers) as env:
                env.reset(seed=0)
        with client(address, headers={"Origin": "http://localhost:3000"}) as env:
            assert env.reset(seed=0).observation.seat == "solver_0"


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (
            partial(build_openenv_app, TINY, role="both"),
            "role must be one of solver, proposer, all, got 'both'",
        ),
        (lambda: build_openenv_app(shelf(attempts=4)), "config.attempts must be 1, got 4"),
        (lambda: build_openenv_app(shelf(), role="proposer"), "needs solver="),
        (lambda: build_openenv_app(open_scenario(search=Shelf(), answers=["Tavor"])), "has no questions"),
        (lambda: build_openenv_app(shelf(judge=True)), "needs judge="),
    ],
)
def test_what_cannot_be_played_is_refused_before_anybody_connects(build, said):
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--openenv", "--mcp", "http"], "--openenv and --mcp exclude each other"),
        (["--role", "all", "--sessions", "3"], "--role, --sessions belong to the game: add --openenv"),
        (["--openenv", "--solver", "no_such_module:Player"], "there is no module no_such_module"),
        (["--openenv", "--rule", "atempts=3"], "did you mean 'attempts'"),
    ],
)
def test_options_that_do_not_fit_are_refused(monkeypatch, arguments, said):
    monkeypatch.setattr("sys.argv", ["ssp", "serve", "--world", "tiny", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert said in stop.value.code


def test_another_version_is_named_with_the_tested_one(monkeypatch):
    monkeypatch.setattr(libraries, "version", lambda name: "0.9.3")
    said = re.escape("expected openenv>=0.10,<0.11 (tested: 0.10.0), got openenv 0.9.3")
    with pytest.raises(libraries.UnsupportedVersionError, match=said):
        importlib.reload(openenv)


def test_the_example_in_the_docs_runs(capsys):
    [example] = [block for block in blocks(ROOT / "docs" / "frameworks.md", "python") if "openenv" in block]
    with running(build_openenv_app(TINY)) as address:
        exec(example.replace("http://127.0.0.1:8000", address), {"__name__": "example"})
    assert capsys.readouterr().out.splitlines() == [expected_output(example)[-1]]
