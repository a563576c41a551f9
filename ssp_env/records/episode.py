"""One finished game as data: how it is written as a line of JSON, and the JSON Schema of such a line."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import ssp_env
from ssp_env.data.lines import shown
from ssp_env.game import Game, GameConfig, Outcome, Reply, Task
from ssp_env.game.events import Event
from ssp_env.game.passage import Passage
from ssp_env.game.plain import check_depth, check_plain

SCHEMA_VERSION = 2
"""Version of the format of a line, increased when readers of the old format would misread the new one."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A record of one game; the keys of its line are these attributes.

    Attributes:
        schema: Version of this format, `SCHEMA_VERSION`.
        package: Version of ssp-env that wrote the record.
        game_id: The game's id.
        engine: Fingerprint of the search engine the game was played over; empty if unknown.
        snapshot: Task, rules, seed and every result submitted, from which the game is replayed.
        events: The events of the game, with their types, as a replay of the snapshot gives them.
        outcome: The outcome; None only if the game was scored again and the record does not determine it.
        extra: Plain data of the writer's own, for example the training step.
        scored_by: The rules and verdicts by which `rescore` got these events and this outcome; None for a
            game as it was played.
    """

    schema: int
    package: str
    game_id: str
    engine: str
    snapshot: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    outcome: Mapping[str, Any] | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    scored_by: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, game: Game, engine: str = "", extra: Mapping[str, Any] | None = None) -> Episode:
        """Record a finished game.

        Args:
            game: The game.
            engine: Fingerprint of the engine it was played over.
            extra: Plain data of your own.

        Raises:
            ValueError: If the game is not over.
        """
        if game.outcome is None:
            raise ValueError(f"only a finished game is an episode, game {game.id!r} is in phase {game.phase}")
        return cls(
            schema=SCHEMA_VERSION,
            package=ssp_env.__version__,
            game_id=game.id,
            engine=engine,
            snapshot=to_plain(game.snapshot()),
            events=plain_events(game),
            outcome=to_plain(game.outcome),
            extra=dict(extra or {}),
        )

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Episode:
        """Make an episode of the data of a line, after checking its keys and their types.

        Raises:
            ValueError: If it is of another schema, a key is missing, unknown or of the wrong type, or the
                snapshot is of another game.
        """
        check_depth(data)
        if "schema" not in data:
            raise ValueError(
                f'expected a record with "schema": {SCHEMA_VERSION}, got one without "schema"; games '
                "recorded before there was one are read by the version of ssp-env that wrote them"
            )
        if data["schema"] != SCHEMA_VERSION:
            raise ValueError(
                f"expected a record of schema {SCHEMA_VERSION}, got schema {shown(data['schema'])}, "
                f"written by ssp-env {data.get('package', '(unknown)')}: read it with that version"
            )
        for name, kinds, words in _FORM:
            if name not in data:
                raise ValueError(f'expected the key "{name}", got the keys {sorted(data)}')
            if not isinstance(data[name], kinds):
                raise ValueError(f'expected {words} as "{name}", got {shown(data[name])}')
        if unknown := data.keys() - {name for name, _, _ in _FORM}:
            raise ValueError(
                f"expected the keys of schema {SCHEMA_VERSION} alone, also got {sorted(unknown)}"
            )
        if data["snapshot"].get("game_id") != data["game_id"]:
            named = shown(data["snapshot"].get("game_id"))
            raise ValueError(f"expected the game_id {data['game_id']!r} in the snapshot too, got {named}")
        check_plain(tuple[Mapping[str, Any], ...], data["events"], "events")
        check_plain(Outcome | None, data["outcome"], "outcome")
        check_plain(_ScoredBy | None, data["scored_by"], "scored_by")
        return cls(**data)

    def to_line(self) -> str:
        """Write the record as one line of JSON, without the line break.

        Raises:
            ValueError: If the game or `extra` holds a number that is infinite or NaN.
            TypeError: If `extra` holds what is no plain data.
        """
        try:
            return json_line(to_plain(self))
        except ValueError as error:
            raise ValueError(
                f"game {self.game_id!r} cannot be recorded: a log-probability, score or value of its own is "
                f"infinite or NaN, which JSON has no name for ({error})"
            ) from error

    def opening(self) -> Game:
        """Build the game as it was before anything was submitted.

        Raises:
            ValueError: If this version cannot read the snapshot.
        """
        return Game.restore({**self.snapshot, "inputs": []})

    @property
    def config(self) -> GameConfig:
        """Rules the game was played under."""
        return self.opening().config


@dataclass(frozen=True, slots=True)
class _ScoredBy:
    """The form of `Episode.scored_by`."""

    config: GameConfig
    verdicts: Sequence[Sequence[str | bool]] | None
    unknown: str


def plain_events(game: Game) -> list[dict[str, Any]]:
    """Return the events of a game as plain data that names their types."""
    return [typed_plain(event) for event in game.events]


_Types = tuple[type, ...]
_FORM: tuple[tuple[str, _Types, str], ...] = (
    ("schema", (int,), "a number"),
    ("package", (str,), "a string"),
    ("game_id", (str,), "a string"),
    ("engine", (str,), "a string"),
    ("snapshot", (dict,), "an object"),
    ("events", (list,), "a list"),
    ("outcome", (dict, type(None)), "an object or null"),
    ("extra", (dict,), "an object"),
    ("scored_by", (dict, type(None)), "an object or null"),
)


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


# -- JSON Schema, derived from the types of the game so that it grows with them ----------------------------


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
    raise TypeError(
        f"no JSON Schema for the type {hint!r}: add a rule to ssp_env.records.episode.type_schema"
    )


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
