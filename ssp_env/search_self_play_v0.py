"""Search self-play as a PettingZoo environment: one proposer, K attempts of a solver, text in and text out.

| Creation      | `search_self_play_v0.env()` or `pettingzoo.make("aec", "ssp/search_self_play-v0")` |
|---------------|------------------------------------------------------------------------------------|
| Agents        | `proposer_0`, `solver_0`, ..., `solver_{K-1}`                                      |
| Actions       | `UnicodeText(0, max_chars)`: what a language model writes                          |
| Observations  | `Dict(prompt, phase, turns_left, searches_left)`, the same for every agent         |
| Render modes  | `human` prints what happened, `ansi` returns it                                    |
| Parallel API  | no: agents act in turns                                                            |

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
invented names, rendered tersely, which needs no network. `reset(options={"task": Task(...)})` plays a given
task. `search`: a search engine, or engines by `Task.corpus`. `config`: the rules. `reader`: `"solver"`, or
a function from a `View` to text. `judge`: decides answers that do not match exactly; needs `config.judge`.
`oracle`: tells the audit the right answers of a question.
`max_chars`: longer actions are cut.

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
from functools import lru_cache
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Dict, Discrete
from gymnasium.utils import EzPickle
from pettingzoo import AECEnv
from pettingzoo.utils import OrderEnforcingWrapper

from ssp_env.audit import Oracle, audit
from ssp_env.game import (
    Game,
    GameConfig,
    Judge,
    Message,
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
from ssp_env.play import JudgeFunction, ask_judge, engine_of, guarded, run_searches, sample_noise
from ssp_env.rendering import render_events, render_outcome, render_task
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.engine import SearchEngine
from ssp_env.spaces import UnicodeText
from ssp_env.worlds import World, world_preset

ReaderFunction = Callable[[View], str | Reply]
Engines = SearchEngine | Mapping[str, SearchEngine]

PHASES = ("propose", "verify", "solve", "done")


def env(**kwargs: Any) -> AECEnv[str, dict[str, Any], str | None]:
    """Make the environment with checks on the order of calls; takes the arguments of `raw_env`.

    There is no `AssertOutOfBoundsWrapper`: a long reply of a language model is cut, not an error.
    """
    return OrderEnforcingWrapper(raw_env(**kwargs))


class raw_env(AECEnv[str, dict[str, Any], str | None], EzPickle):  # type: ignore[misc]
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
        EzPickle.__init__(
            self,
            tasks=tasks,
            search=search,
            config=config,
            reader=reader,
            judge=judge,
            oracle=oracle,
            render_mode=render_mode,
            max_chars=max_chars,
            max_prompt_chars=max_prompt_chars,
        )
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
            options: `task` plays a given `Task`; other keys are ignored.

        Raises:
            TypeError: If `options["task"]` is not a `Task`.
            ValueError: If there is no engine for its corpus.
        """
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        tasks, search = self._arena()
        task = (options or {}).get("task")
        if task is None:
            task = tasks[int(self._rng.integers(len(tasks)))]
        if not isinstance(task, Task):
            raise TypeError(f"options['task'] must be a Task, got {type(task).__name__}")
        self._engine = engine_of(task, search)
        self.game = Game(task, self.config, int(self._rng.integers(2**63)))
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

    def step(self, action: str | None) -> None:
        """Let the selected agent write `action`.

        Args:
            action: Any text, cut after `max_chars`; None, and only None, for an agent whose game is over.

        Raises:
            TypeError: If the action of a live agent is not a string.
            ValueError: If the action of an agent whose game is over is not None.
        """
        seat = self.agent_selection
        if self.terminations[seat] or self.truncations[seat]:
            self._was_dead_step(action)
            return
        if not isinstance(action, str):
            raise TypeError(
                f'an action must be a string ("" for an empty reply), got {type(action).__name__}'
            )
        self._clipped[seat] += max(0, len(action) - self._max_chars)
        self.game.submit(self._request.id, str(action[: self._max_chars]))
        self._remember(seat)
        self._advance()

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
        """Describe the game so far: return it (`ansi`) or print what is new since the last call (`human`)."""
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
        return _embedded_world().answers_to if self._tasks is None else None

    def _arena(self) -> tuple[Sequence[Task], Engines]:
        if self._tasks is None or self._search is None:
            return _embedded_arena()
        return self._tasks, self._search

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
            return run_searches(self._engine, [request.query], request.top_k)[0]
        if isinstance(request, Noise):
            return sample_noise(self._engine, self._rng, request.passages, request.exclude)
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
        messages = (*view.messages, Message("assistant", written.action.text))
        self._views[seat] = replace(view, messages=messages, turns_left=view.turns_left - 1)

    def _info(self, agent: str) -> dict[str, Any]:
        events = [event for event in self.game.events if getattr(event, "seat", "") == agent]
        info: dict[str, Any] = {
            "messages": [
                {"role": message.role, "content": message.content} for message in self._views[agent].messages
            ],
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


@lru_cache(maxsize=1)
def _embedded_world() -> World:
    return World(world_preset("tiny"))


@lru_cache(maxsize=1)
def _embedded_arena() -> tuple[list[Task], SearchEngine]:
    """One task per entity and hop count of the first tiny training world, and the engine over its pages."""
    world = _embedded_world()
    tasks = [
        Task(entity.name, entity.aliases, hops, id=f"{world.id}/{entity.name}/{hops}")
        for entity in world.entities()
        for hops in (1, 2, 3)
    ]
    return tasks, BM25Engine(world.passages(), stem=False, drop_stop_words=False)


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
