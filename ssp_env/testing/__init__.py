"""Conformance checks for environments and for other people's parts of the game."""

from ssp_env.testing.seeding import check_parallel_seeding

__all__ = ["check_parallel_seeding"]
