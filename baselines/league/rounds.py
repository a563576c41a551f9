"""Plays a round robin: every proposer writes its questions once, and every solver answers all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from agents.player_names import PlayerOptions, Prompts
from agents.players import Cast
from agents.sampling_params import DEFAULT_TEMPERATURE
from baselines.evaluation.agent_measurement import drive, file_name, take_up
from baselines.league.cross_play import CrossPlay
from ssp_env.game import PROTOCOLS, Game, GameConfig, Task, View
from ssp_env.records import EpisodeWriter
from ssp_env.scenario import Scenario

NOTHING = "nobody"


def spread_tasks(opened: Sequence[Scenario], count: int, seed: int) -> tuple[dict[str, Scenario], list[Task]]:
    """Draw tasks evenly from scenarios; return these by `Task.corpus`, and the tasks."""
    scenarios = {str(number): scenario for number, scenario in enumerate(opened)}
    tasks = [
        replace(task, id=f"{key}/{task.id}", corpus=key)
        for number, (key, scenario) in enumerate(scenarios.items())
        if (share := count // len(opened) + (number < count % len(opened)))
        # Of equal worlds the same seed would draw the same places, and so the same numbers of hops.
        for task in scenario.draw_tasks(share, seed + number)
    ]
    return scenarios, tasks


@dataclass(frozen=True)
class Passes:
    """A solver that answers at once and wrongly, where only the proposer matters."""

    protocol: str

    def act(self, view: View) -> str:
        """Write an answer that no task has."""
        return PROTOCOLS[self.protocol].write("answer", NOTHING).text


@dataclass
class RoundRobin:
    """Who plays whom, over what.

    Attributes:
        scenarios: What is played in, by `Task.corpus`; the rules of all are the same.
        tasks: The tasks of every proposer.
        reader: Name of the reader of every RAG check, the same for all, so that a question is as valid for
            one solver as for another.
        folder: Where finished games are kept; an interrupted league goes on from them.
        seed: Seed of sampling, shuffles and noise.
        temperature: Sampling temperature of language models.
        max_new_tokens: Most tokens of a turn; None for what suits each model.
        players: Further options of the players.
    """

    scenarios: Mapping[str, Scenario]
    tasks: Sequence[Task]
    reader: str
    folder: Path
    seed: int = 0
    temperature: float = DEFAULT_TEMPERATURE
    max_new_tokens: int | None = None
    players: PlayerOptions = PlayerOptions()  # noqa: RUF009 - frozen
    _prompts: dict[str, str] = field(default_factory=dict)

    def play(
        self,
        proposers: Sequence[str],
        solvers: Sequence[str],
        advance: Callable[[str], None] = lambda name: None,
    ) -> CrossPlay:
        """Play every proposer against every solver.

        Args:
            proposers: Names of proposers.
            solvers: Names of solvers.
            advance: Called with what is being played whenever a game ends.

        Raises:
            ValueError: If a name is unknown or comes twice, players read different prompts, or the folder
                holds games of another league.
        """
        for names in (proposers, solvers):
            if twice := sorted({name for name in names if list(names).count(name) > 1}):
                raise ValueError(f"each player takes part once in a role, got {twice[0]} twice")
        points = np.full((len(proposers), len(solvers), len(self.tasks)), np.nan)
        valid = np.full((len(proposers), len(self.tasks)), np.nan)
        asked = [self.proposed(name, advance) for name in proposers]
        for row, games in enumerate(asked):
            for place, game in enumerate(games):
                if game.outcome and game.outcome.verdict != "error":
                    valid[row, place] = game.outcome.verdict == "valid"
        for column, solver in enumerate(solvers):
            solved = self.solved(solver, dict(zip(proposers, asked, strict=True)), advance)
            for row, rates in enumerate(solved):
                points[row, column] = np.where(valid[row] == 0, 1.0, rates)
        return CrossPlay(proposers, solvers, points, valid)

    def proposed(self, name: str, advance: Callable[[str], None] = lambda name: None) -> list[Game]:
        """Let a proposer write a question for every task, and the reader check it."""
        players = self._cast({"proposer": name, "reader": self.reader})
        rules = replace(self._rules(players), attempts=1, reward="1-acc")
        games = [
            Game(task, rules, self.seed + number, f"asked/{number}") for number, task in enumerate(self.tasks)
        ]
        by_role = {**players.players, "solver": Passes(rules.protocol)}
        names = {"proposer": name, "reader": self.reader}
        return self._kept(f"proposals/{file_name(name)}", games, names, by_role, lambda: advance(name))

    def solved(
        self,
        name: str,
        asked: Mapping[str, Sequence[Game]],
        advance: Callable[[str], None] = lambda name: None,
    ) -> list[list[float]]:
        """Let a solver answer every valid question.

        Args:
            name: Name of the solver.
            asked: The games of each proposer.
            advance: Called with the solver's name whenever a game ends.

        Returns:
            By proposer and task the share of right attempts; NaN if the question is invalid or the game
            failed.
        """
        players = self._cast({"solver": name})
        rules = self._rules(players)
        games, places = [], []
        for row, (proposer, proposed) in enumerate(asked.items()):
            for place, game in enumerate(proposed):
                if game.outcome and game.outcome.verdict == "valid":
                    task = replace(game.task, question=game.outcome.question)
                    games.append(Game(task, rules, self.seed + place, f"{file_name(proposer)}/{place}"))
                    places.append((row, place))
        by_role = {"proposer": players.players["solver"], **players.players}
        played = self._kept(
            f"solutions/{file_name(name)}", games, {"solver": name}, by_role, lambda: advance(name)
        )
        rates = [[float("nan")] * len(self.tasks) for _ in asked]
        for (row, place), game in zip(places, played, strict=True):
            if game.outcome and game.outcome.success_rate is not None:
                rates[row][place] = game.outcome.success_rate
        return rates

    def _cast(self, names: Mapping[str, str]) -> Cast:
        first = next(iter(self.scenarios.values()))
        style = cast(Prompts, next(iter(self._prompts.values()), first.rules.prompts))
        players = Cast(
            names,
            seed=self.seed,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            options=self.players,
            default_prompts=style,
        )
        who = " and ".join(f"{role} {name}" for role, name in names.items())
        self._prompts[who] = players.prompts
        if len(set(self._prompts.values())) > 1:
            other, other_style = next(iter(self._prompts.items()))
            raise ValueError(
                f"all players of a league read prompts of one style: {other} reads {other_style}, {who} "
                f"{players.prompts}; choose one for all with --prompts, or leave out one of them"
            )
        return players

    def _rules(self, players: Cast) -> GameConfig:
        return players.in_scenario(next(iter(self.scenarios.values()))).rules

    def _kept(
        self,
        file: str,
        games: Sequence[Game],
        names: Mapping[str, str],
        players: Mapping[str, Any],
        advance: Callable[[], None],
    ) -> list[Game]:
        """Play what is not yet in the file of these players, and keep it there."""
        path = self.folder / f"{file}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        engines = {key: scenario.engine for key, scenario in self.scenarios.items()}
        prints = {key: engine.fingerprint() for key, engine in engines.items()}
        beside = {"players": dict(names), "temperature": self.temperature}
        taken = take_up(path, games, prints, beside)
        for game in taken:
            if game.outcome:
                advance()

        def on_outcome(game: Game) -> None:
            writer.write(game, prints[game.task.corpus], beside)
            advance()

        with EpisodeWriter(path, append=True) as writer:
            drive(taken, players, None, search=engines, seed=self.seed, on_outcome=on_outcome)
        return taken
