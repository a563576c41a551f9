"""Scenarios that the configuration of another framework names: opened once per process, and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ssp_env.scenario import Scenario


def configured_scenario(settings: Scenario | Mapping[str, Any], where: str) -> Scenario:
    """Open what plain data names, as `Scenario.from_dict` does.

    Args:
        settings: Arguments of `open_scenario`; a scenario is returned as it is.
        where: How the framework calls the place of these settings, for errors.

    Raises:
        ValueError: If they name nothing that is searched, or the scenario cannot be opened.
        TypeError: If they are no plain data.

    >>> configured_scenario({"world": "tiny"}, "env_config") is configured_scenario({"world": "tiny"}, "env")
    True
    >>> configured_scenario({"hops": [1]}, "env_config")
    Traceback (most recent call last):
    ValueError: expected env_config to name what is searched: a world, a corpus or search, got hops
    """
    if isinstance(settings, Scenario):
        return settings
    if not settings.keys() & {"world", "corpus", "search"}:
        got = ", ".join(settings) or "nothing"
        raise ValueError(f"expected {where} to name what is searched: a world, a corpus or search, got {got}")
    return _opened(json.dumps(settings, sort_keys=True))


def check_one_attempt(scenario: Scenario, framework: str) -> None:
    """Refuse rules by which the question of a row gets several attempts.

    Args:
        scenario: What is played in.
        framework: What plays a row several times to make a group of attempts.

    Raises:
        ValueError: If `rules.attempts` is not 1.
    """
    if scenario.rules.attempts != 1:
        raise ValueError(
            f"a row is one attempt, of which {framework} makes a group: rules.attempts must be 1, "
            f"got {scenario.rules.attempts}"
        )


@lru_cache(maxsize=8)
def _opened(written: str) -> Scenario:
    return Scenario.from_dict(json.loads(written))
