"""Settings that every test shares."""

import gc
import os
import signal
from threading import current_thread, main_thread

from hypothesis import HealthCheck, settings

# One thread, since pytest runs one process per core. NumPy and torch read this when they are imported.
os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine must not fail a test: what is tested is the result, never the time it took.
settings.register_profile("ssp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ssp")

# Jobs in the background of a shell ignore Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and current_thread() is main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collections: it stays until the end."""
    gc.freeze()
