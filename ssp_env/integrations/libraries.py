"""Versions of other frameworks: which ones an adapter was tested with, and an error for any other."""

from __future__ import annotations

import re
from importlib.metadata import version


class UnsupportedVersionError(ImportError):
    """A framework is installed whose version an adapter was not made for."""


def check_version(library: str, *, at_least: str, below: str, tested: str) -> None:
    """Refuse a framework of another version than those an adapter was made for.

    Args:
        library: Name of the distribution.
        at_least: First version that will do.
        below: First version that will not.
        tested: The version that the tests run.

    Raises:
        UnsupportedVersionError: If another version is installed; the message names both.

    >>> check_version("numpy", at_least="1.26", below="1000", tested="2.3")
    >>> check_version("numpy", at_least="0.1", below="0.2", tested="0.1.9")
    Traceback (most recent call last):
    ssp_env.integrations.libraries.UnsupportedVersionError: expected numpy>=0.1,<0.2 (tested: 0.1.9), got ...
    """
    installed = version(library)
    if not _numbers(at_least) <= _numbers(installed) < _numbers(below):
        raise UnsupportedVersionError(
            f"expected {library}>={at_least},<{below} (tested: {tested}), got {library} {installed}: "
            f"pip install '{library}=={tested}'"
        )


def _numbers(text: str) -> tuple[int, ...]:
    """The release part of a version, which is enough to tell whether an interface is another one."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
