"""One seat of the game as environments of TRL's GRPOTrainer: it searches by a tool, and the game pays it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ssp_env.game import PROTOCOLS, Game, Reply, Search, Task, ToolCall, Turn
from ssp_env.game.passage import Passage
from ssp_env.game.requests import Failure, Request
from ssp_env.game.view import PROPOSER_SEAT, Role
from ssp_env.integrations.configured import configured_scenario
from ssp_env.integrations.libraries import check_version
from ssp_env.integrations.trl.search import described
from ssp_env.objects import missing_extra
from ssp_env.play import AnyPlayer, JudgeFunction, play, run_searches
from ssp_env.play.services import engine_of
from ssp_env.scenario import Scenario

TESTED = "1.16.0"
_SEATS: Mapping[str, str] = {"proposer": PROPOSER_SEAT, "solver": "solver_0"}


class GameEnvironments:
    """What TRL needs to train one role by tool calls: `GRPOTrainer(model, **environments.arguments)`.

    Every rollout is a game. The model calls the tool `search` and writes its question or answer between tags
    in its last message, as the prompt tells it; the rules of the game are the same as everywhere. When all
    rollouts of a batch have been generated, the other seats play: for the proposer the reader and the solver,
    all games together, so that their evidence is noise for each other.

    Args:
        scenario: What is played in, or its plain data (`Scenario.from_dict`). Its protocol becomes `openai`,
            whose searches are tool calls.
        role: Who is trained: `solver` is asked the scenario's known questions, `proposer` its answers.
        solver: Plays the attempts at a proposer's question.
        reader: Answers the RAG check of a proposer's question; the solver if None.
        judge: Judges answers, where the rules say so.
        tasks: Questions or answers in place of the scenario's.
        seed: Fixes shuffles and noise.

    Attributes:
        environment_factory: Makes one environment; TRL keeps and resets them.

    Raises:
        UnsupportedVersionError: If TRL is of another version.
        ValueError: If the scenario names no corpus, a seat has no model, or there is no question or answer.
    """

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any],
        role: Literal["proposer", "solver"] = "solver",
        *,
        solver: AnyPlayer | None = None,
        reader: AnyPlayer | None = None,
        judge: JudgeFunction | None = None,
        tasks: Sequence[Task] | None = None,
        seed: int = 0,
    ) -> None:
        check_trl()
        opened = configured_scenario(scenario, "the scenario")
        if opened.rules.prompts == "terse":
            raise ValueError("terse prompts know no tools: open the scenario with prompts='english'")
        if role not in _SEATS:
            raise ValueError(f"role must be proposer or solver, got {role!r}")
        if role == "proposer" and solver is None:
            raise ValueError(
                "nobody plays the solver: a proposer is paid by attempts at its question: solver="
            )
        changes: dict[str, Any] = {"protocol": "openai"} | ({"attempts": 1} if role == "solver" else {})
        self.scenario = opened.with_rules(changes)
        self.role: Role = role
        self.seed = seed
        self._solver, self._reader, self._judge = solver, reader, judge
        known = opened.questions if role == "solver" else opened.tasks
        self.tasks = list(known if tasks is None else tasks)
        if not self.tasks or any(bool(task.question) != (role == "solver") for task in self.tasks):
            kind = "questions" if role == "solver" else "answers without a question"
            raise ValueError(f"the {role} is trained on {kind}, and the scenario or tasks= must have some")
        self._opened = 0
        self.environment_factory: Callable[[], Any] = _environment_class(self)

    @property
    def arguments(self) -> dict[str, Any]:
        """What to pass to `GRPOTrainer` beside the model and its configuration."""
        return {
            "train_dataset": self.train_dataset(),
            "environment_factory": self.environment_factory,
            "reward_funcs": self.game_reward,
        }

    def train_dataset(self) -> Any:
        """Return the prompts as a `datasets.Dataset`; the column `task` says which game a row opens."""
        from datasets import Dataset

        rows = [
            {"prompt": _turn(self.open(number)).view.to_openai("user"), "task": number}
            for number in range(len(self.tasks))
        ]
        return Dataset.from_list(rows)

    def open(self, number: int) -> Game:
        """Open a game about the task of this number; each game has an id of its own."""
        self._opened += 1
        task = self.tasks[number]
        seed = self.seed + self._opened
        return Game(task, self.scenario.rules, seed, game_id=f"{task.id or number}/{self._opened}")

    def search(self, game: Game, request: Search) -> list[Passage] | Failure:
        """Answer a search of a game."""
        engine: Any = engine_of(game.task, self.scenario.search)
        return run_searches(engine, [request.query], request.top_k)[0]

    def game_reward(
        self, completions: Sequence[Any], environments: Sequence[Any], **_: Any
    ) -> list[float | None]:
        """Let every rollout say its last words and the others play; return what the trained seats are paid.

        A game that failed gives None, which TRL leaves out.
        """
        for environment, completion in zip(environments, completions, strict=True):
            environment._finish(completion)
        games = [environment._game for environment in environments]
        others: Any = self._solver if self.role == "proposer" else _nobody
        play(
            [game for game in games if game.outcome is None],
            solver=others,
            reader=self._reader,
            search=self.scenario.search,
            judge=self._judge,
            seed=self.seed,
        )
        return [_paid(game, _SEATS[self.role]) for game in games]


def check_trl() -> None:
    """Refuse a TRL that the adapters were not made for.

    Raises:
        UnsupportedVersionError: If it is of another version.
        ModuleNotFoundError: If it is not installed.
    """
    try:
        check_version("trl", at_least="1.16", below="2", tested=TESTED)
    except ModuleNotFoundError as error:
        raise missing_extra("trl", "trl") from error


def _nobody(view: Any) -> str:
    """The player of seats that do not exist: a known question has one attempt, and no reader."""
    raise LookupError(f"nobody plays {view.seat}")


def _paid(game: Game, seat: str) -> float | None:
    if game.outcome is None or game.outcome.verdict == "error":
        return None
    return game.outcome.rewards[seat]


def _turn(game: Game) -> Turn:
    turn = _open_turn(game.requests())
    assert turn is not None
    return turn


def _open_turn(requests: Sequence[Request]) -> Turn | None:
    return next((request for request in requests if isinstance(request, Turn)), None)


def _environment_class(environments: GameEnvironments) -> type[Any]:
    """Make the class whose public methods TRL shows the model as tools."""
    seat = _SEATS[environments.role]

    class GameEnvironment:
        """One seat of one game."""

        def __init__(self) -> None:
            self._game = environments.open(0)

        def reset(self, task: int | None = None, **row: object) -> None:
            """Open the game of a row of `GameEnvironments.train_dataset`."""
            if task is None:
                raise ValueError("a rollout needs a row of GameEnvironments.train_dataset(): no column task")
            self._game = environments.open(task)

        def search(self, query: str) -> str:
            turn = _own_turn(self._game, seat)
            if turn is None:
                return "The game is over. Finish without searching."
            call = ToolCall(f"call_{len(turn.view.messages)}", "search", json.dumps({"query": query}))
            self._game.submit(turn.id, Reply("", tool_calls=(call,)))
            for request in self._game.requests():
                if isinstance(request, Search) and request.seat == seat:
                    self._game.submit(request.id, environments.search(self._game, request))
            turn = _own_turn(self._game, seat)
            return "The game is over." if turn is None else turn.view.messages[-1].content

        def _finish(self, completion: Any) -> None:
            """Say the last message of a completion, and nothing more if that was no question or answer."""
            said = _last_words(completion)
            while (turn := _own_turn(self._game, seat)) is not None:
                self._game.submit(turn.id, said)
                said = ""

    shown = environments.scenario.rules.protocol
    described(GameEnvironment.search, PROTOCOLS[shown].tools()[0]["function"])
    return GameEnvironment


def _own_turn(game: Game, seat: str) -> Turn | None:
    turn = _open_turn(game.requests())
    return turn if turn is not None and turn.view.seat == seat else None


def _last_words(completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {}
    return str(last.get("content") or "") if last.get("role") == "assistant" else ""
