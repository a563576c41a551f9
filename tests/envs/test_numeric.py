"""The numeric face: the same games as the text, and numbers that hold all one needs to win them."""

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import ssp_env  # noqa: F401  (registers the environments)
from benchmarks.by_the_numbers import ProposerByTheNumbers, SolverByTheNumbers, parts
from ssp_env.envs.numeric import NumericProposerEnv, NumericSolverEnv

IDS = ["SearchSelfPlay/NumericSolver-v1", "SearchSelfPlay/NumericSolverHeldout-v1"]
PROPOSERS = ["SearchSelfPlay/NumericProposer-v1", "SearchSelfPlay/NumericProposerHeldout-v1"]


@pytest.mark.parametrize("name", [*IDS, *PROPOSERS])
def test_gymnasium_accepts_them(name):
    check_env(gymnasium.make(name).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", IDS)
def test_the_numbers_suffice_to_answer_every_question(name):
    env = gymnasium.make(name, hops=(1, 2, 3), worlds=30, disable_env_checker=True).unwrapped
    solver, solved = SolverByTheNumbers(env.rules), []
    env.reset(seed=0)
    for _ in range(60):
        (observation, info), over = env.reset(), False
        while not over:
            action = solver(observation, info["action_mask"])
            assert info["action_mask"][action] == 1
            observation, reward, over, _, info = env.step(action)
        solved.append(reward)
    assert np.mean(solved) == 1.0


def test_random_actions_are_at_the_floor():
    env = gymnasium.make(IDS[0], worlds=30, disable_env_checker=True).unwrapped
    rng, rewards = np.random.default_rng(0), []
    env.reset(seed=0)
    for _ in range(100):
        env.reset()
        over = False
        while not over:
            _, reward, over, _, _ = env.step(int(rng.choice(np.flatnonzero(env.action_masks()))))
        rewards.append(reward)
    assert np.mean(rewards) < 0.15


def test_the_mask_says_what_can_be_done_and_the_messages_what_was_done():
    env = NumericSolverEnv(hops=(2,), rules={"max_searches": 1})
    _, info = env.reset(seed=0)
    assert info["action_mask"].nonzero()[0].tolist() == [0, 24]
    observation, _, over, _, info = env.step(0)
    assert not over and info["searches"] == 1
    appeared = info["action_mask"][24:].sum()
    assert appeared > 1 and not info["action_mask"][:24].any()
    _, made, table = parts(observation, env.rules.solver.max_searches)
    assert made == 1 and table[0, 1] == 1 and table[:, 0].sum() == appeared
    assert info["messages"][1]["content"].startswith("<search> ")
    assert env.action_masks().dtype == bool


def test_an_entity_that_has_not_appeared_is_an_empty_turn():
    env = NumericSolverEnv()
    env.reset(seed=0)
    _, reward, over, _, info = env.step(7)
    assert (reward, over, info["messages"][-1]["content"]) == (0.0, True, "")


@pytest.mark.parametrize("name", [IDS[0], PROPOSERS[0]])
def test_infos_are_numbers_alone_under_the_same_keys_if_so_wanted(name):
    env = gymnasium.make(name, numeric_infos=True, disable_env_checker=True)
    _, first = env.reset(seed=0)
    over = False
    while not over:
        *_, over, _, last = env.step(int(np.flatnonzero(env.unwrapped.action_masks())[-1]))
    assert first.keys() == last.keys()
    mask = last.pop("action_mask")
    assert mask.shape == (env.action_space.n,) and {*map(type, last.values())} <= {float, int}
    assert np.isnan(first["reason"]) and last["reason"] >= 0


@pytest.mark.parametrize("name", [IDS[0], PROPOSERS[0]])
def test_what_infos_do_not_know_can_be_another_number_than_nan(name):
    envs = [
        gymnasium.make(name, numeric_infos=True, disable_env_checker=True, **given)
        for given in ({}, {"fill_value": -1.0})
    ]
    usual, filled = (env.reset(seed=0)[1] for env in envs)
    assert filled["reason"] == filled["success_rate"] == filled["metrics/turns"] == -1.0
    for key in usual.keys() - {"action_mask"}:
        assert filled[key] == (-1.0 if np.isnan(usual[key]) else usual[key])


def test_few_entities_are_numbered_if_so_wanted():
    env = NumericSolverEnv(entities=3)
    observation, _ = env.reset(seed=0)
    assert env.action_space.n == 6 and observation.shape == env.observation_space.shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entities": 0}, "entities must be at least 1, got 0"),
        ({"world": "small"}, "terse worlds and prompts, got world='small'"),
        ({"hops": (9,)}, "hops must be whole numbers from 1 to 4"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        NumericSolverEnv(**arguments)


@pytest.mark.parametrize("action", [48, -1, 1.5, None])
def test_what_is_no_action_is_refused(action):
    env = NumericSolverEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action must be from 0 to 47"):
        env.step(action)


# -- the proposer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROPOSERS)
def test_the_numbers_suffice_to_write_valid_questions(name):
    env = gymnasium.make(name, hops=(1, 2), worlds=30, disable_env_checker=True).unwrapped
    proposer, reasons, paid = ProposerByTheNumbers(env.rules), [], []
    env.reset(seed=0)
    for _ in range(60):
        (observation, info), over = env.reset(), False
        while not over:
            action = proposer(observation, info["action_mask"])
            observation, reward, over, _, info = env.step(action)
        reasons.append(info["reason"])
        paid.append(reward)
    assert np.mean([reason in ("solved", "unsolved") for reason in reasons]) > 0.8
    assert np.mean(paid) > 0.3


def test_going_back_is_no_turn_and_makes_the_question():
    env = NumericProposerEnv(hops=(1,))
    _, info = env.reset(seed=0)
    assert info["action_mask"].nonzero()[0].tolist() == [0]
    _, _, _, _, info = env.step(0)
    back = np.flatnonzero(info["action_mask"][24:48])
    _, reward, over, _, after = env.step(24 + int(back[0]))
    assert (reward, over, after["turns"]) == (0.0, False, info["turns"])
    assert after["action_mask"][48] == 1
    *_, last = env.step(48)
    question = last["messages"][-1]["content"]
    answer = info["messages"][0]["content"].rpartition(" ")[2]
    assert env._env.scenario.world.resolve(question.split(">")[1].split("<")[0].strip()) == answer


def test_going_back_needs_a_game_that_goes_on():
    env = NumericProposerEnv(hops=(1,))
    (_, info), over = env.reset(seed=0), False
    while not over:
        # A proposer who only searches has used up its turns in the end, and could go back.
        _, _, over, _, info = env.step(int(info["action_mask"][:24].argmax()))
    (back,) = 24 + np.flatnonzero(info["action_mask"][24:48])
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step(int(back))


def test_a_proposer_who_can_do_nothing_else_gives_up():
    env = NumericProposerEnv(entities=4, rules={"max_searches": 1})
    rng, given_up = np.random.default_rng(0), 0
    env.reset(seed=0)
    for _ in range(40):
        (_, info), over = env.reset(), False
        while not over:
            actions = np.flatnonzero(info["action_mask"])
            gives_up = info["searches"] == 1 and actions.tolist() == [8]
            _, _, over, _, info = env.step(int(rng.choice(actions)))
            given_up += gives_up and info["messages"][-1]["content"] == ""
    assert given_up > 0


def test_a_question_has_at_most_four_hops_and_no_entity_twice():
    env = NumericProposerEnv(hops=(3,), rules={"max_searches": 5, "max_turns": 9})
    rng = np.random.default_rng(0)
    for seed in range(20):
        (_, info), over, gone = env.reset(seed=seed), False, []
        for _ in range(30):
            back = np.flatnonzero(info["action_mask"][24:48])
            searches = np.flatnonzero(info["action_mask"][:24])
            if over or not (len(back) or len(searches)):
                break
            action = 24 + int(back[0]) if len(back) else int(rng.choice(searches))
            gone += [action] if action >= 24 else []
            _, _, over, _, info = env.step(action)
        assert len(gone) <= 4 and len(set(gone)) == len(gone) and 24 not in gone
