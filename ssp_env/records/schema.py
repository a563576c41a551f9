"""The JSON Schema of a record, derived from the types of the game so that it grows with them."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ssp_env.game import GameConfig, Outcome, Reply, Task
from ssp_env.game.events import Event
from ssp_env.game.passage import Passage
from ssp_env.records.episode import SCHEMA_VERSION

_PRIMITIVES: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def episode_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line; the same as in `episode.schema.json`."""
    config = type_schema(GameConfig)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"ssp-env episode, schema {SCHEMA_VERSION}",
        **_closed(
            {
                "schema": {"const": SCHEMA_VERSION},
                "package": {"type": "string"},
                "game_id": {"type": "string"},
                "engine": {"type": "string"},
                "snapshot": _snapshot_schema(config),
                "events": {"type": "array", "items": {"anyOf": [_event(kind) for kind in get_args(Event)]}},
                "outcome": _or_null(type_schema(Outcome)),
                "extra": {"type": "object"},
                "scored_by": _or_null(
                    _closed(
                        {
                            "config": config,
                            "verdicts": _or_null({"type": "array", "items": _pair({"type": "boolean"})}),
                            "unknown": {"type": "string"},
                        }
                    )
                ),
            }
        ),
    }


def type_schema(hint: Any) -> dict[str, Any]:
    """Return the schema of what `to_plain` makes of a value of this type.

    Raises:
        TypeError: If there is no rule for the type.

    >>> type_schema(tuple[int, ...])
    {'type': 'array', 'items': {'type': 'integer'}}
    """
    if hint in _PRIMITIVES:
        return dict(_PRIMITIVES[hint])
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return _closed({field.name: type_schema(hints[field.name]) for field in fields(hint)})
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        # A function is written by its name.
        forms = [type_schema(argument) for argument in arguments if get_origin(argument) is not Callable]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": type_schema(arguments[1])}
    if isinstance(origin, type) and issubclass(origin, Sequence | Set):
        return {"type": "array", "items": type_schema(arguments[0])}
    raise TypeError(f"no JSON Schema for the type {hint!r}: add a rule to ssp_env.records.schema.type_schema")


def _snapshot_schema(config: dict[str, Any]) -> dict[str, Any]:
    # The game owns this form and its version; keys of its own are welcome.
    reply = type_schema(Reply)
    reply["required"] = [field.name for field in fields(Reply) if field.default is MISSING]
    results = {
        "reply": reply,
        "passages": {"type": "array", "items": type_schema(Passage)},
        "failure": {"type": "string"},
        "verdict": {"type": "boolean"},
    }
    properties = {
        "version": {"type": "integer"},
        "game_id": {"type": "string"},
        "earlier": {"type": "array", "items": {"type": "string"}},
        "task": type_schema(Task),
        "config": config,
        "seed": {"type": "integer"},
        "inputs": {
            "type": "array",
            "items": _pair({"anyOf": [_closed({name: form}) for name, form in results.items()]}),
        },
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _event(kind: type) -> dict[str, Any]:
    form = type_schema(kind)
    return _closed({"type": {"const": kind.__name__}, **form["properties"]})


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _pair(second: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "array",
        "prefixItems": [{"type": "string"}, dict(second)],
        "minItems": 2,
        "maxItems": 2,
    }


def _or_null(form: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(form), {"type": "null"}]}
