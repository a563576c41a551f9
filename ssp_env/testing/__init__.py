"""Checks that your own engines, agents, readers, judges and environments behave as the game expects."""

from ssp_env.testing.agents import check_agent, check_reader
from ssp_env.testing.conformance import ConformanceError
from ssp_env.testing.engines import check_engine, check_fixed_engine
from ssp_env.testing.judges import check_judge
from ssp_env.testing.seeding import check_parallel_seeding

__all__ = [
    "ConformanceError",
    "check_agent",
    "check_engine",
    "check_fixed_engine",
    "check_judge",
    "check_parallel_seeding",
    "check_reader",
]
