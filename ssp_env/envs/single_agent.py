"""Search self-play for one learner as Gymnasium environments: the other side of the game is frozen.

| Id                          | The agent is | The environment plays                                       |
|-----------------------------|--------------|-------------------------------------------------------------|
| `SearchSelfPlay/Solver-v0`  | `solver_0`   | nobody (given questions), or a proposer during `reset`      |
| `SearchSelfPlay/Proposer-v0`| `proposer_0` | the reader and every attempt of the solver after a question |

Both are registered by `import ssp_env`. Rules, actions, observations and infos are those of the agent in
`ssp_env.search_self_play_v0`, whose docstring is the rule book. An action is a text, or a `Reply` where it
carries tokens or native tool calls; a text longer than `max_action_chars` is cut. An episode is a game: the
reward comes with its last step, where `info` has `verdict`, `reason`, `success_rate` and `metrics`. If the
search engine, a frozen player or the judge fails, the episode is truncated with reward 0, `info["reason"]` is
`"error"`, and `info["failure"]` says what failed and where.

Without arguments both play in one small generated world that needs no network: `Solver-v0` asks the known
questions of a training world, `Proposer-v0` plays against a `LookupSolver`, which searches once. They are
smoke tests then, because these questions can be learnt by heart. `Solver-v1` and `Proposer-v1`, of
`ssp_env.envs.new_worlds`, draw a new world for each episode; with a scenario, questions, tasks or an engine
of your own they take the arguments of these environments.

Frozen players are objects with `act(view)` or `act_batch(views)`, or functions from a `View` to text. For an
environment that repeats itself with its seed they must answer equal views alike.

Vector environments: `SyncVectorEnv` and `AsyncVectorEnv(shared_memory=False)`. Gymnasium's shared memory
cannot carry text, so `AsyncVectorEnv` with its default `shared_memory=True` raises an error that says so.

`SearchAction` gives any other text environment a search action.

>>> import gymnasium, ssp_env
>>> env = gymnasium.make("SearchSelfPlay/Solver-v1")
>>> observation, info = env.reset(seed=0)
>>> observation["prompt"]
'...'
>>> observation, reward, terminated, truncated, info = env.step("<answer> nobody </answer>")
>>> reward, terminated, info["reason"]
(0.0, True, 'unsolved')
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeAlias

import gymnasium
from gymnasium.error import ResetNeeded

from ssp_env.envs.aec import choose_scenario, given_task, raw_env
from ssp_env.envs.lookup_solver import LookupSolver
from ssp_env.envs.search_action import SearchAction
from ssp_env.envs.spaces import MAX_ACTION_CHARS, MAX_PROMPT_CHARS
from ssp_env.game import Failure, GameConfig, Reply, Role, Task, View
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyPlayer, AnySearch, JudgeFunction, guarded
from ssp_env.play.players import Policy, policy
from ssp_env.scenario import Scenario

__all__ = ["Player", "ProposerEnv", "SearchAction", "SolverEnv"]

Player: TypeAlias = AnyPlayer
QuestionAndAnswer: TypeAlias = tuple[str, str]


class _OneSeatEnv(gymnasium.Env[dict[str, Any], str]):
    """One seat of the game for the agent; frozen players, by role, take the others' turns."""

    # Gymnasium asks every rendering environment for a frame rate; text comes as it is written.
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human", "ansi", "html"], "render_fps": 1}  # type: ignore[misc]

    def __init__(
        self, seat: str, frozen: Mapping[Role, Policy], reader: Player | None, **arguments: Any
    ) -> None:
        """Open the game with the further arguments of `raw_env`."""
        self._seat = seat
        self._env = raw_env(reader=reader or "solver", **arguments)
        self._frozen = frozen
        self.render_mode = self._env.render_mode
        self.observation_space = self._env.observation_space(seat)
        self.action_space = self._env.action_space(seat)

    @abstractmethod
    def _open(self, options: Mapping[str, Any]) -> None:
        """Start a game and play it to the agent's first turn."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a game and play it to the agent's first turn.

        Args:
            seed: Seed of this and the following games; None goes on with the generator there is.
            options: `task` plays a given `Task`. `Solver-v0` asks its question if it has one; for
                `Proposer-v0` the question is dropped. Other keys are ignored.

        Raises:
            TypeError: If `options["task"]` is not a `Task`.
            ValueError: If there is no engine for the task's corpus, or the task has no question and there is
                no proposer to write one (`Solver-v0`).
            RuntimeError: If a frozen proposer writes no valid question (`Solver-v0`).
        """
        super().reset(seed=seed)
        self._open(options or {})
        return self._env.observe(self._seat), dict(self._env.infos[self._seat])

    def step(self, action: str | Reply) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Let the agent write `action`, then play on to its next turn or the end.

        Raises:
            TypeError: If the action is neither a string nor a `Reply`.
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if self._is_over():
            raise ResetNeeded("no game is going on: call reset() before step()")
        self._env.step(action)
        self._play_others()
        env, seat = self._env, self._seat
        ended = (env.terminations[seat], env.truncations[seat])
        return env.observe(seat), env.rewards[seat], *ended, dict(env.infos[seat])

    def render(self) -> str | None:
        """Describe the game so far, as `ssp_env.search_self_play_v0` does.

        Raises:
            gymnasium.error.ResetNeeded: If there was no game yet.
        """
        return self._env.render()

    @property
    def scenario(self) -> Scenario:
        """What is played in: engine, tasks, rules and oracle."""
        return self._env.scenario

    @property
    def view(self) -> View:
        """What the agent sees, in the form that players take.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        return self._env.view

    def _start(self, task: Task | None) -> None:
        self._env.reset(seed=int(self.np_random.integers(2**63)), options={"task": task})

    def _play_others(self) -> None:
        """Let frozen players act until it is the agent's turn or the game is over."""
        while not self._is_over() and self._env.agent_selection != self._seat:
            view = self._env.view
            source = view.seat if view.role == "solver" else view.role
            reply = guarded(source, partial(self._frozen[view.role], view))
            if isinstance(reply, Failure):
                self._env.abort(reply.detail)
            else:
                self._env.step(reply)

    def _is_over(self) -> bool:
        return not self._env.agents or self._env.game.outcome is not None


class SolverEnv(_OneSeatEnv):
    """`SearchSelfPlay/Solver-v0`: answer questions by search.

    The questions are given, or a frozen proposer writes one during each `reset`. An invalid question, or a
    proposer, engine, reader or judge that fails, costs the proposer another try; after `max_proposals` games
    `reset` raises a `RuntimeError` that counts the reasons.

    Args:
        scenario: As for `raw_env`.
        questions: Questions to draw from: tasks with a question, or pairs of a question and its answer. By
            default those of the scenario.
        proposer: Frozen player that writes the questions instead.
        tasks: Answers for the proposer in place of a scenario; needs `search`, which is as for `raw_env`.
        config: Rules as for `raw_env`, with one attempt.
        reader: Frozen player that answers the RAG check of the proposer's questions; needed unless
            the rules have no reading. In a terse world a `LookupSolver` by default.
        judge: As for `raw_env`, like `render_mode`, `max_action_chars` and `max_prompt_chars`.
        max_proposals: Games a proposer may play per `reset`.

    Raises:
        ValueError: If an argument is out of range, or two of them disagree.
        TypeError: If an argument has the wrong type.
    """

    def __init__(
        self,
        *,
        scenario: Scenario | str | None = None,
        questions: Sequence[Task | QuestionAndAnswer] | None = None,
        proposer: Player | None = None,
        tasks: Sequence[Task] | None = None,
        search: AnySearch | None = None,
        config: GameConfig | None = None,
        reader: Player | None = None,
        judge: JudgeFunction | None = None,
        max_proposals: int = 8,
        render_mode: str | None = None,
        max_action_chars: int = MAX_ACTION_CHARS,
        max_prompt_chars: int = MAX_PROMPT_CHARS,
    ) -> None:
        asked = None if questions is None else [_as_task(question) for question in questions]
        _check_solver_arguments(asked, proposer, tasks, search, reader, max_proposals)
        scenario = choose_scenario(scenario, tasks if search is None else tasks or asked, search, config)
        _check_solver_rules(scenario, proposer, reader)
        if proposer is None and not (asked or scenario.questions):
            raise ValueError("the scenario has no questions: give questions=, or a proposer that writes them")
        self._max_proposals = max_proposals
        self._questions: Sequence[Task] = () if proposer else asked or scenario.questions
        if reader is None and proposer is not None and scenario.is_terse:
            reader = LookupSolver()
        frozen: dict[Role, Policy] = {} if proposer is None else {"proposer": policy("proposer", proposer)}
        super().__init__(
            scenario.rules.seats[1],
            frozen,
            reader,
            scenario=scenario,
            judge=judge,
            render_mode=render_mode,
            max_action_chars=max_action_chars,
            max_prompt_chars=max_prompt_chars,
        )

    def _open(self, options: Mapping[str, Any]) -> None:
        task = given_task(options)
        if self._frozen:
            self._open_with_proposer(task)
        elif task is None:
            self._start(self._questions[int(self.np_random.integers(len(self._questions)))])
        elif task.question:
            self._start(task)
        else:
            raise ValueError("options['task'] needs a question where no proposer writes one")

    def _open_with_proposer(self, task: Task | None) -> None:
        reasons: Counter[str] = Counter()
        for _ in range(self._max_proposals):
            self._start(task)
            self._play_others()
            if not self._is_over():
                return
            game = self._env.game
            assert game.outcome is not None
            reasons[game.outcome.failure or game.outcome.reason] += 1
        counted = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
        raise RuntimeError(
            f"the proposer wrote no valid question in {self._max_proposals} games; reasons: {counted}"
        )


class ProposerEnv(_OneSeatEnv):
    """`SearchSelfPlay/Proposer-v0`: write questions that a frozen solver should fail to answer.

    Args:
        scenario: As for `raw_env`, like `tasks`, `search`, `config`, `judge`, `render_mode`,
            `max_action_chars` and `max_prompt_chars`.
        solver: Frozen player of every attempt; needed unless the world is terse, where a `LookupSolver` plays
            by default.
        reader: Frozen player that answers the RAG check; the solver by default.

    Raises:
        ValueError: If an argument is out of range, or two of them disagree.
        TypeError: If an argument has the wrong type.
    """

    def __init__(
        self,
        *,
        scenario: Scenario | str | None = None,
        tasks: Sequence[Task] | None = None,
        search: AnySearch | None = None,
        config: GameConfig | None = None,
        solver: Player | None = None,
        reader: Player | None = None,
        judge: JudgeFunction | None = None,
        render_mode: str | None = None,
        max_action_chars: int = MAX_ACTION_CHARS,
        max_prompt_chars: int = MAX_PROMPT_CHARS,
    ) -> None:
        if tasks is not None:
            tasks = [_without_question(task) if isinstance(task, Task) else task for task in tasks]
        scenario = choose_scenario(scenario, tasks, search, config)
        if solver is None and not scenario.is_terse:
            raise ValueError("a corpus of your own needs solver=: the default one knows terse worlds only")
        opponent = policy("solver", solver or LookupSolver())
        frozen: dict[Role, Policy] = {"reader": opponent, "solver": opponent}
        super().__init__(
            PROPOSER_SEAT,
            frozen,
            reader,
            scenario=scenario,
            judge=judge,
            render_mode=render_mode,
            max_action_chars=max_action_chars,
            max_prompt_chars=max_prompt_chars,
        )

    def _open(self, options: Mapping[str, Any]) -> None:
        task = given_task(options)
        self._start(None if task is None else _without_question(task))


def _as_task(question: Task | QuestionAndAnswer) -> Task:
    if isinstance(question, tuple) and len(question) == 2:
        text, answer = question
        question = Task(answer, question=text)
    if not isinstance(question, Task):
        raise TypeError(
            "questions must hold tasks with a question, or pairs of a question and its answer, "
            f"got {question!r}"
        )
    if not question.question:
        raise ValueError(f"questions must hold tasks with a question, got one without: {question!r}")
    return question


def _without_question(task: Task) -> Task:
    """The same task for a proposer; a known question would open the game after the proposer's part."""
    return replace(task, question="")


def _check_solver_arguments(
    questions: Sequence[Task] | None,
    proposer: Player | None,
    tasks: Sequence[Task] | None,
    search: AnySearch | None,
    reader: Player | None,
    max_proposals: int,
) -> None:
    if max_proposals < 1:
        raise ValueError(f"max_proposals must be at least 1, got {max_proposals}")
    if questions is not None and proposer is not None:
        raise ValueError("questions and proposer exclude each other: a question is given or written")
    if questions is not None and not questions:
        raise ValueError("questions needs at least one question, got none")
    if search is not None and questions is None and proposer is None:
        raise ValueError(
            "search needs questions, or a proposer and tasks: the default ones are of another corpus"
        )
    if proposer is None and (tasks is not None or reader is not None):
        raise ValueError("tasks and reader serve a proposer: they need proposer=")


def _check_solver_rules(scenario: Scenario, proposer: Player | None, reader: Player | None) -> None:
    rules = scenario.rules
    if rules.attempts != 1:
        raise ValueError(f"the agent is the one attempt: config.attempts must be 1, got {rules.attempts}")
    if proposer is not None and reader is None and rules.probes and not scenario.is_terse:
        raise ValueError(
            "a proposer with search needs reader=, who answers the RAG check, or rag_check=False"
        )
