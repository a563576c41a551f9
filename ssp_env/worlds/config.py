"""Configurations of worlds: their validation, the named presets, and the names in terse worlds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, get_args

from ssp_env.worlds.schema import SchemaName

Split = Literal["train", "heldout"]
Rendering = Literal["terse", "prose"]

MIN_ENTITIES: Mapping[str, int] = MappingProxyType({"core": 12, "full": 96})
"""The least number of entities per schema; with fewer, a relation could run out of distinct targets."""

NAMES = json.loads(files(__package__).joinpath("names.json").read_text(encoding="utf-8"))
"""The words and syllables that names are made of, as rows of words, and the styles of names by type."""

NAME_POOL: tuple[str, ...] = tuple(" ".join(NAMES["pool"]).split())
"""The words that name entities in terse worlds. No two words have the same first three letters, so that no
stemmer can confuse them, and any two words differ in at least two letters."""

_CUSTOM_ID = re.compile(r"(terse|prose)_(core|full)_(\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """The complete configuration of a world; equal configurations give worlds that are equal to the byte.

    Attributes:
        split: "train" or "heldout"; part of every hash key, so that no training world is a held-out world.
        index: Number of the world within its split, from 0; it serves as the seed.
        entities: Number of entities, which is the number of passages.
        rendering: "terse" for tiny models with a word-level vocabulary, "prose" for encyclopedic English. The
            names of entities depend on the rendering, the facts do not.
        schema: "core" (four types, 11 relations) or "full" (13 types); "terse" needs "core".
        links: Number of facts about other entities that each passage states, 1 to 3.

    Raises:
        ValueError: If a value is out of its range; the message says what was expected.
        TypeError: If a number is not an int.
    """

    split: Split = "train"
    index: int = 0
    entities: int = 24
    rendering: Rendering = "terse"
    schema: SchemaName = "core"
    links: int = 3

    def __post_init__(self) -> None:
        for name, allowed in (("split", Split), ("rendering", Rendering), ("schema", SchemaName)):
            if getattr(self, name) not in get_args(allowed):
                expected = " or ".join(map(repr, get_args(allowed)))
                raise ValueError(f"{name} must be {expected}, not {getattr(self, name)!r}")
        for name in ("index", "entities", "links"):
            if type(getattr(self, name)) is not int:
                raise TypeError(f"{name} must be an int, not {getattr(self, name)!r}")
        if self.index < 0:
            raise ValueError(f"index must be 0 or more, not {self.index}")
        if not 1 <= self.links <= 3:
            raise ValueError(f"links must be 1, 2 or 3, not {self.links}")
        if self.entities < MIN_ENTITIES[self.schema]:
            least = MIN_ENTITIES[self.schema]
            raise ValueError(f"a {self.schema} world needs at least {least} entities, not {self.entities}")
        if self.rendering == "terse" and self.schema != "core":
            raise ValueError("the terse rendering needs schema 'core'; choose rendering='prose' for 'full'")
        if self.rendering == "terse" and self.entities > len(NAME_POOL):
            raise ValueError(
                f"a terse world has at most {len(NAME_POOL)} entities (one name each), not {self.entities}; "
                "choose rendering='prose' for more"
            )

    @property
    def id(self) -> str:
        """A short stable name such as "tiny-train-17"; `from_id` reads it back."""
        family = replace(self, split="train", index=0)
        custom = f"{self.rendering}_{self.schema}_{self.entities}x{self.links}"
        name = next((preset for preset, config in WORLD_PRESETS.items() if config == family), custom)
        return f"{name}-{self.split}-{self.index}"

    @classmethod
    def from_id(cls, world_id: str) -> WorldConfig:
        """Return the configuration whose `id` is `world_id`.

        >>> WorldConfig.from_id("tiny-train-17").index
        17

        Raises:
            ValueError: If the text is not the id of a world.
        """
        name, split, index = [*world_id.split("-"), "", ""][:3]
        if world_id.count("-") != 2 or not re.fullmatch(r"0|[1-9][0-9]*", index):
            raise ValueError(f"a world id looks like 'tiny-train-17', not {world_id!r}")
        custom = _CUSTOM_ID.fullmatch(name)
        if custom is None:
            return world_preset(name, split=split, index=int(index))  # type: ignore[arg-type]
        rendering, schema, entities, links = custom.groups()
        return cls(split, int(index), int(entities), rendering, schema, int(links))  # type: ignore[arg-type]


WORLD_PRESETS: Mapping[str, WorldConfig] = MappingProxyType(
    {
        "tiny": WorldConfig(entities=24, rendering="terse", schema="core"),
        "small": WorldConfig(entities=1_000, rendering="prose", schema="full"),
        "large": WorldConfig(entities=100_000, rendering="prose", schema="full"),
    }
)
"""Preset name -> its configuration for training world 0."""


def world_preset(name: str, *, split: Split = "train", index: int = 0) -> WorldConfig:
    """Return a preset's configuration for one world.

    Raises:
        ValueError: If there is no such preset; the message lists the known ones.
    """
    if name not in WORLD_PRESETS:
        raise ValueError(f"unknown world preset {name!r}; known presets: {', '.join(sorted(WORLD_PRESETS))}")
    return replace(WORLD_PRESETS[name], split=split, index=index)
