"""MaskablePPO of sb3-contrib learns to search in numbers: `python examples/sb3_maskable_ppo.py`."""

from functools import partial

import gymnasium
from heldout import at_random, solved
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env

import ssp_env  # noqa: F401  (registers the environments)

GAME = {"hops": (1,)}

if __name__ == "__main__":
    print(f"random actions: {solved(at_random, **GAME):.3f}", flush=True)
    make = partial(gymnasium.make, "SearchSelfPlay/NumericSolver-v1", worlds=60, **GAME)
    settings = {"n_steps": 256, "batch_size": 256, "gamma": 1.0, "ent_coef": 0.02, "learning_rate": 1e-3}
    net = {"net_arch": [256, 256]}
    learner = MaskablePPO("MlpPolicy", make_vec_env(make, 4), policy_kwargs=net, seed=0, **settings)
    learner.learn(60_000)
    best = partial(learner.predict, deterministic=True)
    print(f"after training: {solved(lambda seen, mask: best(seen, action_masks=mask)[0], **GAME):.3f}")
