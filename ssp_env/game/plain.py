"""Checks of plain data, as JSON gives it, against the types of what it is to become."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

MAX_DEPTH = 100
"""Greatest depth of lists and objects inside each other."""
_MOST = 2**63
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NAMES: Mapping[Any, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number of 64 bits",
    float: "a number",
    type(None): "null",
}


def check_depth(value: object) -> None:
    """Refuse data that is nested too deeply to be copied or written.

    Raises:
        ValueError: If more than `MAX_DEPTH` lists or objects are inside each other.

    >>> check_depth({"a": [[1]]})
    """
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for item in level:
            if type(item) is dict or isinstance(item, Mapping):
                item = item.values()
            elif not isinstance(item, list | tuple):
                continue
            # Nearly all data are numbers and texts, whose exact types are told apart at once.
            if not _SCALARS.issuperset(map(type, item)):
                inner.extend(item)
        level = [item for item in inner if type(item) not in _SCALARS]
        if not level:
            return
    raise ValueError(f"expected at most {MAX_DEPTH} lists and objects inside each other, got more")


def check_plain(hint: Any, value: object, where: str) -> None:
    """Refuse plain data that does not fit a type; lists stand for tuples and sets, objects for dataclasses.

    Args:
        hint: The type; fields of dataclasses that have a default may be missing.
        value: The data.
        where: What the data is, for the message.

    Raises:
        ValueError: If it does not fit; the message names the place.

    >>> check_plain(tuple[int, ...], [1, "2"], "token_ids")
    Traceback (most recent call last):
    ValueError: token_ids[1]: expected a whole number of 64 bits, got str '2'
    """
    if hint in _NAMES:
        if not _is_primitive(hint, value):
            raise _misfit(where, _NAMES[hint], value)
        return
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        _check_fields(hint, value, where)
    elif origin is Literal:
        if not isinstance(value, str) or value not in arguments:
            raise _misfit(where, f"one of {', '.join(map(repr, arguments))}", value)
    elif origin in (Union, types.UnionType):
        _check_union(arguments, value, where)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        _check_entries(arguments[1], value, where)
    elif isinstance(origin, type) and issubclass(origin, Sequence | Set):
        _check_items(arguments[0], value, where)


def _check_entries(hint: Any, value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise _misfit(where, "an object", value)
    for key, item in value.items():
        if type(key) is not str:
            check_plain(str, key, f"a key of {where}")
        if hint is not Any:
            check_plain(hint, item, f"{where}.{key}")


def _check_fields(kind: type, value: object, where: str) -> None:
    if not isinstance(value, Mapping):
        raise _misfit(where, "an object", value)
    hints = _hints(kind)
    if unknown := [key for key in value if key not in hints]:
        raise ValueError(f"{where}: expected the keys {', '.join(hints)}, got {unknown[0]!r:.100}")
    for name, (hint, required) in hints.items():
        if name in value:
            check_plain(hint, value[name], f"{where}.{name}")
        elif required:
            raise ValueError(f"{where}: expected the key {name!r}, got none")


@cache
def _hints(kind: type) -> dict[str, tuple[Any, bool]]:
    hints = get_type_hints(kind)
    return {
        field.name: (hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
    }


def _check_union(options: Sequence[Any], value: object, where: str) -> None:
    # A function is written by its name.
    forms = [option for option in options if get_origin(option) is not Callable]
    for form in forms:
        try:
            return check_plain(form, value, where)
        except ValueError as error:
            problem = error
            if len(forms) == 2 and type(None) in forms and form is not type(None) and value is not None:
                raise
    raise problem


def _check_items(hint: Any, value: object, where: str) -> None:
    if not isinstance(value, list | tuple | Set):
        raise _misfit(where, "a list", value)
    if hint in (str, float) and all(type(item) is hint for item in value):
        return  # the common case of thousands of numbers
    for place, item in enumerate(value):
        check_plain(hint, item, f"{where}[{place}]")


def _is_primitive(kind: Any, value: object) -> bool:
    if kind not in (int, float):
        return isinstance(value, kind)
    if isinstance(value, bool):
        return False
    if isinstance(value, Integral):
        return -_MOST <= int(value) < _MOST
    if kind is int:
        return False
    return isinstance(value, Real)


def _misfit(where: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {type(value).__name__} {value!r:.100}")
