"""Build hooks: a wheel holds `ssp_env`, `agents` and `baselines`, or `ssp_env` alone when SSP_ENV_ONLY=1.

Another popular distribution, openai-agents, also installs a top-level package `agents`. To use both, install
ours with `SSP_ENV_ONLY=1 pip install .`; the `ssp` commands of the packages left out are then not registered.
The variable affects wheels only: an editable install exposes the whole source tree.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


def env_only() -> bool:
    """Whether to build `ssp_env` alone.

    Raises:
        ValueError: If SSP_ENV_ONLY is neither unset, empty, `0` nor `1`.
    """
    value = os.environ.get("SSP_ENV_ONLY", "")
    if value not in ("", "0", "1"):
        raise ValueError(f"SSP_ENV_ONLY must be 0 or 1, got {value!r}")
    return value == "1"


class OptionalPackages(BuildHookInterface):
    """Adds the packages beside `ssp_env` to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders of the packages to the build; an editable build needs none of them."""
        if self.target_name == "wheel" and version == "standard" and not env_only():
            build_data["force_include"].update({package: package for package in ("agents", "baselines")})


class Commands(MetadataHookInterface):
    """Registers the commands of `agents` and `baselines` with the `ssp` command line."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill the entry-point group that `ssp_env.cli` reads."""
        commands = {
            "play": "agents.commands:play",
            "train": "baselines.commands:train",
            "eval": "baselines.commands:evaluate",
            "compare": "baselines.commands:compare",
            "bench": "baselines.suite.command:app",
            "league": "baselines.league.command:league",
            "plan": "baselines.plan.command:plan",
        }
        plugins = {"verl.plugins": {"ssp": "baselines.verl"}}
        metadata["entry-points"] = {} if env_only() else {"ssp.commands": commands, **plugins}
