"""What comes from outside: objects loaded by name, libraries that are missing, exceptions as text."""

from __future__ import annotations

import asyncio
import difflib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import PureWindowsPath
from types import ModuleType
from typing import Any, TypeGuard, TypeVar, overload

T = TypeVar("T")

_OBJECT_NAME = re.compile(r"([\w./\\-]+):([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_FAULTS = (Exception, SystemExit)


def is_async(function: Any) -> TypeGuard[Callable[..., Awaitable[Any]]]:
    """Whether calling `function` gives a coroutine: a method, a function or an object with `__call__`."""
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004  # may be a coroutine function
    )


async def awaited(value: Awaitable[T]) -> T:
    """Await anything that can be awaited, for `asyncio.run`, which takes coroutines only."""
    return await value


def is_object_name(text: str) -> bool:
    """Whether a text is written like the name of an object, `package.module:object`.

    >>> is_object_name("my_project.players:careful"), is_object_name("weak"), is_object_name("runs/first")
    (True, False, False)
    """
    return _OBJECT_NAME.fullmatch(text) is not None


@overload
def load_object(name: str, what: str = ...) -> Any: ...


@overload
def load_object(name: str, what: str, adapt: Callable[[Any], T]) -> T: ...


def load_object(name: str, what: str = "object", adapt: Callable[[Any], Any] | None = None) -> Any:
    """Import the object that `package.module:object` names.

    A class is called without arguments to make the object, and so is a function that has parameters with
    defaults only, or none: it is taken for a factory. Modules of the current working directory can be named,
    as with `python -m`.

    Args:
        name: Module and attribute, with a colon between them; the attribute may have dots.
        what: What the object is to be, for errors: `player`, `engine`, `judge`, ...
        adapt: Checks or adapts the object, such as `ssp_env.play.as_agent`; a TypeError or ValueError of it
            is reported with the name.

    Returns:
        The object, or what `adapt` returned for it.

    Raises:
        ValueError: If there is no such module or attribute, if importing the module or making the object
            raises, or if `adapt` refuses the object.

    >>> load_object("string:digits")
    '0123456789'
    >>> load_object("string:digit", "player")
    Traceback (most recent call last):
    ValueError: player 'string:digit': the module string has no attribute 'digit'; did you mean 'digits'?
    """
    found = load_attribute(name, what)
    try:
        made = _make(found, name.rpartition(":")[2])
        return made if adapt is None else adapt(made)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} {name!r}: {error}") from error


def load_attribute(name: str, what: str = "object") -> Any:
    """Import what `package.module:object` names and return it as it is: a class stays a class.

    Raises:
        ValueError: If there is no such module or attribute, or importing the module raises.
    """
    match = _OBJECT_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{what} {name!r}: expected a name such as package.module:object")
    module_name, path = match.groups()
    try:
        return _find(_import(module_name, path), module_name, path)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} {name!r}: {error}") from error


def _import(module_name: str, path: str) -> ModuleType:
    if module_name.endswith(".py") or "/" in module_name or "\\" in module_name:
        stem = PureWindowsPath(module_name).stem  # reads both kinds of slashes
        raise ValueError(f"expected a module, got a file: call it {stem}:{path} in the folder that has it")
    here = add_current_folder()
    try:
        if not _is_missing(module_name):
            return import_module(module_name)
    except _FAULTS as error:
        hidden = _hidden_folder(error.name, here) if isinstance(error, ImportError) and error.name else ""
        raise ValueError(
            f"importing {module_name} raised {_described(error)}" + f"; {hidden}" * bool(hidden)
        ) from error
    sought = f"sought in {here} and among the installed packages"
    raise ValueError(f"there is no module {module_name}: {_hidden_folder(module_name, here) or sought}")


def add_current_folder() -> str:
    """Let modules of the current working directory be imported, as `python -m` does; return its path."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    return here


def _is_missing(module_name: str) -> bool:
    """Whether there is no such module; its parent packages are imported to find out."""
    if module_name in sys.modules:
        return False
    try:
        return find_spec(module_name) is None
    except ModuleNotFoundError as error:
        # One of its parents is missing or no package; any other name is of a library that a parent imports.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        return True


def _hidden_folder(module_name: str, here: str) -> str:
    """Say that a package that is loaded hides a folder of the user's of the same name; empty if none does."""
    package = module_name.partition(".")[0]
    loaded = getattr(sys.modules.get(package), "__file__", None) or ""
    own = os.path.join(here, package)
    if loaded and os.path.isdir(own) and not loaded.startswith(own + os.sep):
        return (
            f"the folder {own} is hidden by {os.path.dirname(loaded)}, which is loaded already: rename it, "
            f"or put it into a package of your own, such as my_project/{package}"
        )
    return ""


def _find(module: ModuleType, module_name: str, path: str) -> Any:
    found: Any = module
    owner = f"the module {module_name}"
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            near = difflib.get_close_matches(attribute, dir(found), n=1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            hint = _hidden_folder(module_name, os.getcwd()) or hint
            raise ValueError(f"{owner} has no attribute {attribute!r}" + f"; {hint}" * bool(hint))
        found, owner = getattr(found, attribute), attribute
    return found


def _make(found: Any, path: str) -> Any:
    """Call a class or a factory; anything else is the object itself."""
    is_class = inspect.isclass(found)
    if not is_class and (not (inspect.isroutine(found) or isinstance(found, partial)) or is_async(found)):
        return found
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError:  # some functions and classes written in C have no signature
        return _called(found, path) if is_class else found
    if not is_class and any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
        return found
    named_only = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [one.name for one in parameters if one.default is one.empty and one.kind not in named_only]
    if not required:
        return _called(found, path)
    if not is_class:
        return found
    raise ValueError(
        f"the class {path} cannot be made without {', '.join(required)}: "
        "name an object, or a function without parameters that returns one"
    )


def _called(factory: Callable[[], Any], path: str) -> Any:
    try:
        return factory()
    except _FAULTS as error:
        raise ValueError(f"{path}() raised {_described(error)}") from error


def _described(error: BaseException) -> str:
    """What was raised, and the line of the user's code that raised it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    return describe(error) + (f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else "")


def check_least(least: int, **numbers: int | None) -> None:
    """Refuse numbers that are too small; None is no number.

    Raises:
        ValueError: If there is one; the message names it.

    >>> check_least(1, top_k=0, timeout=None)
    Traceback (most recent call last):
    ValueError: top_k must be at least 1, got 0
    """
    for name, number in numbers.items():
        if number is not None and number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")


def missing_extra(library: str, extra: str) -> ModuleNotFoundError:
    """Return the error for an optional library that is not installed; it names the extra to install.

    >>> str(missing_extra("pyarrow", "parquet"))
    "pyarrow is not installed. Install it with: pip install 'ssp-env[parquet]'"
    """
    message = f"{library} is not installed. Install it with: pip install 'ssp-env[{extra}]'"
    return ModuleNotFoundError(message, name=library)


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception on one line, even if its `str()` raises.

    >>> describe(KeyError("corun")), describe(TimeoutError())
    ("KeyError: 'corun'", 'TimeoutError')
    """
    if isinstance(error, ForeignFault):
        return str(error)
    try:
        message = " ".join(str(error).split())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as trouble:
        message = f"its message cannot be read, str() raised {type(trouble).__name__}"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


class ForeignFault(Exception):
    """Something raised by foreign code that is no `Exception`, or that no coroutine can pass on.

    A panic of a library in Rust is one, so are a `CancelledError` though nobody cancelled, and StopIteration.
    The message is what `describe` says of it, and its cause is what was raised.
    """


def kind_of(error: BaseException) -> str:
    """Return the name of the type of an exception; of a `ForeignFault`, that of its cause.

    >>> kind_of(KeyError("corun"))
    'KeyError'
    """
    caused = isinstance(error, ForeignFault) and error.__cause__ is not None
    return type(error.__cause__ if caused else error).__name__


@contextmanager
def faults() -> Iterator[None]:
    """Turn whatever foreign code raises into an `Exception`, except KeyboardInterrupt and SystemExit.

    A cancellation is turned too: inside a task that may be cancelled, use it around code that does not await.

    Raises:
        ForeignFault: If it was no `Exception`, or a StopIteration.

    >>> with faults():
    ...     raise BaseException("panicked")
    Traceback (most recent call last):
    ssp_env.objects.ForeignFault: BaseException: panicked
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except (StopIteration, StopAsyncIteration) as error:
        raise _as_fault(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise _as_fault(error) from error


def foreign_error(error: BaseException) -> Exception:
    """Return what awaited foreign code raised as an `Exception`, as `faults` does.

    Raises:
        BaseException: If it is KeyboardInterrupt or SystemExit, or ends the task that runs now.
    """
    task = asyncio.current_task()
    # Python 3.10 cannot tell whether a task was cancelled: there every cancellation is taken for one.
    cancelled = task is not None and getattr(task, "cancelling", lambda: True)()
    ends_task = isinstance(error, asyncio.CancelledError) and cancelled
    if ends_task or isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error
    lost = isinstance(error, StopIteration | StopAsyncIteration)
    return error if isinstance(error, Exception) and not lost else _as_fault(error)


def _as_fault(error: BaseException) -> ForeignFault:
    fault = ForeignFault(describe(error))
    fault.__cause__ = error
    return fault
