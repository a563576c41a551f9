"""Search self-play in numbers as a PettingZoo environment, for reinforcement learning that knows no text.

| AEC API       | `env()` or `pettingzoo.make("aec", "ssp/numeric_search_self_play-v0")`                     |
|---------------|-------------------------------------------------------------------------------------------|
| Parallel API  | `parallel_env()` or `pettingzoo.make("parallel", "ssp/numeric_search_self_play-v0")`      |
| Agents        | `proposer_0`, `solver_0`, ..., `solver_{K-1}` with `rules={"attempts": K}`                 |
| Actions       | `Discrete`, those of `ssp_env.envs.numeric`                                               |
| Observations  | `Dict(observation, action_mask)`                                                          |
| Render modes  | those of `ssp_env.search_self_play_v0`                                                    |

The game, its rules, order of play and rewards are those of `ssp_env.search_self_play_v0`, in a new terse
world for each game: the proposer goes backwards from an answer to a question, and the solvers follow it.
A frozen reader, a `LookupSolver` by default, answers the RAG check. `env(split="heldout")` has worlds that
nothing trains on.

Observations and actions are those of `NumericProposer-v1` and `NumericSolver-v1`; for libraries that want
equal spaces the shorter observation ends in zeros, and a solver's last action is never there. Only the agent
whose turn it is has actions in its mask, which is also in `infos[agent]["action_mask"]`; an action that is
not there is an empty turn. Going back is no turn of the game: the proposer goes on. Further infos are those
of the text environment, and `world`, or with `numeric_infos=True` numbers alone.

>>> from ssp_env import numeric_search_self_play_v0
>>> env = numeric_search_self_play_v0.env(hops=(1,))
>>> env.reset(seed=1)
>>> for agent in env.agent_iter():
...     observation, reward, termination, truncation, info = env.last()
...     mask = observation["action_mask"]
...     env.step(None if termination or truncation else mask.argmax())
>>> print(info["verdict"], info["reason"])
invalid repeated_search
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils import OrderEnforcingWrapper

from ssp_env.envs.numeric_aec import Numbers, raw_env
from ssp_env.envs.parallel import TurnBasedParallelEnv
from ssp_env.envs.signatures import with_arguments_of

__all__ = ["env", "parallel_env", "raw_env"]


@with_arguments_of(raw_env)
def env(*args: Any, **kwargs: Any) -> AECEnv[str, Numbers, int | None]:
    """Make the environment with checks on the order of calls; takes the arguments of `raw_env`."""
    return OrderEnforcingWrapper(raw_env(*args, **kwargs))


@with_arguments_of(raw_env)
def parallel_env(*args: Any, **kwargs: Any) -> TurnBasedParallelEnv:
    """Make the environment with the parallel API; takes the arguments of `raw_env`."""
    return TurnBasedParallelEnv(raw_env(*args, **kwargs), numeric_infos=kwargs.get("numeric_infos", False))
