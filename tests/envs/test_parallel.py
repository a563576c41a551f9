"""The parallel face of the PettingZoo environment: the same game, one turn a step."""

import pickle
from dataclasses import replace

import pettingzoo
import pytest
from gymnasium.error import ResetNeeded
from pettingzoo.test import parallel_api_test

from ssp_env import search_self_play_v0
from ssp_env.game import GameConfig, Task
from ssp_env.testing import check_parallel_seeding
from tests.game.doubles import PROPOSAL, QUESTION, TASK, Shelf, answer, question, search

LINES = [*PROPOSAL, answer(), search("belin"), "hm", answer(), search("corun"), answer("Nobody")]


def arguments(**options):
    rules = options.pop("game", {"attempts": 2})
    return {"tasks": [TASK], "search": Shelf(), "config": GameConfig(**rules), **options}


def make(**options):
    return search_self_play_v0.parallel_env(**arguments(**options))


def started(**options):
    env = make(**options)
    _, infos = env.reset(seed=0)
    return env, infos


def say(env, infos, *lines):
    """Let the active agent say each line; return what the last step returned."""
    for line in lines:
        returned = env.step({infos["proposer_0"]["active_agent"]: line})
        infos = returned[4]
    return returned


# -- the same game as the AEC face -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_both_faces_play_the_same_game_from_the_same_seed_and_actions(seed):
    tasks = [TASK, Task("Sarn", id="s")]
    options = {
        "game": {"attempts": 2, "noise_passages": 2},
        "tasks": tasks,
        "render_mode": "ansi",
    }
    aec = search_self_play_v0.env(**arguments(**options))
    parallel = make(**options)
    for number in range(3):
        aec.reset(seed=seed if number == 0 else None)
        observations, infos = parallel.reset(seed=seed if number == 0 else None)
        lines = iter(LINES)
        while parallel.agents:
            assert observations == {agent: aec.observe(agent) for agent in aec.agents}
            assert infos == {
                agent: {**info, "active_agent": aec.agent_selection} for agent, info in aec.infos.items()
            }
            assert parallel.agents == aec.agents
            assert parallel.render() == aec.render()
            line = next(lines, answer())
            aec.step(line)
            returned = parallel.step(
                dict.fromkeys(parallel.agents, "") | {infos["solver_0"]["active_agent"]: line}
            )
            observations, rewards, terminations, truncations, infos = returned
            assert (rewards, terminations, truncations) == (aec.rewards, aec.terminations, aec.truncations)
        assert observations == {agent: aec.observe(agent) for agent in aec.agents}
        assert infos == {agent: {**info, "active_agent": None} for agent, info in aec.infos.items()}
        assert parallel.aec.game.events == aec.unwrapped.game.events


def test_spaces_are_those_of_the_aec_face_and_equal_for_all_agents():
    env, aec = make(), search_self_play_v0.env(**arguments())
    assert env.possible_agents == aec.possible_agents == ["proposer_0", "solver_0", "solver_1"]
    assert env.metadata == aec.metadata
    assert str(env) == "search_self_play_v0"
    for agent in env.possible_agents:
        assert env.observation_space(agent) is env.observation_space(agent)
        assert env.action_space(agent) is env.action_space(agent)
        assert env.observation_space(agent) == aec.observation_space("proposer_0")
        assert env.action_space(agent) == aec.action_space("proposer_0")


def test_the_embedded_world_passes_the_official_test_and_ours():
    parallel_api_test(search_self_play_v0.parallel_env(max_action_chars=64), num_cycles=20)
    check_parallel_seeding(lambda: search_self_play_v0.parallel_env(max_action_chars=64), max_steps=20)


# -- whose turn it is --------------------------------------------------------------------------------------


def test_the_active_agent_is_named_after_reset_and_after_every_step():
    env, infos = started()
    order = []
    for line in LINES:
        assert {info["active_agent"] for info in infos.values()} == {env.aec.agent_selection}
        order.append(infos["solver_1"]["active_agent"])
        *_, infos = env.step({order[-1]: line})
    assert order == [*["proposer_0"] * 4, *["solver_0"] * 4, *["solver_1"] * 2]
    assert env.agents == []
    assert {info["active_agent"] for info in infos.values()} == {None}


@pytest.mark.parametrize(
    "others", [{}, {"solver_0": None}, {"solver_0": ""}, {"solver_0": answer(), "solver_1": 3}]
)
def test_what_others_send_is_ignored(others):
    env, _ = started()
    *_, infos = env.step({"proposer_0": search("belin"), **others})
    assert infos["proposer_0"]["searches"] == 1
    assert infos["solver_0"]["turns"] == infos["solver_1"]["turns"] == 0
    assert infos["solver_0"]["active_agent"] == "proposer_0"


@pytest.mark.parametrize("actions", [{}, {"proposer_0": None}, {"proposer_0": None, "solver_0": answer()}])
def test_a_missing_action_of_the_active_agent_is_a_clear_error_and_changes_nothing(actions):
    env, _ = started()
    with pytest.raises(
        ValueError, match="proposer_0 is the active agent and needs an action, got actions of: "
    ):
        env.step(actions)
    *_, infos = env.step({"proposer_0": search("belin")})
    assert infos["proposer_0"]["turns"] == 1


def test_an_empty_text_of_the_active_agent_is_an_action():
    env, _ = started()
    *_, infos = env.step({"proposer_0": ""})
    assert infos["proposer_0"]["turns"] == 1


def test_an_unknown_agent_is_refused():
    env, _ = started()
    with pytest.raises(
        ValueError, match="actions must be those of proposer_0, solver_0, solver_1, got one of 'me'"
    ):
        env.step({"proposer_0": search("belin"), "me": "hello"})
    assert env.aec.infos["proposer_0"]["turns"] == 0


@pytest.mark.parametrize("action", [3, b"bytes", ["text"]])
def test_an_action_that_is_not_text_is_refused_and_changes_nothing(action):
    env, _ = started()
    with pytest.raises(TypeError, match="an action must be a string"):
        env.step({"proposer_0": action})
    assert env.aec.infos["proposer_0"]["turns"] == 0


def test_stepping_before_reset_or_after_the_end_needs_a_reset():
    env = make()
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step({"proposer_0": "text"})
    _, infos = env.reset(seed=0)
    say(env, infos, question("short"))
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step({"proposer_0": "text"})
    env.reset()
    assert env.agents == ["proposer_0", "solver_0", "solver_1"]


# -- pay day -----------------------------------------------------------------------------------------------


def test_everybody_ends_and_is_paid_in_the_same_step():
    env, infos = started()
    _, rewards, terminations, truncations, infos = say(env, infos, *LINES[:-1])
    assert set(rewards.values()) == {0.0}
    assert not any(terminations.values()) and not any(truncations.values())
    observations, rewards, terminations, truncations, infos = say(env, infos, LINES[-1])
    assert rewards == {"proposer_0": 0.5, "solver_0": 1.0, "solver_1": 0.0}
    assert terminations == dict.fromkeys(rewards, True)
    assert truncations == dict.fromkeys(rewards, False)
    assert env.agents == []
    assert {observation["phase"] for observation in observations.values()} == {3}
    assert {info["reason"] for info in infos.values()} == {"solved"}


def test_broken_infrastructure_truncates_everybody():
    class Broken(Shelf):
        def search(self, queries, top_k):
            raise ConnectionError("down")

    env, infos = started(search=Broken())
    _, rewards, terminations, truncations, infos = say(env, infos, search("belin"))
    assert set(rewards.values()) == {0.0}
    assert not any(terminations.values()) and all(truncations.values())
    assert env.agents == []
    assert infos["solver_0"]["reason"] == "error"
    assert infos["solver_0"]["failure"] == "search for proposer: ConnectionError: down"


# -- arguments and packaging -------------------------------------------------------------------------------


def test_reset_takes_the_options_of_the_aec_face():
    env = make()
    observations, infos = env.reset(seed=0, options={"task": replace(TASK, question=QUESTION), "unknown": 1})
    assert infos["proposer_0"]["active_agent"] == "solver_0"
    assert QUESTION in observations["solver_0"]["prompt"]
    with pytest.raises(TypeError, match=r"options\['task'\] must be a Task"):
        env.reset(options={"task": "Tavor"})


def test_human_mode_prints_as_it_happens(capsys):
    env, infos = started(render_mode="human")
    say(env, infos, question("short"))
    env.close()
    assert "outcome     invalid: too_short" in capsys.readouterr().out


@pytest.mark.parametrize("said", [0, 2, 4, 6, len(LINES)])
def test_pickles_before_and_in_the_middle_of_a_game(said):
    env, infos = started()
    for line in LINES[:said]:
        *_, infos = env.step({infos["proposer_0"]["active_agent"]: line})
    copy = pickle.loads(pickle.dumps(env))
    assert copy.agents == env.agents
    infos_of = {id(env): infos, id(copy): infos}
    for line in LINES[said:]:
        returned = [
            each.step({infos_of[id(each)]["proposer_0"]["active_agent"]: line}) for each in (env, copy)
        ]
        assert returned[0] == returned[1]
        infos_of = {id(env): returned[0][4], id(copy): returned[1][4]}
    assert copy.aec.game.events == env.aec.game.events
    assert copy.reset() == env.reset()


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="the registry came with PettingZoo 1.27")
def test_is_registered_by_importing_the_package():
    env = pettingzoo.make("parallel", "ssp/search_self_play-v0", config=GameConfig(attempts=3))
    observations, _ = env.reset(seed=0)
    assert len(observations) == env.num_agents == 4
