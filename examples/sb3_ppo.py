"""PPO of Stable-Baselines3 learns to search in numbers: `python examples/sb3_ppo.py`."""

from functools import partial

import gymnasium
from heldout import at_random, solved
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import ssp_env  # noqa: F401  (registers the environments)

GAME = {"hops": (1,), "entities": 6}

if __name__ == "__main__":
    print(f"random actions: {solved(at_random, **GAME):.3f}", flush=True)
    make = partial(gymnasium.make, "SearchSelfPlay/NumericSolver-v1", worlds=60, **GAME)
    settings = {"n_steps": 128, "batch_size": 256, "gamma": 1.0, "ent_coef": 0.02, "learning_rate": 2e-3}
    learner = PPO("MlpPolicy", make_vec_env(make, 8, seed=0), seed=0, **settings)
    learner.learn(40_000)
    best = partial(learner.predict, deterministic=True)
    print(f"after training: {solved(lambda seen, mask: best(seen)[0], **GAME):.3f}")
