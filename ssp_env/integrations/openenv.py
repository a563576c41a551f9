"""The game as an OpenEnv environment and its server: `ssp serve --openenv`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, get_args
from uuid import uuid4

import ssp_env
from ssp_env.envs.aec import raw_env
from ssp_env.envs.single_agent import ProposerEnv, SolverEnv
from ssp_env.game import Task
from ssp_env.game.config import check_names
from ssp_env.integrations.libraries import check_version
from ssp_env.objects import missing_extra
from ssp_env.play import AnyPlayer, JudgeFunction
from ssp_env.scenario import Scenario
from ssp_env.serve.access import Limits, protected

try:
    from openenv.core.client_types import StepResult
    from openenv.core.env_client import EnvClient
    from openenv.core.env_server.http_server import create_fastapi_app
    from openenv.core.env_server.interfaces import Environment
    from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, State
    from pydantic import Field
    from starlette.types import ASGIApp
except ImportError as error:
    raise missing_extra("openenv", "openenv") from error

check_version("openenv", at_least="0.10", below="0.11", tested="0.10.0")

Role: TypeAlias = Literal["solver", "proposer", "all"]
"""Who the client plays: one role, while the server plays the other, or every seat of the game."""
DEFAULT_SESSIONS = 64


class GameAction(Action):
    """What the seat on turn writes."""

    text: str = Field(description="A search, a question or an answer, in the tags that the prompt explains.")


class GameObservation(Observation):
    """What the seat on turn knows; once the game is over, how it ended.

    `reward` is that of the role the client plays. A client that plays every seat finds its rewards in
    `rewards`. Where `failure` says that a search or a player broke down, nobody is paid and the episode is no
    experience to learn from.
    """

    seat: str = Field("", description="Who is on turn; empty once the game is over.")
    messages: list[dict[str, Any]] = Field([], description="That seat's conversation, as chat messages.")
    turns_left: int = 0
    searches_left: int = 0
    rewards: dict[str, float] = Field({}, description="Rewards by seat, of the seats the client plays.")
    verdict: str | None = None
    reason: str | None = None
    success_rate: float | None = None
    failure: str | None = None


class GameState(State):
    """Where an episode stands; nothing that a seat may not know."""

    seat: str = ""


class SearchSelfPlay(Environment):
    """One session of the server: a game at a time.

    Args:
        scenario: Engine, tasks and rules, which sessions share.
        role: Who the client plays.
        solver: Frozen player of every attempt, for a client that is the proposer; see `ProposerEnv`.
        judge: Decides answers that fail exact match, if the rules ask for it.

    Raises:
        ValueError: If the scenario has no questions for a solver, or no player for the other seat.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(
        self,
        scenario: Scenario,
        role: Role = "solver",
        solver: AnyPlayer | None = None,
        judge: JudgeFunction | None = None,
    ) -> None:
        super().__init__()
        self._role, self._scenario = role, scenario
        self._env: Any
        if role == "solver":
            self._env = SolverEnv(scenario=scenario, judge=judge)
        elif role == "proposer":
            self._env = ProposerEnv(scenario=scenario, solver=solver, judge=judge)
        else:
            self._env = raw_env(scenario=scenario, judge=judge)
        self._state = GameState()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **row: Any) -> GameObservation:
        """Start a game: the same one for the same seed, and of the task at `index` if that is given.

        Raises:
            ValueError: If `row` has another key than `split` and `index`, or there is no such split.
            IndexError: If there is no task of this index.
        """
        check_names(row, ("split", "index"), "argument of reset")
        task = None if "index" not in row else self._task(row.get("split", self._split), row["index"])
        self._env.reset(seed=seed, options={"task": task})
        self._state = GameState(episode_id=episode_id or str(uuid4()))
        return self._turn()

    def step(self, action: GameAction, timeout_s: float | None = None, **_: Any) -> GameObservation:
        """Let the seat on turn write, and play on to the next turn of the client.

        Raises:
            gymnasium.error.ResetNeeded: If no game is going on.
        """
        if self._role == "all":
            return self._step_all(action.text)
        _, reward, terminated, truncated, info = self._env.step(action.text)
        self._state.step_count += 1
        if not (terminated or truncated):
            return self._turn()
        return self._end({self._state.seat: reward}, info, reward)

    @property
    def state(self) -> GameState:
        """Where the episode stands."""
        return self._state

    def get_metadata(self) -> EnvironmentMetadata:
        """Return the name, the description and the version of the environment."""
        described = f"Search self-play over {self._scenario.description}; the client plays {self._role}"
        return EnvironmentMetadata(
            name="search_self_play", description=described, version=ssp_env.__version__
        )

    # -- tasks, which name no answer to a solver ---------------------------------------------------------

    def list_splits(self) -> list[str]:
        """Return the one split: that of the world."""
        return [self._split]

    def num_tasks(self, split: str) -> int:
        """Count the tasks.

        Raises:
            ValueError: If there is no such split.
        """
        self._check_split(split)
        return len(self._tasks)

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """Describe all tasks.

        Raises:
            ValueError: If there is no such split.
        """
        return self.get_task_range(split)

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """Describe one task by what the client's first seat is told.

        Raises:
            ValueError: If there is no such split.
            IndexError: If there is no task of this index.
        """
        task = self._task(split, index)
        asked = {"question": task.question} if self._role == "solver" else {"answer": task.answer}
        return {"index": index, "hops": task.hops, **asked}

    def get_task_range(
        self, split: str, start: int | None = None, stop: int | None = None
    ) -> list[dict[str, Any]]:
        """Describe the tasks of a slice.

        Raises:
            ValueError: If there is no such split.
        """
        chosen = range(self.num_tasks(split))[start:stop]
        return [self.get_task(split, index) for index in chosen]

    # -- the rest ----------------------------------------------------------------------------------------

    @property
    def _split(self) -> str:
        return self._scenario.config.split

    @property
    def _tasks(self) -> Sequence[Task]:
        return self._scenario.questions if self._role == "solver" else self._scenario.tasks

    def _check_split(self, split: str) -> None:
        if split != self._split:
            raise ValueError(f"expected the split {self._split!r}, got {split!r}")

    def _task(self, split: str, index: int) -> Task:
        count = self.num_tasks(split)
        if type(index) is not int or not 0 <= index < count:
            raise IndexError(f"expected the index of a task, from 0 to {count - 1}, got {index!r}")
        return self._tasks[index]

    def _step_all(self, text: str) -> GameObservation:
        env = self._env
        env.step(text)
        self._state.step_count += 1
        seat = env.agent_selection
        if not (env.terminations[seat] or env.truncations[seat]):
            return self._turn()
        return self._end(dict(env.rewards), env.infos[seat], None)

    def _turn(self) -> GameObservation:
        view = self._env.view
        self._state.seat = view.seat
        return GameObservation(
            seat=view.seat,
            messages=view.to_openai("user"),
            turns_left=view.turns_left,
            searches_left=view.searches_left,
        )

    def _end(self, rewards: dict[str, float], info: dict[str, Any], reward: float | None) -> GameObservation:
        self._state.seat = ""
        told = {name: info[name] for name in ("verdict", "reason", "success_rate", "failure")}
        return GameObservation(done=True, reward=reward, rewards=rewards, **told)


class SearchSelfPlayClient(EnvClient[GameAction, GameObservation, GameState]):
    """OpenEnv's client with our types: `SearchSelfPlayClient(base_url=...).sync()` in blocking code."""

    def _step_payload(self, action: GameAction) -> dict[str, Any]:
        return dict(action.model_dump())

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[GameObservation]:
        told = {name: payload.get(name) for name in ("reward", "done")}
        return StepResult(GameObservation(**payload["observation"], **told), **told)

    def _parse_state(self, payload: dict[str, Any]) -> GameState:
        return GameState(**payload)


def build_openenv_app(
    scenario: Scenario,
    *,
    role: Role = "solver",
    solver: AnyPlayer | None = None,
    judge: JudgeFunction | None = None,
    sessions: int = DEFAULT_SESSIONS,
    limits: Limits | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
) -> ASGIApp:
    """Return the ASGI application of an OpenEnv server; its sessions are independent games.

    Sessions call the engine from several threads at a time, for which the engines of this package are safe.

    Args:
        scenario: What is played in.
        role: Who clients play.
        solver: As for `SearchSelfPlay`.
        judge: As for `SearchSelfPlay`.
        sessions: Most games at a time.
        limits: Size and time of bodies.
        token: Bearer token that clients must send.
        host: Address of the server; at loopback, requests of web pages of other machines are refused.

    Raises:
        ValueError: If an argument is out of range, or the scenario has no game for this role; a game is
            opened to find out before a client connects.
    """
    if role not in get_args(Role):
        raise ValueError(f"role must be one of {', '.join(get_args(Role))}, got {role!r}")
    make = partial(SearchSelfPlay, scenario, role, solver, judge)
    make().reset(seed=0)
    app: ASGIApp = create_fastapi_app(
        make, GameAction, GameObservation, sessions, env_name="search_self_play", state_cls=GameState
    )
    return protected(app, limits or Limits(), token, host)
