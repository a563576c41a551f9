"""Check that a parallel environment repeats whole episodes exactly when it gets the same seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from gymnasium.utils.env_checker import data_equivalence
from pettingzoo import ParallelEnv

Environment: TypeAlias = ParallelEnv[str, Any, Any]
Policy: TypeAlias = Callable[[str, Any, Mapping[str, Any]], Any]

_PARTS = ("observations", "rewards", "terminations", "truncations", "infos")


def check_parallel_seeding(
    make_env: Callable[[], Environment],
    *,
    seed: int = 42,
    episodes: int = 3,
    max_steps: int = 500,
    policy: Policy | None = None,
) -> None:
    """Play two copies of an environment side by side and compare everything they return.

    PettingZoo's `parallel_seed_test` stops after one step (up to 1.27.0) and ignores what `reset` returns.
    Here the first episode is seeded and the following ones are not, and each is played until no agent is
    left. At the end the first copy is seeded again and must repeat its first episode.

    Args:
        make_env: Makes a new copy of the environment.
        seed: Seed of both copies and of their action spaces.
        episodes: Number of episodes to play, at least 1.
        max_steps: The most steps per episode.
        policy: Chooses an action from the agent's name, observation and info, and must choose the same action
            for the same arguments; by default actions are sampled from the seeded action spaces.

    Raises:
        AssertionError: If the copies differ; the message names the value that differs and the step.
        ValueError: If `episodes` or `max_steps` is below 1.

    Example:
        >>> from ssp_env.search_self_play_v0 import parallel_env
        >>> check_parallel_seeding(lambda: parallel_env(max_action_chars=64), max_steps=20)
    """
    if episodes < 1 or max_steps < 1:
        raise ValueError(f"episodes and max_steps must be at least 1, got {episodes} and {max_steps}")
    first, second = make_env(), make_env()
    for env in (first, second):
        _seed_actions(env, seed)
    for episode in range(episodes):
        played = _play(first, seed if episode == 0 else None, max_steps, policy)
        repeated = _play(second, seed if episode == 0 else None, max_steps, policy)
        _compare(played, repeated, f"two copies differ in episode {episode}")
        if episode == 0:
            opening = played
    _seed_actions(first, seed)
    again = _play(first, seed, max_steps, policy)
    _compare(opening, again, "one copy differs from its own first episode after the same seed")
    first.close()
    second.close()


Trace: TypeAlias = list[tuple[str, Mapping[str, Any]]]


def _seed_actions(env: Environment, seed: int) -> None:
    for number, agent in enumerate(env.possible_agents):
        env.action_space(agent).seed(seed + number)


def _play(env: Environment, seed: int | None, max_steps: int, policy: Policy | None) -> Trace:
    """Play one episode; return the name and value of everything the environment returned, in order."""
    observations, infos = env.reset(seed=seed)
    # Copied, because an environment that returns the same object each time would be compared with itself.
    trace = deepcopy([("observations of reset", observations), ("infos of reset", infos)])
    for step in range(max_steps):
        if not env.agents:
            break
        actions = {
            agent: policy(agent, observations[agent], infos[agent])
            if policy
            else env.action_space(agent).sample()
            for agent in env.agents
        }
        trace.append((f"actions of step {step}", actions))
        observations, rewards, terminations, truncations, infos = env.step(actions)
        returned = (observations, rewards, terminations, truncations, infos)
        named = zip(_PARTS, returned, strict=True)
        trace += deepcopy([(f"{part} of step {step}", value) for part, value in named])
    return trace


def _compare(expected: Trace, got: Trace, complaint: str) -> None:
    for (name, value), (other_name, other_value) in zip(expected, got, strict=False):
        assert name == other_name, f"{complaint}: one continues with {name}, the other with {other_name}"
        assert value.keys() == other_value.keys(), (
            f"{complaint}: {name} are of the agents {sorted(value)} and {sorted(other_value)}"
        )
        for agent in value:
            assert data_equivalence(value[agent], other_value[agent], exact=True), (
                f"{complaint}: {name}, {agent}: {value[agent]!r} and {other_value[agent]!r}"
            )
    assert len(expected) == len(got), (
        f"{complaint}: the first one ended after {expected[-1][0]}, the second one after {got[-1][0]}"
    )
