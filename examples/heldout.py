"""What the examples that learn in numbers measure, in held-out worlds, which nothing trains on."""

import gymnasium
import numpy as np

import ssp_env  # noqa: F401  (registers the environments)

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
