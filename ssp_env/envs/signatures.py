"""Functions that pass on the arguments of another, and show its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Environment = TypeVar("Environment")


def with_arguments_of(
    make: Callable[Arguments, Any],
) -> Callable[[Callable[..., Environment]], Callable[Arguments, Environment]]:
    """Show the signature of `make` wherever the decorated function is looked at, also to type checkers."""

    def decorate(function: Callable[..., Environment]) -> Callable[Arguments, Environment]:
        returned = inspect.signature(function).return_annotation
        function.__signature__ = inspect.signature(make).replace(return_annotation=returned)  # type: ignore[attr-defined]
        return function

    return decorate
