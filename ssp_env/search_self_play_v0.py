"""Search self-play as a PettingZoo environment: one proposer, K attempts of a solver, text in and text out.

| AEC API       | `search_self_play_v0.env()` or `pettingzoo.make("aec", "ssp/search_self_play-v0")` |
|---------------|------------------------------------------------------------------------------------|
| Parallel API  | `parallel_env()` or `pettingzoo.make("parallel", "ssp/search_self_play-v0")`       |
| Agents        | `proposer_0`, `solver_0`, ..., `solver_{K-1}`                                      |
| Actions       | `UnicodeText(0, max_action_chars)`: what a language model writes                   |
| Observations  | `Dict(prompt, phase, turns_left, searches_left)`, the same for every agent         |
| Render modes  | `human` prints what happened, `ansi` and `html` return it                          |
| Pickling      | both, at any time, also in the middle of a game, if `search` and functions pickle  |

`pettingzoo.make` came with PettingZoo 1.27 and knows the name once `ssp_env` is imported.

# The game

`proposer_0` is given a short answer and a number of hops. It searches a corpus and writes a question that
has this answer and should need as many searches as hops. If the question keeps the rules, a reader without
search must recover the answer from the passages the proposer found, mixed with noise: the RAG check. By
default the reader is `solver_0`. Then every solver attempts the question on its own, searching as it likes,
and answers.

A turn is a text that ends in an action; what follows the first complete action is dropped.

| Who      | Action                                 | Effect                                           |
|----------|----------------------------------------|--------------------------------------------------|
| both     | `<search> words </search>`             | the passages found join the agent's prompt       |
| proposer | `<question> text </question>`          | the question goes to the rules and the RAG check |
| solver   | `<answer> text </answer>`              | ends the attempt, or the reading                 |
| both     | `<think> text </think>` before that    | none; actions inside are ignored                 |

A closing `</think>` without an opening one ends a thought that the agent's chat template opened: actions
before it are ignored.

A turn without a complete action uses up a retry; without a retry left, or without turns left, the agent
forfeits.

# Order of play

The proposer takes all its turns; then, if `reader` is `"solver"`, `solver_0` takes one turn in phase
`verify`; then `solver_0` takes all turns of its attempt, then `solver_1`, and so on. All agents terminate
in the same step, the one that ends the game, and are paid there.

In the parallel API the same agents act in the same order, one a step: `infos[agent]["active_agent"]` names
who is to act, the same name for every agent, from `reset` on; it is None once the game is over. Only that
agent's action is used. The others may send None or "" or be left out; what they send is ignored. In the
step that ends the game `agents` becomes empty.

# Observations

`prompt` is the agent's own conversation from its opening message to the newest passage, as one text: an agent
that remembers nothing can act on it. Environment text stands between `<information>` tags (the name depends
on the protocol). Beyond `max_prompt_chars` the opening message and the newest text stay, and `[...]` stands
for what was cut. The prompt is empty before the agent's first turn comes up. `phase` is 0 propose, 1 verify,
2 solve, 3 done. `turns_left` and `searches_left` are the agent's own budgets.

`infos[agent]["messages"]` is the same conversation as chat messages, `{"role": ..., "content": ...}`, for
agents with a chat template (`tool_role="user"` for templates that know no role `tool`). The counters `turns`
and `searches` say what the agent did. The others are in characters: `cut_action_chars` were cut from its
actions, `cut_passage_chars` from the passages it was shown (see `GameConfig.max_passage_chars`), and
`cut_prompt_chars` are missing in the present `prompt`; in the final `metrics` the last is the sum over all
agents. When the game is over `verdict`, `reason`, `failure`, `success_rate`, `metrics` and `audit` are added;
`audit` tells what was rejected and why and, where an oracle knows, whether the label is true (see
`ssp_env.game.audit`).

With `numeric_infos=True` infos hold numbers alone, for libraries that keep them in tensors: the same keys
from `reset` on, `metrics/<name>` and `audit/<name>` among them, NaN where there is nothing to say yet;
`reason` is an index in `ssp_env.game.outcome.REASON_CODES`, and `active_agent` one in `possible_agents`, -1
once the game is over.

Neither observation nor infos of a solver ever hold the answer or the proposer's words other than the
question; `render` and `game` hide nothing and are for spectators.

# Rewards

All rewards are paid in the last step. A solver gets 1 if its answer is right, else 0. The proposer of a
valid question gets 1 - p, where p is the solvers' mean success (other shapes: `GameConfig.reward`); of an
invalid one `GameConfig.invalid_reward`, 0 by default. If the engine, an injected reader or the judge fails,
all agents are truncated with reward 0, `infos[agent]["reason"] == "error"`, and `infos[agent]["failure"]`
says what failed and where.

# Arguments

All are optional, and `raw_env` describes them. By default the game is played in a small generated world of
invented names, rendered tersely, which needs no network.

`reset(options={"task": Task(...)})` plays a given task. If the task has a question, nobody proposes and
nothing is checked: the game opens with the first turn of `solver_0` on that question. Other options are
ignored.

# Errors

What an agent writes is never an error. Calls out of order and wrong types are, and change nothing: an
action that is neither a string nor a `ssp_env.game.Reply` is a `TypeError`; `step` before `reset` or after
the end is a `gymnasium.error.ResetNeeded`, where PettingZoo's order-enforcing wrapper around `env()` does
not answer first (an error of its own before `reset`, a warning after the end). In the parallel API a missing
action of the active agent and an action of an unknown agent are `ValueError`s.

# Example

>>> from ssp_env import search_self_play_v0
>>> env = search_self_play_v0.env()
>>> env.reset(seed=1)
>>> for agent in env.agent_iter():
...     observation, reward, termination, truncation, info = env.last()
...     env.step(None if termination or truncation else "<question> who is it ? </question>")
>>> print(info["verdict"], info["reason"])
invalid no_evidence

# Version history

* v0: initial version
"""

from __future__ import annotations

from typing import Any

from pettingzoo import AECEnv
from pettingzoo.utils import OrderEnforcingWrapper

from ssp_env.envs.aec import raw_env
from ssp_env.envs.parallel import TurnBasedParallelEnv
from ssp_env.envs.signatures import with_arguments_of
from ssp_env.game import Reply

__all__ = ["env", "parallel_env", "raw_env"]


@with_arguments_of(raw_env)
def env(**kwargs: Any) -> AECEnv[str, dict[str, Any], str | Reply | None]:
    """Make the environment with checks on the order of calls; takes the arguments of `raw_env`.

    There is no `AssertOutOfBoundsWrapper`: a long reply of a language model is cut, not an error.
    """
    return OrderEnforcingWrapper(raw_env(**kwargs))


@with_arguments_of(raw_env)
def parallel_env(**kwargs: Any) -> TurnBasedParallelEnv:
    """Make the environment with the parallel API; takes the arguments of `raw_env`."""
    return TurnBasedParallelEnv(raw_env(**kwargs), numeric_infos=kwargs.get("numeric_infos", False))
