"""Search self-play: one side of a language model writes search questions, the other side answers them.

The names people need most can be imported from here; everything else from its package:

| package | what it holds |
|---|---|
| `ssp_env.game` | the rules, free of I/O: tasks, views, replies, outcomes, protocols |
| `ssp_env.play` | `play` and `play_async`, which drive one game or thousands |
| `ssp_env.search` | search engines, and the search tool for any model |
| `ssp_env.envs`, `ssp_env.search_self_play_v0` | the game as Gymnasium and PettingZoo environments |
| `ssp_env.numeric_search_self_play_v0` | the same in numbers |
| `ssp_env.worlds`, `ssp_env.data` | generated worlds; files of answers and questions |
| `ssp_env.records`, `ssp_env.viewer` | games as data, and as text for people |
| `ssp_env.testing` | checks for agents, engines, readers and judges of your own |

Importing this module loads none of these, no deep-learning library and no Gymnasium. Once it is imported,
`gymnasium.make` and `pettingzoo.make` know the environments. Players live in `agents`; what learns lives in
`baselines`.
"""

from __future__ import annotations

from typing import Any

import lazy_loader
from wrapt import when_imported

# The stub beside this module says which names there are, and where each is loaded from when it is used first.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"


_PETTINGZOO = {
    "search_self_play": "ssp_env.search_self_play_v0",
    "numeric_search_self_play": "ssp_env.envs.numeric_search_self_play_v0",
}


# Their registries have no plug-in mechanism; both import an entry point only when its environment is made.
@when_imported("gymnasium")  # type: ignore[untyped-decorator, unused-ignore]
def _register_with_gymnasium(gymnasium: Any) -> None:
    gymnasium.register("SearchSelfPlay/Solver-v0", "ssp_env.envs.single_agent:SolverEnv")
    gymnasium.register("SearchSelfPlay/Proposer-v0", "ssp_env.envs.single_agent:ProposerEnv")
    for role in ("solver", "proposer"):
        for split, suffix in (("train", ""), ("heldout", "Heldout")):
            gymnasium.register(
                f"SearchSelfPlay/{role.capitalize()}{suffix}-v1",
                "ssp_env.envs.new_worlds:make",
                kwargs={"role": role, "split": split},
            )
    for split, suffix in (("train", ""), ("heldout", "Heldout")):
        for name in ("NumericSolver", "NumericProposer"):
            gymnasium.register(
                f"SearchSelfPlay/{name}{suffix}-v1",
                f"ssp_env.envs.numeric:{name}Env",
                kwargs={"split": split},
            )


@when_imported("pettingzoo")  # type: ignore[untyped-decorator, unused-ignore]
def _register_with_pettingzoo(pettingzoo: Any) -> None:
    # The registry came with version 1.27.
    if hasattr(pettingzoo, "register"):
        for name, module in _PETTINGZOO.items():
            pettingzoo.register("aec", f"ssp/{name}-v0", f"{module}:env")
            pettingzoo.register("parallel", f"ssp/{name}-v0", f"{module}:parallel_env")
