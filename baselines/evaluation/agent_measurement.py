"""Measures agents: each plays both roles over the same tasks and answers known questions; games are kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from agents.judges import judge_by_name
from agents.metering import Meter, metered
from agents.player_names import PlayerOptions, Prompts, default_max_new_tokens
from agents.players import Cast, names_by_role
from agents.sampling_params import DEFAULT_TEMPERATURE
from baselines.evaluation.agent_figures import AgentFigures, count_figures
from ssp_env.game import Game, GameConfig, Task
from ssp_env.objects import is_async
from ssp_env.play import AsyncJudgeFunction, JudgeFunction, is_async_agent, play, play_async
from ssp_env.records import Episode, EpisodeWriter, keep_episodes, read_episodes, retold
from ssp_env.scenario import Scenario

if TYPE_CHECKING:
    from agents.chat_endpoint import Ledger


@dataclass(frozen=True)
class AgentTasks:
    """Tasks that are the same for every agent.

    Attributes:
        scenario: What the games are played in.
        asked: Answers that the agents write questions for, one per game.
        known: Tasks with a question whose answer is known.
    """

    scenario: Scenario
    asked: Sequence[Task]
    known: Sequence[Task]

    @classmethod
    def draw(cls, scenario: Scenario, *, games: int, known: int, seed: int) -> AgentTasks:
        """Draw the tasks from a scenario; the seed determines which.

        Args:
            scenario: What the games are played in.
            games: Number of answers to draw.
            known: Number of known questions to draw.
            seed: Seed of the draw.

        Raises:
            ValueError: If the scenario has fewer known questions, or no answers.
        """
        asked = scenario.draw_tasks(games, seed) if games else []
        return cls(scenario, asked, scenario.draw_questions(known, seed) if known else [])

    def open_games(self, rules: GameConfig, seed: int) -> tuple[list[Game], list[Game]]:
        """Open the games in which an agent plays both roles, and those in which it only solves.

        Args:
            rules: The scenario's rules, with what the agent reads.
            seed: Seed of the shuffle of evidence and of the draw of noise.
        """
        scenario = self.scenario.with_rules(rules)
        asked = [replace(task, id=f"asked/{task.id}") for task in self.asked]
        known = [replace(task, id=f"known/{task.id}") for task in self.known]
        return scenario.games(asked, seed), scenario.games(known, seed)


class MadeAgent(NamedTuple):
    """What an agent is measured with.

    Attributes:
        cast: The agent in both roles, and its reader.
        rules: The rules of its games.
        judge: The judge of answers that fail exact match; None if the rules have none.
        ledger: Where its chat endpoints count their tokens; None if no endpoint plays.
    """

    cast: Cast
    rules: GameConfig
    judge: JudgeFunction | AsyncJudgeFunction | None
    ledger: Ledger | None


@dataclass(frozen=True)
class Measurement:
    """How agents are measured; the same for all of them.

    Attributes:
        tasks: The tasks that every agent plays.
        reader: Name of one reader for all agents; if empty, each agent reads itself, and `perfect` reads for
            scripted ones.
        judge: Name of the judge of answers that fail exact match; empty if the rules have none.
        seed: Seed of sampling, of the shuffle of evidence and of the draw of noise.
        temperature: Sampling temperature of language models.
        max_new_tokens: Most tokens of a turn of a language model; None means `default_max_new_tokens`.
        players: Further options of the players; its `sampling` and `ledger` are not used.
        folder: Folder in which every finished game is kept, so that an interrupted measurement can be
            continued; None keeps no games.
    """

    tasks: AgentTasks
    reader: str = ""
    judge: str = ""
    seed: int = 0
    temperature: float = DEFAULT_TEMPERATURE
    max_new_tokens: int | None = None
    players: PlayerOptions = PlayerOptions()  # noqa: RUF009 - frozen
    folder: Path | None = None

    def make(self, name: str) -> MadeAgent:
        """Make an agent, whoever reads for it, and the judge, which is the same for all agents.

        Args:
            name: Name of the agent; see `agents.player_names.possible_names`.

        Raises:
            ValueError: If the agent, the reader or the judge is unknown, or cannot play these games.
        """
        names = names_by_role(name, name, self.reader)
        ledger = _ledger(names)
        players = Cast(
            names,
            seed=self.seed,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            options=replace(self.players, ledger=ledger),
            default_prompts=cast(Prompts, self.tasks.scenario.rules.prompts),
        )
        return MadeAgent(players, players.in_scenario(self.tasks.scenario).rules, self._judge, ledger)

    def run(
        self,
        name: str,
        advance: Callable[[], None] = lambda: None,
        made: MadeAgent | None = None,
    ) -> AgentFigures:
        """Let one agent play all games, and return its figures.

        Args:
            name: Name of the agent; see `agents.player_names.possible_names`.
            advance: Called whenever a game ends, and once for every game that was kept.
            made: What `make` returned for the agent; it is made now if None.

        Raises:
            ValueError: If the agent is unknown, if it cannot play these games, or if the folder holds games
                of this agent that were played with other options.
        """
        names = names_by_role(name, name, self.reader)
        players, rules, judge, ledger = made or self.make(name)
        asked, known = self.tasks.open_games(rules, self.seed)
        meter = Meter()
        # Another reader's tokens and time are not the agent's.
        own = [players.players[role] for role in ("proposer", "solver")]
        measured = {id(player): metered(player, meter) for player in own}
        by_role = {role: measured.get(id(player), player) for role, player in players.players.items()}
        games = self._play(names, [*asked, *known], by_role, judge, advance)
        # Chat endpoints return no token ids, but report how many there were.
        tokens = meter.tokens or _tokens_of_endpoints(ledger, reads="reader" not in names)
        figures = count_figures(
            games[: len(asked)], games[len(asked) :], tokens=tokens, seconds=meter.seconds
        )
        model, back_end = players.sources["solver"]
        return replace(figures, model=model, back_end=back_end)

    def options(self) -> dict[str, Any]:
        """Return the options that the figures depend on, as plain data."""
        scenario = self.tasks.scenario
        return {
            "reader": self.reader or "each player itself",
            "judge": self.judge or "exact match alone",
            "attempts": scenario.rules.attempts,
            "max_turns": scenario.rules.solver.max_turns,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens or "what suits each player",
            "prompts": self.players.prompts or "what suits each player",
            "engine": scenario.engine.fingerprint(),
        }

    @cached_property
    def _judge(self) -> JudgeFunction | AsyncJudgeFunction | None:
        return judge_by_name(self.judge, self.players) if self.judge else None

    def _play(
        self,
        names: Mapping[str, str],
        games: Sequence[Game],
        players: Mapping[str, Any],
        judge: JudgeFunction | AsyncJudgeFunction | None,
        advance: Callable[[], None],
    ) -> list[Game]:
        engine = self.tasks.scenario.engine
        fingerprint = engine.fingerprint()
        path = None if self.folder is None else self.folder / f"{file_name(names['proposer'])}.jsonl"
        limit = self.max_new_tokens or default_max_new_tokens(names["proposer"])
        beside = {"players": dict(names), "temperature": self.temperature, "max_new_tokens": limit}
        if self.judge:
            beside["judge"] = self.judge
        taken = list(games) if path is None else take_up(path, games, fingerprint, beside)
        for _ in filter(lambda game: game.outcome, taken):
            advance()
        writer = None if path is None else EpisodeWriter(path, append=True)

        def on_outcome(game: Game) -> None:
            if writer is not None:
                writer.write(game, fingerprint, beside)
            advance()

        try:
            drive(taken, players, judge, search=engine, seed=self.seed, on_outcome=on_outcome)
        finally:
            if writer is not None:
                writer.close()
        return taken


def _ledger(names: Mapping[str, str]) -> Ledger | None:
    """Return the ledger in which chat endpoints count their tokens; None if no endpoint plays."""
    if not any(name.startswith("chat:") for name in names.values()):
        return None
    from agents.chat_endpoint import Ledger

    return Ledger()


def _tokens_of_endpoints(ledger: Ledger | None, *, reads: bool) -> int:
    """Return the tokens sampled in both roles, and by the reader if the agent reads itself."""
    used = {} if ledger is None else ledger.usage
    return sum(usage.completion_tokens for (role, _), usage in used.items() if reads or role != "reader")


def drive(games: Sequence[Game], players: Mapping[str, Any], judge: Any, **options: Any) -> None:
    """Play all games, with asyncio if a player or the judge is asynchronous."""
    if any(map(is_async_agent, players.values())) or is_async(judge):
        asyncio.run(play_async(games, **players, judge=judge, **options))
    else:
        play(games, **players, judge=judge, **options)


def file_name(player: str) -> str:
    """Return a player's name as a file name.

    >>> file_name("runs/tiny/final")
    'runs-tiny-final'
    """
    return re.sub(r"[^\w.]+", "-", player).strip("-.") or "player"


# -- games that an interrupted measurement has finished ------------------------------------------------


def take_up(
    path: Path, games: Sequence[Game], engine: str | Mapping[str, str], beside: Mapping[str, Any]
) -> list[Game]:
    """Return the games, with those that the file holds as they ended; failed games are removed from the file.

    Finished games still lend their evidence as noise, so that the other games go as they would have gone
    without the interruption. A torn last line is dropped.

    Args:
        path: File in which games are kept; it need not exist.
        games: All games, as they open.
        engine: Fingerprint of the search engine, or fingerprints by `Task.corpus`.
        beside: Players and sampling options, as they are recorded beside each game.

    Raises:
        ValueError: If the file holds a game of other rules, players, tasks or passages.
    """
    if not path.exists():
        return list(games)
    keep_episodes(path, lambda episode: episode.outcome is not None and episode.outcome["verdict"] != "error")
    kept = {episode.game_id: episode for episode in read_episodes(path)}
    for game in games:
        searched = engine if isinstance(engine, str) else engine[game.task.corpus]
        if game.id in kept and not _is_same(kept[game.id], game, searched, beside):
            raise ValueError(
                f"{path} holds game {game.id!r} played under other rules, by other players or over other "
                "passages: repeat the options it was begun with, or choose another folder"
            )
    return [retold(kept[game.id]).game if game.id in kept else game for game in games]


def _is_same(kept: Episode, game: Game, engine: str, beside: Mapping[str, Any]) -> bool:
    opening = kept.opening()
    return (
        _without_inputs(opening) == _without_inputs(game) and kept.engine == engine and kept.extra == beside
    )


def _without_inputs(game: Game) -> dict[str, Any]:
    return {**game.snapshot(), "inputs": []}
