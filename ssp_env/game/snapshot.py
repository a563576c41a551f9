"""A game as plain data and back: what was asked is derived, so only what was answered is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ssp_env.game.config import GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.requests import Failure, Result
from ssp_env.game.task import Task
from ssp_env.game.view import Reply, ToolCall, as_reply

SNAPSHOT_VERSION = 3

Decoded = tuple[Task, GameConfig, int, str, tuple[str, ...], list[tuple[str, Result]]]


def encode(
    task: Task,
    config: GameConfig,
    seed: int,
    game_id: str,
    earlier: Sequence[str],
    inputs: Sequence[tuple[str, Result]],
) -> dict[str, Any]:
    """Turn a game into JSON-compatible data."""
    return {
        "version": SNAPSHOT_VERSION,
        "game_id": game_id,
        "earlier": list(earlier),
        "task": {**asdict(task), "aliases": list(task.aliases)},
        "config": config.to_dict(),
        "seed": seed,
        "inputs": [[request_id, _encode_result(result)] for request_id, result in inputs],
    }


def decode(data: Mapping[str, Any]) -> Decoded:
    """Invert `encode`.

    Raises:
        ValueError: If the version is another one.
    """
    if data.get("version") != SNAPSHOT_VERSION:
        raise ValueError(
            f"expected a game snapshot of version {SNAPSHOT_VERSION}, got {data.get('version')!r}"
        )
    task = Task(**{**data["task"], "aliases": tuple(data["task"]["aliases"])})
    inputs = [(request_id, _decode_result(result)) for request_id, result in data["inputs"]]
    config, earlier = GameConfig.from_dict(data["config"]), tuple(data["earlier"])
    return task, config, data["seed"], data["game_id"], earlier, inputs


def _encode_result(result: Result) -> dict[str, Any]:
    if isinstance(result, str | Reply):
        return {
            "reply": {key: value for key, value in asdict(as_reply(result)).items() if value or key == "text"}
        }
    if isinstance(result, list):
        return {"passages": [asdict(passage) for passage in result]}
    if isinstance(result, Failure):
        return {"failure": result.detail}
    return {"verdict": result}


def _decode_result(data: Mapping[str, Any]) -> Result:
    if "reply" in data:
        reply = data["reply"]
        # Numbers come as lists, words as they are.
        written: dict[str, Any] = {
            key: value if isinstance(value, str) else tuple(value)
            for key, value in reply.items()
            if key != "tool_calls"
        }
        return Reply(tool_calls=tuple(ToolCall(**call) for call in reply.get("tool_calls", ())), **written)
    if "passages" in data:
        return [Passage(**passage) for passage in data["passages"]]
    if "failure" in data:
        return Failure(data["failure"])
    return bool(data["verdict"])
