"""Search self-play: one side of a language model writes search questions, the other side answers them.

The package holds the game (`ssp_env.game`, rules without I/O), search engines and worlds it is played on,
and the drivers that play it: `ssp_env.play`, the PettingZoo environment `ssp_env.search_self_play_v0`, the
Gymnasium environments of `ssp_env.envs` and the command line `ssp`. It imports no deep-learning library;
players live in `agents`, learners in `baselines`.
Importing this module registers the environments with PettingZoo and Gymnasium and loads nothing else: import
what you need by its full name.
"""

from __future__ import annotations

import gymnasium
import pettingzoo

__all__ = ["__version__"]

__version__ = "0.1.0"

# Registries import an entry point when its environment is made. PettingZoo's came with version 1.27.
if hasattr(pettingzoo, "register"):
    pettingzoo.register("aec", "ssp/search_self_play-v0", "ssp_env.search_self_play_v0:env")
    pettingzoo.register("parallel", "ssp/search_self_play-v0", "ssp_env.search_self_play_v0:parallel_env")

gymnasium.register("SearchSelfPlay/Solver-v0", "ssp_env.envs.single_agent:SolverEnv")
gymnasium.register("SearchSelfPlay/Proposer-v0", "ssp_env.envs.single_agent:ProposerEnv")
