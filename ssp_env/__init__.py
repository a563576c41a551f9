"""Search self-play: one side of a language model writes search questions, the other side answers them.

The package holds the game (`ssp_env.game`, rules without I/O), search engines and worlds it is played on,
and the drivers that play it: `ssp_env.play`, the PettingZoo environment `ssp_env.search_self_play_v0` and the
command line `ssp`. It imports no deep-learning library; players live in `agents`, learners in `baselines`.
Importing this module registers the environment with PettingZoo and loads nothing else: import what you need
by its full name.
"""

from __future__ import annotations

import pettingzoo

__all__ = ["__version__"]

__version__ = "0.1.0"

# The registry came with PettingZoo 1.27; it imports the entry point when the environment is made.
if hasattr(pettingzoo, "register"):
    pettingzoo.register("aec", "ssp/search_self_play-v0", "ssp_env.search_self_play_v0:env")
