"""The PettingZoo form of the numeric face: the game beneath it, masks and arguments."""

import pickle
from collections import Counter

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete

from benchmarks.by_the_numbers import ProposerByTheNumbers, SolverByTheNumbers
from ssp_env.envs import numeric_search_self_play_v0
from ssp_env.envs.numeric import NumericProposerEnv, NumericSolverEnv

LEARNERS = ("proposer_0", "solver_0")


def played(env, **reset):
    """Play a game by the numbers; return the last infos by agent and what each was paid."""
    env.reset(**reset)
    rules, infos, paid = env.unwrapped.rules, {}, Counter()
    proposer, solver = ProposerByTheNumbers(rules), SolverByTheNumbers(rules)
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, infos[agent] = env.last()
        paid[agent] += reward
        assert observation in env.observation_space(agent)
        if terminated or truncated:
            env.step(None)
            continue
        numbers, mask = observation["observation"], observation["action_mask"]
        if agent == "proposer_0":
            action = proposer(numbers, mask)
        else:
            own = NumericSolverEnv().observation_space.shape[0]
            assert not numbers[own:].any()
            action = solver(numbers[:own], mask)
        assert mask[action] == infos[agent]["action_mask"][action] == 1
        env.step(action)
    return infos, paid


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_the_numbers_suffice_to_ask_and_to_answer(split):
    env = numeric_search_self_play_v0.env(split, worlds=20, hops=(1, 2), rules={"attempts": 2})
    reasons, worlds = Counter(), set()
    for game in range(30):
        infos, paid = played(env, seed=0 if game == 0 else None)
        assert set(infos) == {"proposer_0", "solver_0", "solver_1"}
        assert paid == env.unwrapped.game.outcome.rewards
        reasons[infos["solver_1"]["reason"]] += 1
        worlds.add(infos["solver_0"]["world"])
    assert reasons["solved"] > 24 and not reasons["unsolved"]
    assert len(worlds) > 10 and all(world.startswith(f"tiny-{split}-") for world in worlds)


def test_a_proposer_sees_and_does_the_same_as_in_gymnasium():
    env, alone = numeric_search_self_play_v0.raw_env(), NumericProposerEnv()
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    for seed in range(200):
        numbers, info = alone.reset(seed=seed, options={"world": 3})
        env.reset(seed=seed, options={"world": 3})
        if info["messages"] == env.infos["proposer_0"]["messages"]:
            break
    steps = 0
    while env.agent_selection == "proposer_0" and env.game.outcome is None:
        seen = env.observe("proposer_0")
        assert np.array_equal(seen["observation"], numbers)
        assert np.array_equal(seen["action_mask"], info["action_mask"])
        assert env.infos["proposer_0"]["messages"] == info["messages"]
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        env.step(action)
        numbers, *_, info = alone.step(action)
        steps += 1
    assert steps > 2


def test_spaces_are_equal_for_all_agents_and_there_before_reset():
    env = numeric_search_self_play_v0.env(entities=5, rules={"attempts": 3})
    assert env.possible_agents == ["proposer_0", "solver_0", "solver_1", "solver_2"]
    assert str(env.unwrapped.metadata["name"]) == str(env) == "numeric_search_self_play_v0"
    for agent in env.possible_agents:
        assert env.action_space(agent) == Discrete(11)
        assert env.observation_space(agent) is env.observation_space(agent)
        assert env.observation_space(agent) == env.observation_space("proposer_0")


def test_only_the_agent_to_act_has_actions_and_going_back_is_no_turn():
    env = numeric_search_self_play_v0.env(hops=(1,))
    env.reset(seed=0)
    assert not env.observe("solver_0")["action_mask"].any()
    assert not env.observe("solver_0")["observation"].any()
    env.step(0)
    back = 24 + int(np.flatnonzero(env.observe("proposer_0")["action_mask"][24:48])[0])
    turns = env.infos["proposer_0"]["turns"]
    env.step(back)
    assert (env.agent_selection, env.infos["proposer_0"]["turns"]) == ("proposer_0", turns)
    assert env.observe("proposer_0")["action_mask"][48] == 1
    assert env.infos["proposer_0"]["action_mask"][48] == 1
    assert env.infos["solver_0"]["messages"] == []


def test_an_action_that_is_not_there_is_an_empty_turn_and_pays_nobody():
    env = numeric_search_self_play_v0.env()
    env.reset(seed=0)
    env.step(48)
    assert env.infos["proposer_0"]["messages"][-1]["content"] == ""
    assert set(env.terminations.values()) == {True}
    assert not env.observe("proposer_0")["action_mask"].any()
    assert env.rewards == dict.fromkeys(LEARNERS, 0.0)


@pytest.mark.parametrize("action", [49, -1, 1.5, None, "search"])
def test_what_is_no_action_is_refused_and_changes_nothing(action):
    env = numeric_search_self_play_v0.env()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action must be from 0 to 48"):
        env.step(action)
    assert env.infos["proposer_0"]["turns"] == 0


def test_stepping_before_reset_needs_a_reset():
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        numeric_search_self_play_v0.raw_env().step(0)


def test_a_reader_that_breaks_down_truncates_everybody():
    def broken(view):
        raise ConnectionError("down")

    env = numeric_search_self_play_v0.env(hops=(1,), reader=broken)
    for seed in range(20):
        infos, paid = played(env, seed=seed)
        if infos["proposer_0"]["reason"] == "error":
            break
    assert "ConnectionError: down" in infos["solver_0"]["failure"]
    assert set(paid.values()) == {0.0}


def test_infos_are_numbers_alone_under_the_same_keys_if_so_wanted():
    env = numeric_search_self_play_v0.parallel_env(numeric_infos=True)
    _, infos = env.reset(seed=0)
    keys = infos["solver_0"].keys()
    assert infos["solver_0"]["active_agent"] == 0.0
    while env.agents:
        *_, infos = env.step({env.possible_agents[int(infos["solver_0"]["active_agent"])]: 0})
        assert infos["proposer_0"].keys() == infos["solver_0"].keys() == keys
    assert {*map(type, infos["solver_0"].values())} <= {float, int, np.ndarray}


def test_what_infos_do_not_know_can_be_another_number_than_nan():
    env = numeric_search_self_play_v0.env(numeric_infos=True, fill_value=-1.0)
    env.reset(seed=0)
    assert env.infos["proposer_0"]["reason"] == env.infos["proposer_0"]["audit/valid"] == -1.0
    assert not any(np.isnan(value).any() for value in env.infos["solver_0"].values())


def test_pickles_in_the_middle_of_a_game():
    env = numeric_search_self_play_v0.parallel_env()
    env.reset(seed=0)
    env.step({"proposer_0": 0})
    copy = pickle.loads(pickle.dumps(env))
    seen = [each.step({"proposer_0": 0})[0]["proposer_0"]["observation"] for each in (env, copy)]
    assert np.array_equal(*seen) and env.aec.game.events == copy.aec.game.events


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entities": 0}, "entities must be at least 1, got 0"),
        ({"world": "small"}, "terse worlds and prompts, got world='small'"),
        ({"worlds": 0}, "worlds must be at least 1, got 0"),
        ({"hops": (9,)}, "hops must be whole numbers from 1 to 4"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        numeric_search_self_play_v0.env(**arguments)
