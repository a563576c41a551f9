"""Search self-play in OpenRLHF: an agent executor that plays games on its vLLM engines, and prompt rows."""

from __future__ import annotations

from ssp_env.integrations.libraries import check_version
from ssp_env.objects import missing_extra

TESTED = "0.11.2"

try:
    check_version("openrlhf", at_least="0.11", below="0.12", tested=TESTED)
    from baselines.openrlhf.executor import GameExecutor, game_executor
    from baselines.openrlhf.rows import game_rows
except ModuleNotFoundError as error:
    raise missing_extra("openrlhf", "openrlhf") from error

__all__ = ["GameExecutor", "game_executor", "game_rows"]
