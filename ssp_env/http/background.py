"""One event loop in a background thread, which blocking and asynchronous callers share; needs no library."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, which the first call starts; a forked process gets one of its own."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, daemon=True, name="ssp_env.http").start()
        return _loop


def is_background(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Return whether this is the background loop; takes no lock, so that finalizers may ask."""
    return loop is not None and loop is _loop


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on the loop and wait for it; if the wait is interrupted, it is cancelled.

    Raises:
        RuntimeError: If called on the loop itself, which would wait for ever.
    """
    loop = background_loop()
    if asyncio._get_running_loop() is loop:
        coroutine.close()
        raise RuntimeError("a coroutine that runs on the loop of ssp_env.http must await, not block")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    finally:
        future.cancel()


async def arun(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on the loop and await it on the caller's; cancelling either cancels the other."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, background_loop()))


def _forget() -> None:
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
