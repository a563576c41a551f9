"""A game as plain data and back: what was asked is derived, so only what was answered is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from ssp_env.game.config import GameConfig, check_names
from ssp_env.game.passage import Passage
from ssp_env.game.plain import check_depth, check_plain
from ssp_env.game.requests import Failure, Result
from ssp_env.game.task import Task
from ssp_env.game.view import Reply, ToolCall, as_reply

SNAPSHOT_VERSION = 3

_PARTS: Mapping[str, Any] = {
    "game_id": str,
    "earlier": tuple[str, ...],
    "task": Task,
    "config": GameConfig,
    "inputs": tuple[Any, ...],
}
_RESULTS: Mapping[str, Any] = {
    "reply": Reply,
    "passages": tuple[Passage, ...],
    "failure": str,
    "verdict": bool,
}

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
        ValueError: If the version is another one, or a part does not have the type it should.
    """
    check_depth(data)
    if data.get("version") != SNAPSHOT_VERSION:
        raise ValueError(
            f"expected a game snapshot of version {SNAPSHOT_VERSION}, got {data.get('version')!r:.100}"
        )
    for name, hint in _PARTS.items():
        if name not in data:
            raise ValueError(f"expected a game snapshot, got one it cannot read: there is no {name!r}")
        if name == "config" and isinstance(data[name], Mapping):
            check_names(data[name], [option.name for option in fields(GameConfig)], "rule")
        check_plain(hint, data[name], name)
    if missing := [part.name for part in fields(Task) if part.name not in data["task"]]:
        raise ValueError(f"task: expected the key {missing[0]!r}, got none")
    task = Task(**{**data["task"], "aliases": tuple(data["task"]["aliases"])})
    inputs = [_decode_input(given, f"inputs[{place}]") for place, given in enumerate(data["inputs"])]
    # Games recorded before there was this rule were not judged by it.
    config = GameConfig.from_dict({"self_contained": False, **data["config"]})
    earlier = tuple(data["earlier"])
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


def _decode_input(given: object, where: str) -> tuple[str, Result]:
    if not isinstance(given, list | tuple) or len(given) != 2 or not isinstance(given[1], Mapping):
        raise ValueError(f"{where}: expected a request's id and its result, got {given!r:.100}")
    request_id, result = given
    check_plain(str, request_id, f"the id of {where}")
    if len(result) != 1 or (kind := next(iter(result))) not in _RESULTS:
        raise ValueError(f"{where}: expected one of {', '.join(_RESULTS)}, got {list(result)!r:.100}")
    check_plain(_RESULTS[kind], result[kind], f"{where}.{kind}")
    return request_id, _decode_result(result)


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
