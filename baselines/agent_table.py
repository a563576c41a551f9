"""Agents side by side: each plays both roles over the same tasks, and answers the same known questions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from agents.players import Cast
from agents.scripted import SCRIPTED
from agents.setting import rules
from baselines.agent_figures import AgentFigures, count_figures
from baselines.agent_tasks import AgentTasks
from baselines.kept_games import take_up
from baselines.metered import WorkMeter, metered
from ssp_env.coroutines import is_async
from ssp_env.game import Game, GameConfig
from ssp_env.play import play, play_async
from ssp_env.records import EpisodeWriter

CAPTION = (
    "valid tags: turns with a complete action; searches: mean per game; own solved: attempts at the player's "
    "own valid questions; known solved: attempts at given questions; errors: games that failed, in no other "
    "count of games; in brackets 95 % Wilson intervals"
)


@dataclass(frozen=True)
class Measurement:
    """How agents are measured; the same for all of them.

    Attributes:
        tasks: What they ask for and are asked.
        config: Rules, which are fitted to each agent's prompt style.
        reader: Name of the reader of all agents; empty if each one reads itself (a scripted one: `perfect`).
        seed: Of sampling, of the shuffle of evidence and of the draw of noise.
        temperature: Of language models.
        prompts: Prompt style of language models; empty for the one that suits each.
        folder: Where every finished game is kept, so that an interrupted measurement goes on; None for
            nowhere.
    """

    tasks: AgentTasks
    config: GameConfig
    reader: str = ""
    seed: int = 0
    temperature: float = 0.7
    prompts: str = ""
    folder: Path | None = None

    def run(self, name: str, advance: Callable[[], None] = lambda: None) -> AgentFigures:
        """Let one agent play.

        Args:
            name: The agent, as `Cast` knows players.
            advance: Called whenever a game ends, and for every game that was kept.

        Raises:
            ValueError: If the agent is unknown, cannot play these games or began them under other options.
        """
        names = self._cast_of(name)
        cast = Cast(names, seed=self.seed, temperature=self.temperature)
        # Terse players understand no other style.
        style = cast.prompts if cast.prompts == "terse" else self.prompts or cast.prompts
        config = rules(style, self.tasks.setting.terse, self.config)
        asked, known = self.tasks.open_games(config, self.seed)
        meter = WorkMeter()
        # What another reader does is not the agent's work.
        own = [cast.players[role] for role in ("proposer", "solver")]
        measured = {id(player): metered(player, meter) for player in own}
        players = {role: measured.get(id(player), player) for role, player in cast.players.items()}
        games = self._play(names, [*asked, *known], players, advance)
        return count_figures(
            games[: len(asked)], games[len(asked) :], tokens=meter.tokens, seconds=meter.seconds
        )

    def options(self) -> dict[str, Any]:
        """What else a reader of the figures must know, as plain data."""
        return {
            "reader": self.reader or "each player itself",
            "attempts": self.config.attempts,
            "max_turns": self.config.solver.max_turns,
            "temperature": self.temperature,
            "prompts": self.prompts or "what suits each player",
            "engine": self.tasks.setting.engine.fingerprint(),
        }

    def _cast_of(self, name: str) -> dict[str, str]:
        reader = self.reader or ("perfect" if name in SCRIPTED["solver"] else "")
        return {"proposer": name, "solver": name, **({"reader": reader} if reader else {})}

    def _play(
        self,
        names: Mapping[str, str],
        games: Sequence[Game],
        players: Mapping[str, Any],
        advance: Callable[[], None],
    ) -> list[Game]:
        engine = self.tasks.setting.engine
        fingerprint = engine.fingerprint()
        path = None if self.folder is None else self.folder / f"{file_name(names['proposer'])}.jsonl"
        taken = list(games) if path is None else take_up(path, games, fingerprint, names)
        for _ in filter(lambda game: game.outcome, taken):
            advance()
        writer = None if path is None else EpisodeWriter(path, append=True)

        def on_outcome(game: Game) -> None:
            if writer is not None:
                writer.write(game, fingerprint, {"players": dict(names)})
            advance()

        try:
            _drive(taken, players, search=engine, seed=self.seed, on_outcome=on_outcome)
        finally:
            if writer is not None:
                writer.close()
        return taken


def _drive(games: Sequence[Game], players: Mapping[str, Any], **options: Any) -> None:
    """Play with asyncio if a player needs it."""
    acts = [getattr(player, "act_batch", None) or player.act for player in players.values()]
    if any(map(is_async, acts)):
        asyncio.run(play_async(games, **players, **options))
    else:
        play(games, **players, **options)


def file_name(player: str) -> str:
    """Return a player's name as a file name.

    >>> file_name("runs/tiny/final")
    'runs-tiny-final'
    """
    return re.sub(r"[^\w.]+", "-", player).strip("-.") or "player"


def model_and_back_end(player: str) -> tuple[str, str]:
    """Split a player's name into its model and what runs it.

    >>> model_and_back_end("vllm:smollm2"), model_and_back_end("smollm2"), model_and_back_end("weak")
    (('smollm2', 'vllm'), ('smollm2', 'transformers'), ('weak', 'scripted'))
    """
    if player in SCRIPTED["solver"]:
        return player, "scripted"
    back_end, colon, model = player.partition(":")
    return (
        (model, back_end) if colon and back_end.isalnum() and len(back_end) > 1 else (player, "transformers")
    )


def agent_table(rows: Mapping[str, AgentFigures], title: str) -> Table:
    """Return the figures of all agents as a table, with 95 % Wilson intervals.

    Args:
        rows: Figures by player.
        title: What was played.
    """
    table = Table(title=title, title_justify="left", caption=CAPTION, caption_justify="left")
    for heading in ("model", "back end"):
        table.add_column(heading)
    for heading in (
        "valid tags",
        "searches",
        "valid questions",
        "own solved",
        "known solved",
        "errors",
        "tokens/s",
    ):
        table.add_column(heading, justify="right")
    for player, figures in rows.items():
        table.add_row(
            *model_and_back_end(player),
            str(figures.valid_tags),
            f"{_number(figures.proposer_searches)} asking\n{_number(figures.solver_searches)} solving",
            str(figures.valid_questions),
            str(figures.solved),
            str(figures.known_solved),
            str(figures.errors),
            "-" if figures.tokens_per_second is None else f"{figures.tokens_per_second:,.0f}",
        )
    return table


def table_data(rows: Mapping[str, AgentFigures], **what: Any) -> dict[str, Any]:
    """Return the table as plain data, with what was played beside it."""
    agents = []
    for player, figures in rows.items():
        model, back_end = model_and_back_end(player)
        agents.append({"player": player, "model": model, "back_end": back_end, **figures.to_dict()})
    return {**what, "agents": agents}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
