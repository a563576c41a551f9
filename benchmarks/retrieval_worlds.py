"""The corpus and the questions of the retrieval benchmarks: a world of any size."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice

import numpy as np

from ssp_env.worlds import KnownQuestion, World, world_preset

HOPS = (1, 2, 3)


def large_world(passages: int) -> World:
    """Return training world 0 of the large kind with this number of passages."""
    return World(replace(world_preset("large"), entities=passages))


def mixed_questions(world: World, count: int) -> list[KnownQuestion]:
    """Return questions of one, two and three hops in turn."""
    rng = np.random.default_rng(0)
    asked = [world.questions(hops, -(-count // len(HOPS)), rng) for hops in HOPS]
    return list(islice(chain.from_iterable(zip(*asked, strict=True)), count))
