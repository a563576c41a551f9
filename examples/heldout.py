"""What the examples that learn in numbers measure, in held-out worlds, which nothing trains on."""

import gymnasium
import numpy as np

from ssp_env import numeric_search_self_play_v0

_RNG = np.random.default_rng(0)


def at_random(_, mask):
    """Choose one of the actions that there are."""
    return _RNG.choice(np.flatnonzero(mask))


def solved(choose, episodes=300, **arguments):
    """Return the share of questions that are answered rightly by `choose(observation, mask)`."""
    env = gymnasium.make("SearchSelfPlay/NumericSolverHeldout-v1", **arguments)
    env.reset(seed=0)
    total = 0.0
    for _ in range(episodes):
        (seen, info), over = env.reset(), False
        while not over:
            seen, reward, over, _, info = env.step(int(choose(seen, info["action_mask"])))
        total += reward
    return total / episodes


def played(choose, games=300, **arguments):
    """Say how games of both roles end, each played by `choose[role](observation, mask)`."""
    env = numeric_search_self_play_v0.env("heldout", **arguments)
    env.reset(seed=0)
    valid, right = 0, 0.0
    for _ in range(games):
        env.reset()
        for agent in env.agent_iter():
            seen, _, terminated, truncated, info = env.last()
            over = terminated or truncated
            act = choose[agent.split("_")[0]]
            env.step(None if over else int(act(seen["observation"], seen["action_mask"])))
        valid, right = valid + (info["verdict"] == "valid"), right + (info["success_rate"] or 0.0)
    return f"{valid / games:.3f} of the questions are valid, {right / max(1, valid):.3f} of these answered"
