"""Dataclasses as plain JSON data, whatever fields they have, and that data as canonical text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any


def to_plain(value: object) -> Any:
    """Turn a value into what JSON can hold; a dataclass becomes an object of all its fields.

    Sets become sorted lists.

    Raises:
        TypeError: If JSON cannot hold the value.

    >>> from ssp_env.game.events import NoticeGiven
    >>> to_plain(NoticeGiven("solver_0", "malformed"))
    {'seat': 'solver_0', 'notice': 'malformed'}
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Set):
        return sorted(to_plain(item) for item in value)
    raise TypeError(f"expected data that JSON can hold, got {type(value).__name__}: {value!r}")


def typed_plain(value: object) -> dict[str, Any]:
    """Turn a dataclass into plain data that names its type.

    >>> from ssp_env.game.events import SeatForfeited
    >>> typed_plain(SeatForfeited("solver_0", "turn_limit"))
    {'type': 'SeatForfeited', 'seat': 'solver_0', 'code': 'turn_limit'}
    """
    return {"type": type(value).__name__, **to_plain(value)}


def json_line(data: Mapping[str, Any]) -> str:
    r"""Write data as one line of ASCII JSON: equal data give equal text, keys in the order they came.

    Raises:
        ValueError: If a number is infinite or NaN, which JSON has no name for.

    >>> json_line({"text": "é\n", "score": 0.1})
    '{"text": "\\u00e9\\n", "score": 0.1}'
    """
    return json.dumps(data, allow_nan=False)
