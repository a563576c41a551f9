"""MaskablePPO of sb3-contrib learns to search in numbers: `python examples/sb3_maskable_ppo.py`.

Needs `pip install sb3-contrib`. It trains on one-hop questions and is asked in held-out worlds.
"""

import gymnasium
import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3.common.env_util import make_vec_env

import ssp_env  # noqa: F401  (registers the environments)

HOPS = (1,)


def solved(model, episodes=300):
    """Return the share of held-out questions that are answered rightly; at random without a model."""
    env = gymnasium.make("SearchSelfPlay/NumericSolverHeldout-v1", hops=HOPS).unwrapped
    rng, rewards = np.random.default_rng(0), []
    env.reset(seed=0)
    for _ in range(episodes):
        (observation, _), reward, over = env.reset(), 0.0, False
        while not over:
            action = rng.choice(np.flatnonzero(env.action_masks()))
            if model is not None:
                action, _ = model.predict(observation, action_masks=env.action_masks(), deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(int(action))
            over = terminated or truncated
        rewards.append(reward)
    return float(np.mean(rewards))


def make():
    """Make an environment of the training worlds."""
    return gymnasium.make("SearchSelfPlay/NumericSolver-v1", hops=HOPS, worlds=60)


if __name__ == "__main__":
    print(f"random actions: {solved(None):.3f}")
    learner = MaskablePPO(
        "MlpPolicy",
        make_vec_env(make, 4),
        n_steps=256,
        batch_size=256,
        gamma=1.0,
        ent_coef=0.02,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": [256, 256]},
        seed=0,
    )
    print(f"after training: {solved(learner.learn(60_000, progress_bar=False)):.3f}")
