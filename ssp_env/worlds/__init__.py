"""Fictional worlds: seeded facts, their passages in two renderings, and questions with known answers."""

from ssp_env.worlds.config import NAME_POOL, WORLD_PRESETS, WorldConfig, world_preset
from ssp_env.worlds.graph import WORLD_VERSION
from ssp_env.worlds.schema import is_heldout_composition
from ssp_env.worlds.terse import (
    TERSE_RELATIONS,
    TerseFact,
    TerseQuestion,
    parse_facts,
    parse_question,
    render_facts,
    render_question,
    terse_vocabulary,
)
from ssp_env.worlds.world import MAX_HOPS, Entity, Fact, KnownQuestion, Path, World

__all__ = [
    "MAX_HOPS",
    "NAME_POOL",
    "TERSE_RELATIONS",
    "WORLD_PRESETS",
    "WORLD_VERSION",
    "Entity",
    "Fact",
    "KnownQuestion",
    "Path",
    "TerseFact",
    "TerseQuestion",
    "World",
    "WorldConfig",
    "is_heldout_composition",
    "parse_facts",
    "parse_question",
    "render_facts",
    "render_question",
    "terse_vocabulary",
    "world_preset",
]
