"""Settings that every test shares."""

import sys

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test: what is tested is the result, never the time it took.
settings.register_profile("ssp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ssp")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep torch to one thread, which suits tiny tensors; tests that need torch have imported it by now."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
