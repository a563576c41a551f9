"""The multi-step seed test: what it lets pass and what it finds where the official one looks away."""

from typing import ClassVar

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv
from pettingzoo.test import parallel_seed_test

from ssp_env.search_self_play_v0 import parallel_env
from ssp_env.testing import check_parallel_seeding
from tests.game.doubles import PROPOSAL, TASK, Shelf, answer

UNSEEDED = np.random.default_rng()


class Dice(ParallelEnv):
    """Two agents throw dice for some steps; `cheat` says what does not follow the seed."""

    possible_agents: ClassVar = ["left_0", "right_0"]

    def __init__(self, cheat="none", length=4):
        self.cheat = cheat
        self.length = length
        self.rng = np.random.default_rng(0)
        self.spaces = {agent: Discrete(1_000_000) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.spaces[agent]

    action_space = observation_space

    def _throw(self, name):
        rng = UNSEEDED if self.cheat == name else self.rng
        return {agent: int(rng.integers(1_000_000)) for agent in self.possible_agents}

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        elif self.cheat == "following episodes":
            self.rng = np.random.default_rng()
        if self.cheat == "second seed" and hasattr(self, "agents"):
            self.rng = UNSEEDED
        self.agents = list(self.possible_agents)
        self.steps = 0
        return self._throw("reset"), {
            agent: {"luck": luck} for agent, luck in self._throw("reset infos").items()
        }

    def step(self, actions):
        self.steps += 1
        late = self.steps >= 3
        observations = self._throw("late observations" if late else "")
        rewards = self._throw("late rewards" if late else "")
        infos = {agent: {"luck": luck} for agent, luck in self._throw("late infos" if late else "").items()}
        over = self.steps >= self.length
        if self.cheat == "length" and self.steps >= 2 and UNSEEDED.integers(2):
            over = True
        if over:
            self.agents = []
        flags = dict.fromkeys(self.possible_agents, over)
        return observations, rewards, flags, dict.fromkeys(self.possible_agents, False), infos


def test_an_environment_that_follows_its_seed_passes():
    check_parallel_seeding(Dice, episodes=5)


@pytest.mark.parametrize(
    ("cheat", "complaint"),
    [
        ("reset", "episode 0: observations of reset, left_0"),
        ("reset infos", "episode 0: infos of reset, left_0"),
        ("late observations", "episode 0: observations of step 2"),
        ("late rewards", "episode 0: rewards of step 2"),
        ("late infos", "episode 0: infos of step 2"),
        ("following episodes", "two copies differ in episode 1"),
        ("second seed", "two copies differ in episode 1"),
    ],
)
def test_what_does_not_follow_the_seed_is_found_and_named(cheat, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_parallel_seeding(lambda: Dice(cheat))


@pytest.mark.parametrize("cheat", ["late observations", "late rewards", "late infos", "following episodes"])
def test_the_official_test_misses_these(cheat):
    parallel_seed_test(lambda: Dice(cheat))


def test_the_same_copy_must_repeat_itself():
    with pytest.raises(AssertionError, match="one copy differs from its own first episode"):
        check_parallel_seeding(lambda: Dice("second seed"), episodes=1)


def test_episodes_of_different_length_are_found():
    with pytest.raises(AssertionError, match=r"episode [0-9]+: terminations of step"):
        check_parallel_seeding(lambda: Dice("length", length=50), episodes=20)


def test_a_dictionary_that_is_reused_is_not_compared_with_itself():
    shared = {}

    class Reusing(Dice):
        def reset(self, seed=None, options=None):
            observations, infos = super().reset(seed)
            shared.update(observations)
            return shared, infos

        def step(self, actions):
            observations, *rest = super().step(actions)
            shared.update(observations)
            return shared, *rest

    for cheat, name in (("reset", "reset"), ("late observations", "step 2")):
        with pytest.raises(AssertionError, match=f"observations of {name}"):
            check_parallel_seeding(lambda cheat=cheat: Reusing(cheat))


def test_a_policy_takes_the_game_to_its_end():
    seen = []

    def policy(agent, observation, info):
        seen.append(info["active_agent"])
        if agent == "proposer_0":
            return PROPOSAL[min(info["turns"], len(PROPOSAL) - 1)]
        return answer()

    check_parallel_seeding(lambda: parallel_env(tasks=[TASK], search=Shelf()), policy=policy, episodes=2)
    assert "solver_0" in seen


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"max_steps": 0}])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        check_parallel_seeding(Dice, **wrong)
