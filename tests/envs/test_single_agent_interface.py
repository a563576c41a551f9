"""Actions, rendering, vectors and arguments of the environments of one agent."""

import pickle

import gymnasium
import pytest
from gymnasium.error import CustomSpaceError, ResetNeeded
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import ssp_env  # noqa: F401  (registers the environments)
from ssp_env.envs.single_agent import SolverEnv
from ssp_env.game import GameConfig
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from tests.envs.single_agent_games import (
    CLOSED_BOOK,
    IDS,
    KNOWN,
    proposer,
    solver,
    solver_against,
)
from tests.game.doubles import (
    PERFECT,
    PROPOSAL,
    QUESTION,
    TASK,
    Script,
    Shelf,
    answer,
    search,
)

# -- actions and rendering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [solver, proposer])
def test_bad_actions(make):
    env = make(max_action_chars=20)
    with pytest.raises(ResetNeeded):
        env.step("too early")
    env.reset(seed=0)
    for action in (None, 3, b"bytes"):
        with pytest.raises(TypeError, match="an action must be a string"):
            env.step(action)
    *_, info = env.step("y" * 30)
    assert (info["turns"], info["cut_action_chars"]) == (1, 10)


def test_rendering_shows_what_frozen_players_did(capsys):
    env = solver_against(Script(*PROPOSAL), render_mode="ansi")
    env.reset(seed=0)
    assert "search      for proposer_0: belin" in env.render()
    env = solver_against(Script(*PROPOSAL), render_mode="human")
    env.reset(seed=0)
    env.step(answer())
    assert env.render() is None
    out = capsys.readouterr().out
    assert out.count("search      for proposer_0: belin") == 1
    assert "outcome     valid: solved" in out


@pytest.mark.parametrize("name", IDS)
def test_pickles_in_the_middle_of_an_episode(name):
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    env.step(search("nobody"))
    copy = pickle.loads(pickle.dumps(env))
    for line in (search("belin"), "hm"):
        assert copy.step(line) == env.step(line)
    assert copy.reset() == env.reset()


# -- vector environments -----------------------------------------------------------------------------------


def makers(name, **arguments):
    return [lambda: gymnasium.make(name, **arguments)] * 2


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("vectorize", [SyncVectorEnv, lambda envs: AsyncVectorEnv(envs, shared_memory=False)])
def test_vector_environments_show_what_single_ones_show(name, vectorize):
    singles = [make() for make in makers(name)]
    vector = vectorize(makers(name))
    try:
        expected = [env.reset(seed=7 + place)[0] for place, env in enumerate(singles)]
        observations, _ = vector.reset(seed=7)
        for line in (search("naïve 🙂"), search("nobody"), "hm"):
            assert observations["prompt"] == tuple(observation["prompt"] for observation in expected)
            for key in ("phase", "turns_left", "searches_left"):
                assert observations[key].tolist() == [observation[key] for observation in expected]
            returned = [env.step(line) for env in singles]
            expected = [observation for observation, *_ in returned]
            observations, rewards, terminated, truncated, infos = vector.step((line, line))
            assert rewards.tolist() == [reward for _, reward, *_ in returned]
        assert terminated.tolist() == [True, True]
        assert truncated.tolist() == [False, False]
        assert set(infos["reason"]) == {info["reason"] for *_, info in returned}
    finally:
        vector.close()


@pytest.mark.parametrize("name", IDS)
def test_shared_memory_is_refused_and_the_cause_says_what_to_do(name):
    with pytest.raises(ValueError, match="shared_memory=True") as refused:
        AsyncVectorEnv(makers(name))
    assert isinstance(refused.value.__cause__, CustomSpaceError)
    assert "shared_memory=False" in str(refused.value.__cause__)


def test_a_search_engine_of_ones_own_goes_to_other_processes():
    engine = BM25Engine([Passage("p0", "Belin", "Belin has her home in Corun.")])
    vector = AsyncVectorEnv(
        makers(IDS[0], questions=[KNOWN], search=engine), shared_memory=False, context="spawn"
    )
    try:
        vector.reset(seed=0)
        observations, *_ = vector.step((search("belin"), search("nothing")))
        assert ["home in Corun" in prompt for prompt in observations["prompt"]] == [True, False]
    finally:
        vector.close()


# -- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "arguments", "error", "match"),
    [
        (solver, {"config": GameConfig(attempts=2)}, ValueError, "config.attempts must be 1, got 2"),
        (solver, {"max_proposals": 0}, ValueError, "max_proposals must be at least 1, got 0"),
        (solver, {"proposer": PERFECT}, ValueError, "questions and proposer exclude each other"),
        (solver, {"questions": []}, ValueError, "at least one question, got none"),
        (solver, {"questions": None}, ValueError, "search needs questions, or a proposer and tasks"),
        (solver, {"questions": [QUESTION]}, TypeError, "must hold tasks with a question, or pairs"),
        (solver, {"questions": [TASK]}, ValueError, "tasks with a question, got one without"),
        (solver, {"questions": [(" ", "Tavor")]}, ValueError, "the question of a task must not be blank"),
        (solver, {"questions": [(QUESTION, "")]}, ValueError, "non-blank answer"),
        (solver, {"questions": [(QUESTION, 3)]}, TypeError, "must be a string, got int"),
        (solver, {"tasks": [TASK]}, ValueError, "they need proposer="),
        (solver, {"reader": PERFECT}, ValueError, "they need proposer="),
        (solver, {"render_mode": "rgb_array"}, ValueError, "render_mode must be None or one of"),
        (solver, {"config": GameConfig(judge=True)}, ValueError, "needs judge="),
        (solver, {"search": {"moon": Shelf()}}, ValueError, "no search engine for corpus ''"),
        (solver_against, {"proposer": "gpt"}, TypeError, "proposer must be an agent with .*, got str"),
        (solver_against, {"proposer": PERFECT, "reader": None}, ValueError, "needs reader="),
        (
            solver_against,
            {"proposer": PERFECT, "reader": None, "config": CLOSED_BOOK},
            ValueError,
            "needs reader=",
        ),
        (solver_against, {"proposer": PERFECT, "reader": 3}, TypeError, "reader must be an agent"),
        (solver_against, {"proposer": PERFECT, "tasks": None}, ValueError, "search needs tasks"),
        (proposer, {"solver": None}, ValueError, "needs solver=: the default one knows terse worlds only"),
        (proposer, {"solver": "gpt"}, TypeError, "solver must be an agent with .*, got str"),
        (proposer, {"tasks": None}, ValueError, "search needs tasks"),
        (proposer, {"tasks": []}, ValueError, "at least one Task"),
    ],
)  # fmt: skip
def test_bad_arguments_say_what_was_expected(make, arguments, error, match):
    with pytest.raises(error, match=match):
        make(**arguments)


class Retriever:
    """What LangChain calls a retriever."""

    def invoke(self, query):
        return [f"All about {query}."]


@pytest.mark.parametrize("search", [Retriever(), lambda query: f"All about {query}.", {"": Retriever()}])
def test_the_environments_take_retrievers_and_functions_as_engines(search):
    env = SolverEnv(questions=[("Who is it?", "Tavor")], search=search)
    env.reset(seed=0)
    observation, *_, info = env.step("<search> Corun </search>")
    assert "All about Corun." in observation["prompt"] and info["searches"] == 1


def test_what_cannot_be_searched_is_refused_when_the_environment_is_made():
    with pytest.raises(TypeError, match=r"search: expected a search engine, .*, got int"):
        SolverEnv(questions=[("Who is it?", "Tavor")], search=5)
