"""Settings that every test shares."""

import gc
import os
import signal
import sys
from threading import current_thread, main_thread

import pytest
from hypothesis import HealthCheck, settings

# One thread, since pytest runs one process per core. NumPy and torch read this when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine must not fail a test: what is tested is the result, never the time it took. Every run tries
# the same examples, so that a test fails for the change that broke it; `make fuzz` searches for new ones.
settings.register_profile(
    "ssp", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ssp")

# Jobs in the background of a shell ignore Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and current_thread() is main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Nothing of what is imported and collected is garbage; looking for some takes a fifth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collections: it stays until the end."""
    gc.freeze()
    gc.enable()


def one_thread() -> None:
    """Take back what `--threads` of a command that ran in this process told torch: threads in plenty wait."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    one_thread()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Fixtures may have run commands."""
    one_thread()
