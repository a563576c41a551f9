"""Checks that your own search engines, agents, readers and judges keep to what the game expects of them."""

from ssp_env.testing.agents import check_agent, check_reader
from ssp_env.testing.engines import check_engine, check_fixed_engine
from ssp_env.testing.judges import check_judge
from ssp_env.testing.verdict import ConformanceError

__all__ = [
    "ConformanceError",
    "check_agent",
    "check_engine",
    "check_fixed_engine",
    "check_judge",
    "check_reader",
]
