"""Telling coroutine functions from others, whatever they are wrapped in."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeGuard


def is_async(function: Any) -> TypeGuard[Callable[..., Awaitable[Any]]]:
    """Whether calling `function` gives a coroutine: a method, a function or an object with `__call__`."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  # may be a coroutine function
    )
