"""The grid of official tests on the installed PettingZoo, short; and that a cell of it can fail."""

import pytest
from pettingzoo.test import seed_test

from ssp_env import search_self_play_v0
from ssp_env.game import PROTOCOLS
from tests.conformance.grid import (
    CONFIGURATIONS,
    Configuration,
    failure,
    make,
    numeric_tests,
    official_tests,
)

FACES = {"aec": search_self_play_v0.env, "parallel": search_self_play_v0.parallel_env}


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_every_official_test_passes(configuration):
    failures = {name: failure(test) for name, test in official_tests(configuration, cycles=10).items()}
    assert failures == dict.fromkeys(failures, "")


def test_every_official_test_passes_in_numbers():
    failures = {name: failure(test) for name, test in numeric_tests(cycles=10).items()}
    assert failures == dict.fromkeys(failures, "")


def test_the_grid_has_every_protocol_both_readers_and_one_or_five_attempts():
    assert (
        len(set(map(str, CONFIGURATIONS)))
        == len(CONFIGURATIONS)
        == 4 * len({c.protocol for c in CONFIGURATIONS})
    )


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=str)
def test_sampled_actions_reach_the_pay_day(configuration):
    env = make(search_self_play_v0.parallel_env, configuration)
    for agent, space in env.action_spaces.items():
        space.seed(len(agent))
    phases, reasons, paid = set(), set(), set()
    for seed in range(40):
        observations, infos = env.reset(seed=seed)
        while env.agents:
            phases.add(observations["proposer_0"]["phase"])
            actions = {agent: env.action_space(agent).sample() for agent in env.agents}
            observations, rewards, _, _, infos = env.step(actions)
        reasons.add(infos["proposer_0"]["reason"])
        paid |= {(agent.split("_")[0], reward) for agent, reward in rewards.items()}
    # A text cannot hold a native tool call.
    searching = PROTOCOLS[configuration.protocol].calls != "native"
    assert "solved" in reasons
    assert ("repeated_search" in reasons) == searching
    assert ("not_recovered" in reasons) == (configuration.reader == "solver")
    assert {("solver", 1.0), ("solver", 0.0), ("proposer", 0.0)} <= paid
    assert phases == ({0, 1, 2} if configuration.reader == "solver" else {0, 2})


def test_a_failing_test_fills_its_cell():
    def make_restless(copies=[]):  # noqa: B006
        env = make(search_self_play_v0.env, Configuration("default", 1, "solver"))
        copies.append(env)
        count = len(copies)
        observe = env.unwrapped.observe
        env.unwrapped.observe = lambda agent: {**observe(agent), "turns_left": count}
        return env

    assert "Incorrect observation" in failure(lambda: seed_test(make_restless, 5))
