"""The game as a PettingZoo environment of agents that act in turns (AEC)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Dict, Discrete
from pettingzoo import AECEnv

from ssp_env.envs.infos import as_numbers, count_for, describe_end
from ssp_env.envs.spaces import MAX_ACTION_CHARS, MAX_PROMPT_CHARS, UnicodeText
from ssp_env.game import (
    PROTOCOLS,
    Failure,
    Game,
    GameConfig,
    Judge,
    Noise,
    Open,
    Read,
    Reply,
    Request,
    Search,
    Task,
    Turn,
    View,
)
from ssp_env.game.audit import Oracle
from ssp_env.game.events import ReadingGiven, TurnTaken
from ssp_env.game.requests import Result, source_of
from ssp_env.game.shortening import shorten_prompt
from ssp_env.game.view import ToolRole
from ssp_env.objects import is_async
from ssp_env.play import (
    AnyPlayer,
    AnySearch,
    JudgeFunction,
    as_judge,
    ask_judge,
    engine_of,
    guarded,
    open_page,
    run_searches,
    sample_noise,
)
from ssp_env.play.players import policy
from ssp_env.play.services import is_async_search
from ssp_env.scenario import Scenario, open_scenario
from ssp_env.search.adapters import as_store
from ssp_env.search.engine import PassageStore, SearchEngine
from ssp_env.viewer.markup import game_html
from ssp_env.viewer.text import render_events, render_outcome, render_task

PHASES = ("propose", "verify", "solve", "done")


class raw_env(AECEnv[str, dict[str, Any], str | Reply | None]):  # type: ignore[misc]
    """The environment itself; the docstring of `ssp_env.search_self_play_v0` is its rule book.

    Args:
        scenario: What is played in: engine, answers, rules and oracle, or the name of a generated world; by
            default the tiny training world.
        tasks: Answers to draw from in place of a scenario; needs `search`.
        search: Engine, or engines by `Task.corpus`, of any kind that `as_engine` takes; needs `tasks`.
        config: Rules in place of the scenario's; with `tasks`, the published ones by default. Where they say
            `protocol="openai"`, searches are native tool calls, and agents step with a `Reply` that has them.
        reader: Who answers the RAG check: `"solver"`, or a player of any kind that `as_agent` takes.
        judge: Function from a `Judge` request to True, False or None that decides answers that fail exact
            match; required if `config.judge`, refused otherwise.
        oracle: Knows the right answers of questions, for the audit; a scenario may bring its own.
        render_mode: `human`, `ansi`, `html` (a fragment for notebooks) or None.
        max_action_chars: Greatest length of an action; longer texts are cut.
        max_prompt_chars: Greatest length of a prompt; of a longer one the opening and the newest text stay.
        tool_role: Role of what the environment says in the `messages` of infos, `tool` or `user`.
        numeric_infos: Whether infos hold numbers alone, under the same keys from `reset` on.

    Raises:
        ValueError: If an argument is out of range, two of them disagree or a task's corpus has no engine.
        TypeError: If an argument has the wrong type.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "search_self_play_v0",
        "render_modes": ["human", "ansi", "html"],
        "is_parallelizable": False,
    }

    def __init__(
        self,
        *,
        scenario: Scenario | str | None = None,
        tasks: Sequence[Task] | None = None,
        search: AnySearch | None = None,
        config: GameConfig | None = None,
        reader: Literal["solver"] | AnyPlayer = "solver",
        judge: JudgeFunction | None = None,
        oracle: Oracle | None = None,
        render_mode: str | None = None,
        max_action_chars: int = MAX_ACTION_CHARS,
        max_prompt_chars: int = MAX_PROMPT_CHARS,
        tool_role: ToolRole = "tool",
        numeric_infos: bool = False,
    ) -> None:
        super().__init__()
        self.scenario = choose_scenario(scenario, tasks, search, config)
        self.config = self.scenario.rules
        _check_arguments(self.scenario, judge, render_mode)
        self.render_mode = render_mode
        self._reader = None if reader == "solver" else policy("reader", reader)
        self._judge = judge
        self._oracle = oracle or self.scenario.oracle
        self._max_chars = max_action_chars
        self._max_prompt_chars = max_prompt_chars
        self._tool_role = tool_role
        self._numeric_infos = numeric_infos
        self._rng: np.random.Generator | None = None
        self.agents: list[str] = []
        self.possible_agents = list(self.config.seats)
        budgets = (self.config.proposer, self.config.solver)
        self.observation_spaces = {
            agent: Dict(
                {
                    "prompt": UnicodeText(max_prompt_chars),
                    "phase": Discrete(len(PHASES)),
                    "turns_left": Discrete(max(budget.max_turns for budget in budgets) + 1),
                    "searches_left": Discrete(max(budget.max_searches for budget in budgets) + 1),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: UnicodeText(max_action_chars) for agent in self.possible_agents}

    # -- spaces ----------------------------------------------------------------------------------------

    def observation_space(self, agent: str) -> Dict:
        """Return the agent's observation space, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> UnicodeText:
        """Return the agent's action space, always the same object."""
        return self.action_spaces[agent]

    # -- playing ---------------------------------------------------------------------------------------

    def reset(self, seed: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Start a game.

        Args:
            seed: Seed of the tasks, shuffles and noise of this and the following games; None goes on with the
                generator there is.
            options: `task` plays a given `Task`; if it has a question, the solvers are asked at once. Other
                keys are ignored.

        Raises:
            TypeError: If `options["task"]` is not a `Task`.
            ValueError: If there is no engine for the task's corpus, or none that opens pages as the rules do.
        """
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        task = given_task(options)
        if task is None:
            tasks = self.scenario.tasks
            task = tasks[int(self._rng.integers(len(tasks)))]
        self._engine_of(task)
        if PROTOCOLS[self.config.protocol].open:
            self._store_of(task)
        self.game = Game(task, self.config, int(self._rng.integers(2**63)))
        self._rendered = 0
        self._cut_action_chars = dict.fromkeys(self.possible_agents, 0)
        self._openings: dict[tuple[str, str, str], int] = {}
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
            action: Any text, cut after `max_action_chars`, or a `Reply`, which may carry tokens and native
                tool calls beside its text; None, and only None, for an agent whose game is over.

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
        self._cut_action_chars[seat] += max(0, len(reply.text) - self._max_chars)
        self.game.submit(self._request.id, replace(reply, text=reply.text[: self._max_chars]))
        self._remember(seat)
        self._advance()

    def abort(self, detail: str) -> None:
        """End the game as `error`, which pays nobody: for a driver whose player broke down.

        Args:
            detail: What happened; `infos[agent]["failure"]` says it behind the name of who failed.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on or it is over.
        """
        if not self.agents or self.game.outcome is not None:
            raise ResetNeeded("no game is going on: call reset() before abort()")
        self.game.submit(self._request.id, Failure(detail))
        self._advance()

    @property
    def view(self) -> View:
        """What the selected agent sees, in the form that players take.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if not self.agents or self.game.outcome is not None:
            raise ResetNeeded("no game is going on: nobody is to act")
        return self._request.view

    def observe(self, agent: str) -> dict[str, Any]:
        """Return what an agent knows now; after `reset` it may be called for any agent at any time."""
        view = self._views[agent]
        return {
            "prompt": self._prompt(view)[0],
            "phase": PHASES.index(self.game.phase),
            "turns_left": view.turns_left,
            "searches_left": view.searches_left,
        }

    def render(self) -> str | None:
        """Describe the game so far: return all (`ansi`, `html`) or print what is new since then (`human`).

        Raises:
            gymnasium.error.ResetNeeded: If there was no game yet.
        """
        if not hasattr(self, "game"):
            raise ResetNeeded("there was no game yet: call reset() before render()")
        if self.render_mode == "ansi":
            return self._described(0)
        if self.render_mode == "html":
            return game_html(self.game)
        if self.render_mode == "human":
            text = self._described(self._rendered)
            self._rendered = 1 + len(self.game.events) + (self.game.outcome is not None)
            encoding = sys.stdout.encoding or "utf-8"
            print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
            return None
        gymnasium.logger.warn("render() does nothing without render_mode='human', 'ansi' or 'html'")
        return None

    # -- between turns ---------------------------------------------------------------------------------

    def _engine_of(self, task: Task) -> SearchEngine:
        return engine_of(task, self.scenario.search)

    def _store_of(self, task: Task) -> PassageStore:
        return as_store(self._engine_of(task), f"the protocol {self.config.protocol}")

    def _advance(self) -> None:
        """Serve the game until an agent must act or the game is over, and tell the agents."""
        while served := [request for request in self.game.requests() if not self._is_turn(request)]:
            self.game.submit(served[0].id, self._fetch(served[0]))
        turns = [request for request in self.game.requests() if isinstance(request, Turn | Read)]
        for request in turns:
            self._views[request.view.seat] = request.view
            self._openings.setdefault(request.view.conversation_id, len(request.view.messages))
        if turns:
            self._request = min(turns, key=lambda request: self.possible_agents.index(request.view.seat))
            self.agent_selection = self._request.view.seat
        else:
            self._finish()
        self.infos = {agent: self._info(agent) for agent in self.agents}
        if self.render_mode == "human":
            self.render()

    def _is_turn(self, request: Request) -> bool:
        return isinstance(request, Turn) or (isinstance(request, Read) and self._reader is None)

    def _fetch(self, request: Request) -> Result:
        assert self._rng is not None
        if isinstance(request, Search):
            engine = self._engine_of(self.game.task)
            return run_searches(engine, [request.query], request.top_k, source_of(request))[0]
        if isinstance(request, Open):
            return open_page(self._store_of(self.game.task), request)
        if isinstance(request, Noise):
            engine = self._engine_of(self.game.task)
            return sample_noise(engine, self._rng, request.passages, request.exclude)
        if isinstance(request, Judge):
            return ask_judge(self._judge, request)
        reader, view = self._reader, request.view
        assert reader is not None
        return guarded("reader", lambda: reader(view))

    def _finish(self) -> None:
        outcome = self.game.outcome
        assert outcome is not None
        broken = outcome.verdict == "error"
        self._cut_prompt_chars = float(sum(self._prompt(view)[1] for view in self._views.values()))
        # Until now all rewards were zero.
        self.rewards = dict(outcome.rewards)
        self._accumulate_rewards()
        self.terminations = dict.fromkeys(self.agents, not broken)
        self.truncations = dict.fromkeys(self.agents, broken)
        self.agent_selection = self.agents[0]

    def _prompt(self, view: View) -> tuple[str, int]:
        """Return a conversation as one text that fits, and how many of its characters are left out."""
        opening = self._openings.get(view.conversation_id, 0)
        told = "\n".join(message.content for message in view.messages[:opening])
        later = "".join(f"\n{message.content}" for message in view.messages[opening:])
        return shorten_prompt(told, later, self._max_prompt_chars)

    def _remember(self, seat: str) -> None:
        """Add what the seat just wrote to its view; the next request to it replaces that view."""
        written = next(
            event for event in reversed(self.game.events) if isinstance(event, TurnTaken | ReadingGiven)
        )
        view = self._views[seat]
        messages = (*view.messages, self.game.protocol.said(written.action))
        self._views[seat] = replace(view, messages=messages, turns_left=view.turns_left - 1)

    def _info(self, agent: str) -> dict[str, Any]:
        info: dict[str, Any] = {
            "messages": self._views[agent].to_openai(self._tool_role),
            **count_for(agent, self.game, reads=agent == "solver_0" and self._reader is None),
            "cut_action_chars": self._cut_action_chars[agent],
            "cut_prompt_chars": self._prompt(self._views[agent])[1],
        }
        if self.game.outcome is not None:
            info |= describe_end(self.game, self._oracle)
            info["metrics"]["cut_prompt_chars"] = self._cut_prompt_chars
        return as_numbers(info, self.config) if self._numeric_infos else info

    def _described(self, start: int) -> str:
        """Task line, event lines and outcome line, from the `start`-th of these parts on."""
        parts = [
            render_task(self.game.task),
            *(render_events([event], self.config) for event in self.game.events),
        ]
        if self.game.outcome is not None:
            parts.append(render_outcome(self.game.outcome))
        return "".join(parts[start:])


def given_task(options: Mapping[str, Any] | None) -> Task | None:
    """Return the task that options of `reset` ask for, if they do.

    Raises:
        TypeError: If `options["task"]` is not a `Task`.
    """
    task = (options or {}).get("task")
    if task is not None and not isinstance(task, Task):
        raise TypeError(f"options['task'] must be a Task, got {type(task).__name__}")
    return task


@lru_cache(maxsize=1)
def default_scenario() -> Scenario:
    """Open the tiny training world that environments are made over when nothing else is given."""
    return open_scenario("tiny")


def choose_scenario(
    scenario: Scenario | str | None,
    tasks: Sequence[Task] | None,
    search: AnySearch | None,
    config: GameConfig | None,
) -> Scenario:
    """Return what an environment plays in.

    Raises:
        ValueError: If a scenario comes with tasks or an engine, one of these comes without the other, there
            is no task, or a task's corpus has no engine.
        TypeError: If `tasks` holds anything but tasks, or `scenario` is neither a scenario nor a name.
    """
    if isinstance(scenario, str):
        scenario = open_scenario(scenario)
    if not isinstance(scenario, Scenario | None):
        raise TypeError(
            "scenario must be a Scenario, as open_scenario opens it, or the name of a world such as 'tiny', "
            f"got {type(scenario).__name__}"
        )
    if (tasks is None) != (search is None):
        given, missing = ("tasks", "search") if search is None else ("search", "tasks")
        raise ValueError(
            f"{given} needs {missing}: answers and the corpus they are asked about belong together"
        )
    if tasks is None or search is None:
        scenario = scenario or default_scenario()
        return scenario if config is None else scenario.with_rules(config)
    if scenario is not None:
        raise ValueError("scenario brings its own tasks and search: leave out tasks= and search=")
    if not tasks:
        raise ValueError("tasks needs at least one Task, got none")
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(f"tasks must hold Task objects, got {type(task).__name__}")
    scenario = open_scenario(search=search, answers=tasks, rules=config or GameConfig())
    for task in tasks:
        engine_of(task, scenario.search)
    return scenario


def _check_arguments(scenario: Scenario, judge: JudgeFunction | None, render_mode: str | None) -> None:
    config = scenario.rules
    if is_async_search(scenario.search):
        raise TypeError(
            "search must be blocking, because environments step one game at a time: give it a blocking "
            "`search`, or play with ssp_env.play.play_async; got one whose `search` is a coroutine function"
        )
    if config.judge and judge is None:
        raise ValueError("config.judge=True needs judge=, a function that decides whether an answer is right")
    if judge is not None and not config.judge:
        raise ValueError("judge= is never asked unless config.judge is True")
    if judge is not None and (not callable(as_judge(judge)) or is_async(judge)):
        raise TypeError(f"judge must be a blocking function of a Judge request, got {type(judge).__name__}")
    modes = raw_env.metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise ValueError(f"render_mode must be None or one of {', '.join(modes)}, got {render_mode!r}")
