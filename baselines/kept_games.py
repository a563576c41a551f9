"""Games that an interrupted measurement has finished: kept in a file, taken up instead of played again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssp_env.game import Game
from ssp_env.records import Episode, keep_episodes, read_episodes, retold


def take_up(path: Path, games: Sequence[Game], engine: str, beside: Mapping[str, Any]) -> list[Game]:
    """Return the games, those that the file holds finished; games that failed leave the file.

    Finished games still lend their evidence as noise, so that what is played now is as if nothing had
    happened. A torn last line is dropped.

    Args:
        path: Where games are kept; need not exist.
        games: Games as they open.
        engine: Fingerprint of the engine they are played over.
        beside: Who plays and how, as kept beside each game.

    Raises:
        ValueError: If the file holds a game of other rules, players, tasks or passages.
    """
    if not path.exists():
        return list(games)
    keep_episodes(path, lambda episode: episode.outcome is not None and episode.outcome["verdict"] != "error")
    kept = {episode.game_id: episode for episode in read_episodes(path)}
    for game in games:
        if game.id in kept and not _is_same(kept[game.id], game, engine, beside):
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
