"""One finished game as data: what replays it and what came of it, and how that is written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import ssp_env
from ssp_env.data.lines import shown
from ssp_env.game import Game, GameConfig

SCHEMA_VERSION = 2
"""Version of the form of a line; it grows when a reader of the old form would misunderstand the new one."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A record of one game; the keys of its line are these attributes.

    Attributes:
        schema: Version of this form, `SCHEMA_VERSION`.
        package: Version of ssp-env that wrote the record.
        game_id: The game's id.
        engine: Fingerprint of the search engine the game was played over; empty if unknown.
        snapshot: Task, rules, seed and every result submitted, as of `Game.snapshot`. This replays.
        events: What happened, as typed data derived from the snapshot.
        outcome: How the game ended; None only if `scored_by` cannot tell.
        extra: The writer's own plain data, a training step, say.
        scored_by: None as played; else the rules that gave these events and this outcome (`rescore`).
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
        """Check the form of a line's data and wrap it.

        Raises:
            ValueError: If it is of another schema, or a key is missing, unknown or of the wrong type.
        """
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
        for name, types, words in _FORM:
            if name not in data:
                raise ValueError(f'expected the key "{name}", got the keys {sorted(data)}')
            if not isinstance(data[name], types):
                raise ValueError(f'expected {words} as "{name}", got {shown(data[name])}')
        if unknown := data.keys() - {name for name, _, _ in _FORM}:
            raise ValueError(
                f"expected the keys of schema {SCHEMA_VERSION} alone, also got {sorted(unknown)}"
            )
        return cls(**data)

    def to_line(self) -> str:
        """Write the record as one line of JSON, without the line break.

        Raises:
            ValueError: If the game holds a number that is infinite or NaN.
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
        try:
            return Game.restore({**self.snapshot, "inputs": []})
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"expected a snapshot of this version, got one it cannot read: {error}"
            ) from error

    @property
    def config(self) -> GameConfig:
        """Rules the game was played under."""
        return self.opening().config


def plain_events(game: Game) -> list[dict[str, Any]]:
    """The events of a game as plain data that names their types."""
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
