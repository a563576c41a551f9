"""PPO of Stable-Baselines3 as an entry of SSP-Bench: `ssp bench run examples/bench_sb3_ppo --quick`."""

from contextlib import suppress

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from baselines.suite.lessons import BudgetSpent
from ssp_env.envs import NumericPlayer

GAME = {"entities": 6, "worlds": 200}
PASSES = 4


def train(lesson):
    """Learn until the tokens are spent; return a player."""
    games = make_vec_env(lambda: lesson.environment(passes=PASSES, **GAME), 8, seed=lesson.seed)
    settings = {"n_steps": 64, "batch_size": 256, "n_epochs": PASSES, "gamma": 1.0, "ent_coef": 0.02}
    learner = PPO("MlpPolicy", games, seed=lesson.seed, learning_rate=2e-3, **settings)
    with suppress(BudgetSpent):
        learner.learn(lesson.budget)
    return NumericPlayer(
        lambda seen, mask: learner.predict(seen, deterministic=True)[0], entities=GAME["entities"]
    )
