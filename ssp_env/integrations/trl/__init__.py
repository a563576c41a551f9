"""The game and the search tool in TRL's GRPOTrainer: whole games, one seat by tool calls, the search alone.

Only `train_dataset` imports a library of TRL's, `datasets`.
"""

from ssp_env.integrations.trl.environments import GameEnvironments
from ssp_env.integrations.trl.rollouts import GameRollouts
from ssp_env.integrations.trl.search import async_search_function, search_environment, search_function

__all__ = [
    "GameEnvironments",
    "GameRollouts",
    "async_search_function",
    "search_environment",
    "search_function",
]
