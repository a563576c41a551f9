"""Search self-play as a PettingZoo environment: one proposer, K attempts of a solver, text in and text out.

| AEC API       | `search_self_play_v0.env()` or `pettingzoo.make("aec", "ssp/search_self_play-v0")` |
|---------------|------------------------------------------------------------------------------------|
| Parallel API  | `parallel_env()` or `pettingzoo.make("parallel", "ssp/search_self_play-v0")`       |
| Agents        | `proposer_0`, `solver_0`, ..., `solver_{K-1}`                                      |
| Actions       | `UnicodeText(0, max_chars)`: what a language model writes                          |
| Observations  | `Dict(prompt, phase, turns_left, searches_left)`, the same for every agent         |
| Render modes  | `human` prints what happened, `ansi` returns it                                    |
| Pickling      | both, at any time, also in the middle of a game, if `search` and functions pickle  |

`pettingzoo.make` came with PettingZoo 1.27 and knows the name once `ssp_env` is imported.

### The game

`proposer_0` is given a short answer and a number of hops. It searches a corpus and writes a question that
has this answer and should need as many searches as hops. If the question keeps the rules, a reader without
search must recover the answer from the pages the proposer found, mixed with noise pages: the RAG check. By
default the reader is `solver_0`. Then every solver attempts the question on its own, searching as it likes,
and answers.

A turn is a text that ends in an action; what follows the first complete action is dropped.

| Who      | Action                                 | Effect                                           |
|----------|----------------------------------------|--------------------------------------------------|
| both     | `<search> words </search>`             | the pages found are added to the agent's prompt  |
| proposer | `<question> text </question>`          | the question goes to the rules and the RAG check |
| solver   | `<answer> text </answer>`              | ends the attempt, or the reading                 |
| both     | `<think> text </think>` before that    | none; actions inside are ignored                 |

A turn without a complete action uses up a retry; without a retry left, or without turns left, the agent
forfeits.

### Order of play

The proposer takes all its turns; then, if `reader` is `"solver"`, `solver_0` takes one turn in phase
`verify`; then `solver_0` takes all turns of its attempt, then `solver_1`, and so on. All agents terminate
in the same step, the one that ends the game, and are paid there.

In the parallel API the same agents act in the same order, one a step: `infos[agent]["active_agent"]` names
who is to act, the same name for every agent, from `reset` on; it is None once the game is over. Only that
agent's action is used. The others may send None or "" or be left out; what they send is ignored. In the
step that ends the game `agents` becomes empty.

### Observations

`prompt` is the agent's own conversation from its opening message to the newest page, as one text: an agent
that remembers nothing can act on it. Environment text stands between `<information>` tags (the name depends
on the protocol). Beyond `max_prompt_chars` the oldest text is cut. It is empty before the agent's first
turn comes up. `phase` is 0 propose, 1 verify, 2 solve, 3 done. `turns_left` and `searches_left` are the
agent's own budgets.

`infos[agent]["messages"]` is the same conversation as chat messages, `{"role": ..., "content": ...}`, for
agents with a chat template; further `turns`, `searches` and `clipped_chars` count what the agent did. When
the game is over `verdict`, `reason`, `success_rate`, `metrics` and `audit` are added; the last tells what
was rejected and why and, where an oracle knows, whether the label is true (see `ssp_env.audit`). Neither
observation nor infos of a solver ever hold the answer or the proposer's words other than the question;
`render` and `game` hide nothing and are for spectators.

### Rewards

All rewards are paid in the last step. A solver gets 1 if its answer is right, else 0. The proposer of a
valid question gets 1 - p, where p is the solvers' mean success (other shapes: `GameConfig.reward`); of an
invalid one `GameConfig.invalid_reward`, which is 0. If the engine, an injected reader or the judge fails,
all agents are truncated with reward 0 and `infos[agent]["reason"] == "error"`.

### Arguments

`tasks`: answers to draw from at reset, with `search`. By default both come from a small generated world of
invented names, rendered tersely, which needs no network. `search`: a search engine, or engines by
`Task.corpus`. `config`: the rules; with `protocol="openai"`, whose searches are native tool calls, agents
step with a `ssp_env.game.Reply` that carries them. `reader`: `"solver"`, or a function from a `View` to
text. `judge`: decides answers that do not match exactly; needs `config.judge`. `oracle`: tells the audit the
right answers of a question. `max_chars`: longer actions are cut, and `clipped_chars` counts what was lost.
`max_prompt_chars`: see above.

`reset(options={"task": Task(...)})` plays a given task. With `"question": "..."` beside it nobody proposes
and nothing is checked: the game opens with the first turn of `solver_0` on that question. Other options are
ignored.

### Errors

What an agent writes is never an error. Calls out of order and wrong types are, and change nothing: an
action that is neither a string nor a `ssp_env.game.Reply` is a `TypeError`; `step` before `reset` or after
the end is a `gymnasium.error.ResetNeeded`, where PettingZoo's order-enforcing wrapper around `env()` does
not answer first (an error of its own before `reset`, a warning after the end). In the parallel API a missing
action of the active agent and an action of an unknown agent are `ValueError`s.

### Example

>>> from ssp_env import search_self_play_v0
>>> env = search_self_play_v0.env()
>>> env.reset(seed=1)
>>> for agent in env.agent_iter():
...     observation, reward, termination, truncation, info = env.last()
...     env.step(None if termination or truncation else "<question> who is it ? </question>")
>>> print(info["verdict"], info["reason"])
invalid no_evidence

### Version history

* v0: initial version
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Dict, Discrete
from pettingzoo import AECEnv
from pettingzoo.utils import OrderEnforcingWrapper

from ssp_env.audit import Oracle, audit
from ssp_env.embedded import embedded_engine, embedded_tasks, embedded_world
from ssp_env.game import (
    Failure,
    Game,
    GameConfig,
    Judge,
    Noise,
    Read,
    Reply,
    Request,
    Search,
    Task,
    Turn,
    View,
)
from ssp_env.game.config import TERSE_RULES
from ssp_env.game.events import ReadingGiven, SearchReturned, TurnTaken
from ssp_env.game.requests import Result
from ssp_env.game.view import as_reply
from ssp_env.parallel import TurnBasedParallelEnv
from ssp_env.play import JudgeFunction, ask_judge, engine_of, guarded, run_searches, sample_noise
from ssp_env.rendering import render_events, render_outcome, render_task
from ssp_env.search.engine import SearchEngine
from ssp_env.spaces import UnicodeText

ReaderFunction = Callable[[View], str | Reply]
Engines = SearchEngine | Mapping[str, SearchEngine]

PHASES = ("propose", "verify", "solve", "done")


def env(**kwargs: Any) -> AECEnv[str, dict[str, Any], str | Reply | None]:
    """Make the environment with checks on the order of calls; takes the arguments of `raw_env`.

    There is no `AssertOutOfBoundsWrapper`: a long reply of a language model is cut, not an error.
    """
    return OrderEnforcingWrapper(raw_env(**kwargs))


def parallel_env(**kwargs: Any) -> TurnBasedParallelEnv:
    """Make the environment with the parallel API; takes the arguments of `raw_env`."""
    return TurnBasedParallelEnv(raw_env(**kwargs))


class raw_env(AECEnv[str, dict[str, Any], str | Reply | None]):  # type: ignore[misc]
    """The environment itself; the module docstring is its rule book.

    Args:
        tasks: Answers to draw from; needs `search`.
        search: Engine, or engines by `Task.corpus`; needs `tasks`.
        config: Rules; by default the published ones, or `TERSE_RULES` over the embedded world.
        reader: Who answers the RAG check: `"solver"`, or a function from a `View` to text.
        judge: Decides answers that fail exact match; required if `config.judge`, refused otherwise.
        oracle: Knows the right answers of questions, for the audit; the embedded world brings its own.
        render_mode: `human`, `ansi` or None.
        max_chars: Greatest length of an action; longer texts are cut.
        max_prompt_chars: Greatest length of a prompt; the oldest text is cut.

    Raises:
        ValueError: If an argument is out of range, two of them disagree or a task's corpus has no engine.
        TypeError: If an argument has the wrong type.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "search_self_play_v0",
        "render_modes": ["human", "ansi"],
        "is_parallelizable": False,
    }

    def __init__(
        self,
        *,
        tasks: Sequence[Task] | None = None,
        search: Engines | None = None,
        config: GameConfig | None = None,
        reader: Literal["solver"] | ReaderFunction = "solver",
        judge: JudgeFunction | None = None,
        oracle: Oracle | None = None,
        render_mode: str | None = None,
        max_chars: int = 8192,
        max_prompt_chars: int = 262_144,
    ) -> None:
        super().__init__()
        self.config = config or (TERSE_RULES if tasks is None else GameConfig())
        _check_arguments(tasks, search, self.config, reader, judge, render_mode)
        self.render_mode = render_mode
        self._tasks = None if tasks is None else list(tasks)
        self._search = search
        self._reader = reader
        self._judge = judge
        self._oracle = oracle
        self._max_chars = max_chars
        self._max_prompt_chars = max_prompt_chars
        self._rng: np.random.Generator | None = None
        self.agents: list[str] = []
        self.possible_agents = ["proposer_0", *(f"solver_{k}" for k in range(self.config.attempts))]
        self.observation_spaces = {agent: self._make_observation_space() for agent in self.possible_agents}
        self.action_spaces = {agent: UnicodeText(max_chars) for agent in self.possible_agents}

    # -- spaces ----------------------------------------------------------------------------------------

    def observation_space(self, agent: str) -> Dict:
        """Return the agent's observation space, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> UnicodeText:
        """Return the agent's action space, always the same object."""
        return self.action_spaces[agent]

    def _make_observation_space(self) -> Dict:
        budgets = (self.config.proposer, self.config.solver)
        return Dict(
            {
                "prompt": UnicodeText(self._max_prompt_chars),
                "phase": Discrete(len(PHASES)),
                "turns_left": Discrete(max(budget.max_turns for budget in budgets) + 1),
                "searches_left": Discrete(max(budget.max_searches for budget in budgets) + 1),
            }
        )

    # -- playing ---------------------------------------------------------------------------------------

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Start a game.

        Args:
            seed: Seed of the tasks, shuffles and noise of this and the following games; None goes on with the
                generator there is.
            options: `task` plays a given `Task`; `question` beside it asks the solvers at once; other keys
                are ignored.

        Raises:
            TypeError: If `options["task"]` is not a `Task`, or `options["question"]` not a string.
            ValueError: If there is no engine for the task's corpus, or a question is blank or has no task.
        """
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        task, question = _check_options(options or {})
        if task is None:
            tasks = embedded_tasks() if self._tasks is None else self._tasks
            task = tasks[int(self._rng.integers(len(tasks)))]
        self._engine_of(task)
        self.game = Game(task, self.config, int(self._rng.integers(2**63)), question=question)
        self._rendered = 0
        self._clipped = dict.fromkeys(self.possible_agents, 0)
        budget = self.config.solver
        self._views = {
            agent: View(self.game.id, agent, "solve", (), budget.max_turns, budget.max_searches)
            for agent in self.possible_agents
        }
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._advance()

    def step(self, action: str | Reply | None) -> None:
        """Let the selected agent write `action`.

        Args:
            action: Any text, cut after `max_chars`, or a `Reply`, which may carry tokens and native tool
                calls beside its text; None, and only None, for an agent whose game is over.

        Raises:
            TypeError: If the action of a live agent is neither.
            ValueError: If the action of an agent whose game is over is not None.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.agents:
            raise ResetNeeded("no game is going on: call reset() before step()")
        seat = self.agent_selection
        if self.terminations[seat] or self.truncations[seat]:
            self._was_dead_step(action)
            return
        if not isinstance(action, str | Reply):
            raise TypeError(
                f'an action must be a string ("" for an empty reply) or a Reply, got {type(action).__name__}'
            )
        reply = action if isinstance(action, Reply) else Reply(str(action))
        self._clipped[seat] += max(0, len(reply.text) - self._max_chars)
        self.game.submit(self._request.id, replace(reply, text=reply.text[: self._max_chars]))
        self._remember(seat)
        self._advance()

    def abort(self, detail: str) -> None:
        """End the game as `error`, which pays nobody: for a driver whose player broke down.

        Args:
            detail: What happened, for spectators.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on or it is over.
        """
        if not self.agents or self.game.outcome is not None:
            raise ResetNeeded("no game is going on: call reset() before abort()")
        self.game.submit(self._request.id, Failure(detail))
        self._advance()

    @property
    def view(self) -> View:
        """What the selected agent sees, in the form that players take; only while a game is going on."""
        if not self.agents or self.game.outcome is not None:
            raise ResetNeeded("no game is going on: nobody is to act")
        return self._request.view

    def observe(self, agent: str) -> dict[str, Any]:
        """Return what an agent knows now; may be called for any agent at any time."""
        view = self._views[agent]
        prompt = "\n".join(message.content for message in view.messages)
        return {
            "prompt": prompt[max(0, len(prompt) - self._max_prompt_chars) :],
            "phase": PHASES.index(self.game.phase),
            "turns_left": view.turns_left,
            "searches_left": view.searches_left,
        }

    def render(self) -> str | None:
        """Describe the game so far: return it (`ansi`) or print what is new since the last call (`human`).

        Raises:
            gymnasium.error.ResetNeeded: If there was no game yet.
        """
        if not hasattr(self, "game"):
            raise ResetNeeded("there was no game yet: call reset() before render()")
        if self.render_mode == "ansi":
            return self._described(0)
        if self.render_mode == "human":
            text = self._described(self._rendered)
            self._rendered = 1 + len(self.game.events) + (self.game.outcome is not None)
            encoding = sys.stdout.encoding or "utf-8"
            print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
            return None
        gymnasium.logger.warn("render() does nothing without render_mode='human' or 'ansi'")
        return None

    def close(self) -> None:
        """Release nothing: the environment holds no window, process or connection."""

    # -- between turns ---------------------------------------------------------------------------------

    def _world_oracle(self) -> Oracle | None:
        return embedded_world().answers_to if self._tasks is None else None

    def _engine_of(self, task: Task) -> SearchEngine:
        return embedded_engine() if self._search is None else engine_of(task, self._search)

    def _advance(self) -> None:
        """Serve the game until an agent must act or the game is over, and tell the agents."""
        while served := [request for request in self.game.requests() if not self._is_turn(request)]:
            self.game.submit(served[0].id, self._fetch(served[0]))
        turns = [request for request in self.game.requests() if isinstance(request, Turn | Read)]
        for request in turns:
            self._views[request.view.seat] = request.view
        if turns:
            self._request = min(turns, key=lambda request: self.possible_agents.index(request.view.seat))
            self.agent_selection = self._request.view.seat
        else:
            self._finish()
        self.infos = {agent: self._info(agent) for agent in self.agents}
        if self.render_mode == "human":
            self.render()

    def _is_turn(self, request: Request) -> bool:
        return isinstance(request, Turn) or (isinstance(request, Read) and not callable(self._reader))

    def _fetch(self, request: Request) -> Result:
        assert self._rng is not None
        if isinstance(request, Search):
            return run_searches(self._engine_of(self.game.task), [request.query], request.top_k)[0]
        if isinstance(request, Noise):
            engine = self._engine_of(self.game.task)
            return sample_noise(engine, self._rng, request.passages, request.exclude)
        if isinstance(request, Judge):
            return ask_judge(self._judge, request)
        reader, view = self._reader, request.view
        assert callable(reader)
        return guarded("reader", lambda: as_reply(reader(view)))

    def _finish(self) -> None:
        outcome = self.game.outcome
        assert outcome is not None
        broken = outcome.verdict == "error"
        # The one pay day of a game: until now all rewards were zero.
        self.rewards = dict(outcome.rewards)
        self._accumulate_rewards()
        self.terminations = dict.fromkeys(self.agents, not broken)
        self.truncations = dict.fromkeys(self.agents, broken)
        self.agent_selection = self.agents[0]

    def _remember(self, seat: str) -> None:
        """Add what the seat just wrote to its view; the next request to it replaces that view."""
        written = next(
            event for event in reversed(self.game.events) if isinstance(event, TurnTaken | ReadingGiven)
        )
        view = self._views[seat]
        messages = (*view.messages, self.game.protocol.said(written.action))
        self._views[seat] = replace(view, messages=messages, turns_left=view.turns_left - 1)

    def _info(self, agent: str) -> dict[str, Any]:
        events = [event for event in self.game.events if getattr(event, "seat", "") == agent]
        info: dict[str, Any] = {
            "messages": [message.to_openai() for message in self._views[agent].messages],
            "turns": sum(isinstance(event, TurnTaken) for event in events),
            "searches": sum(isinstance(event, SearchReturned) for event in events),
            "clipped_chars": self._clipped[agent],
        }
        outcome = self.game.outcome
        if outcome is not None:
            # Not the question: an invalid one may hold the answer.
            info["verdict"] = outcome.verdict
            info["reason"] = outcome.reason
            info["success_rate"] = outcome.success_rate
            info["metrics"] = dict(outcome.metrics)
            info["audit"] = audit(self.game, self._oracle or self._world_oracle())
        return info

    def _described(self, start: int) -> str:
        """Task line, event lines and outcome line, from the `start`-th of these parts on."""
        parts = [render_task(self.game.task), *(render_events([event]) for event in self.game.events)]
        if self.game.outcome is not None:
            parts.append(render_outcome(self.game.outcome))
        return "".join(parts[start:])


def _check_options(options: Mapping[str, Any]) -> tuple[Task | None, str]:
    task, question = options.get("task"), options.get("question", "")
    if task is not None and not isinstance(task, Task):
        raise TypeError(f"options['task'] must be a Task, got {type(task).__name__}")
    if not isinstance(question, str):
        raise TypeError(f"options['question'] must be a string, got {type(question).__name__}")
    if "question" in options and (task is None or not question.strip()):
        wrong = "no task" if task is None else f"the question {question!r}"
        raise ValueError(f"options['question'] needs text, and options['task'] with its answer; got {wrong}")
    return task, question


def _check_arguments(
    tasks: Sequence[Task] | None,
    search: Engines | None,
    config: GameConfig,
    reader: Literal["solver"] | ReaderFunction,
    judge: JudgeFunction | None,
    render_mode: str | None,
) -> None:
    if (tasks is None) != (search is None):
        given, missing = ("tasks", "search") if search is None else ("search", "tasks")
        raise ValueError(
            f"{given} needs {missing}: answers and the corpus they are asked about belong together"
        )
    if tasks is not None and search is not None:
        if not tasks:
            raise ValueError("tasks needs at least one Task, got none")
        for task in tasks:
            if not isinstance(task, Task):
                raise TypeError(f"tasks must hold Task objects, got {type(task).__name__}")
            engine_of(task, search)
    if reader != "solver" and not callable(reader):
        raise ValueError(f"reader must be 'solver' or a function from a View to text, got {reader!r}")
    if config.judge and judge is None:
        raise ValueError("config.judge=True needs judge=, a function that decides whether an answer is right")
    if judge is not None and not config.judge:
        raise ValueError("judge= is never asked unless config.judge is True")
    modes = raw_env.metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise ValueError(f"render_mode must be None or one of {', '.join(modes)}, got {render_mode!r}")
