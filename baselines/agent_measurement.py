"""An agent measured: it plays both roles over given tasks and answers known questions; its games are kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.metering import Meter, metered
from agents.player_names import PlayerOptions, default_max_new_tokens
from agents.players import Cast, names_by_role
from agents.sampling_params import DEFAULT_TEMPERATURE
from baselines.agent_figures import AgentFigures, count_figures
from baselines.agent_tasks import AgentTasks
from baselines.kept_games import take_up
from ssp_env.game import Game
from ssp_env.play import is_async_agent, play, play_async
from ssp_env.records import EpisodeWriter

if TYPE_CHECKING:
    from agents.chat_endpoint import Ledger


@dataclass(frozen=True)
class Measurement:
    """How agents are measured; the same for all of them.

    Attributes:
        tasks: What they ask for and are asked.
        reader: Name of the reader of all agents; empty if each one reads itself (a scripted one: `perfect`).
        seed: Of sampling, of the shuffle of evidence and of the draw of noise.
        temperature: Of language models.
        max_new_tokens: Most tokens of a turn of a language model; see `default_max_new_tokens` for None.
        players: What else players are told; its `sampling` and `ledger` are not used.
        folder: Where every finished game is kept, so that an interrupted measurement goes on; None for
            nowhere.
    """

    tasks: AgentTasks
    reader: str = ""
    seed: int = 0
    temperature: float = DEFAULT_TEMPERATURE
    max_new_tokens: int | None = None
    players: PlayerOptions = PlayerOptions()  # noqa: RUF009 - frozen
    folder: Path | None = None

    def run(self, name: str, advance: Callable[[], None] = lambda: None) -> AgentFigures:
        """Let one agent play.

        Args:
            name: The agent, as `Cast` knows players.
            advance: Called whenever a game ends, and for every game that was kept.

        Raises:
            ValueError: If the agent is unknown, cannot play these games or began them under other options.
        """
        names = names_by_role(name, name, self.reader)
        ledger = _ledger(names)
        cast = Cast(
            names,
            seed=self.seed,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            options=replace(self.players, ledger=ledger),
            default_prompts="terse" if self.tasks.scenario.is_terse else "english",
        )
        asked, known = self.tasks.open_games(cast.prompts, self.seed)
        meter = Meter()
        # What another reader does is not the agent's work.
        own = [cast.players[role] for role in ("proposer", "solver")]
        measured = {id(player): metered(player, meter) for player in own}
        players = {role: measured.get(id(player), player) for role, player in cast.players.items()}
        games = self._play(names, [*asked, *known], players, advance)
        # Endpoints give no tokens, but count them.
        tokens = meter.tokens or _tokens_of_endpoints(ledger, reads="reader" not in names)
        figures = count_figures(
            games[: len(asked)], games[len(asked) :], tokens=tokens, seconds=meter.seconds
        )
        model, back_end = cast.sources["solver"]
        return replace(figures, model=model, back_end=back_end)

    def options(self) -> dict[str, Any]:
        """What else a reader of the figures must know, as plain data."""
        scenario = self.tasks.scenario
        return {
            "reader": self.reader or "each player itself",
            "attempts": scenario.rules.attempts,
            "max_turns": scenario.rules.solver.max_turns,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens or "what suits each player",
            "prompts": self.players.prompts or "what suits each player",
            "engine": scenario.engine.fingerprint(),
        }

    def _play(
        self,
        names: Mapping[str, str],
        games: Sequence[Game],
        players: Mapping[str, Any],
        advance: Callable[[], None],
    ) -> list[Game]:
        engine = self.tasks.scenario.engine
        fingerprint = engine.fingerprint()
        path = None if self.folder is None else self.folder / f"{file_name(names['proposer'])}.jsonl"
        limit = self.max_new_tokens or default_max_new_tokens(names["proposer"])
        beside = {"players": dict(names), "temperature": self.temperature, "max_new_tokens": limit}
        taken = list(games) if path is None else take_up(path, games, fingerprint, beside)
        for _ in filter(lambda game: game.outcome, taken):
            advance()
        writer = None if path is None else EpisodeWriter(path, append=True)

        def on_outcome(game: Game) -> None:
            if writer is not None:
                writer.write(game, fingerprint, beside)
            advance()

        try:
            _drive(taken, players, search=engine, seed=self.seed, on_outcome=on_outcome)
        finally:
            if writer is not None:
                writer.close()
        return taken


def _ledger(names: Mapping[str, str]) -> Ledger | None:
    """Where endpoints count what they do, if any is to play."""
    if not any(name.startswith("chat:") for name in names.values()):
        return None
    from agents.chat_endpoint import Ledger

    return Ledger()


def _tokens_of_endpoints(ledger: Ledger | None, *, reads: bool) -> int:
    """Tokens written in both roles, and as the reader if the agent itself reads."""
    used = {} if ledger is None else ledger.usage
    return sum(usage.completion_tokens for (role, _), usage in used.items() if reads or role != "reader")


def _drive(games: Sequence[Game], players: Mapping[str, Any], **options: Any) -> None:
    """Play with asyncio if a player needs it."""
    if any(map(is_async_agent, players.values())):
        asyncio.run(play_async(games, **players, **options))
    else:
        play(games, **players, **options)


def file_name(player: str) -> str:
    """Return a player's name as a file name.

    >>> file_name("runs/tiny/final")
    'runs-tiny-final'
    """
    return re.sub(r"[^\w.]+", "-", player).strip("-.") or "player"
