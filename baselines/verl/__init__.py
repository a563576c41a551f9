"""Search self-play in verl: whole games as an agent loop, advantages of both roles, answers as a data set.

verl loads this module by the entry point `verl.plugins`, or because `VERL_USE_EXTERNAL_MODULES` or a
configuration names it. It swallows what goes wrong then; so `check_registered` is called before the first
game, and `python -m baselines.verl` says what verl knows.
"""

from __future__ import annotations

import logging
from typing import Any

from wrapt import when_imported

from ssp_env.integrations.libraries import UnsupportedVersionError, check_version
from ssp_env.objects import missing_extra

TESTED = "0.9.1"
AGENT_LOOP = "ssp_game"
ESTIMATOR = "ssp"
MANAGER = "baselines.verl.worker.GameAgentLoopManager"


def _check_version() -> None:
    """Refuse a verl whose interfaces may be others; the log is what a user sees of a plug-in that raises."""
    try:
        check_version("verl", at_least="0.9", below="0.10", tested=TESTED)
    except UnsupportedVersionError as error:
        logging.getLogger("baselines.verl").warning("ssp-env was not registered: %s", error)
        raise
    except ModuleNotFoundError as error:
        raise missing_extra("verl", "verl") from error


_check_version()


def check_registered() -> None:
    """Check that verl, in this process, knows what a configuration may name.

    Raises:
        UnsupportedVersionError: If verl is of another version.
        RuntimeError: If it does not; the message says how it gets to know.
    """
    from verl.experimental.agent_loop import agent_loop
    from verl.trainer.ppo import core_algos

    _check_version()
    missing = [
        f"{what} {name!r}"
        for what, name, known in (
            ("agent loop", AGENT_LOOP, agent_loop._agent_loop_registry),
            ("advantage estimator", ESTIMATOR, core_algos.ADV_ESTIMATOR_REGISTRY),
        )
        if name not in known
    ]
    if missing:
        raise RuntimeError(
            f"verl does not know the {' and the '.join(missing)} of ssp-env: install ssp-env, whose entry "
            "point verl.plugins names them, unless VERL_USE_EXTERNAL_PLUGINS leaves it out, or set "
            "VERL_USE_EXTERNAL_MODULES=baselines.verl"
        )


# When verl loads its plug-ins it is not imported itself yet; these wait for the modules that keep the names.
@when_imported("verl.trainer.ppo.core_algos")  # type: ignore[untyped-decorator, unused-ignore]
def _register_estimator(core_algos: Any) -> None:
    from baselines.verl.estimator import ssp_advantage

    core_algos.register_adv_est(ESTIMATOR)(ssp_advantage)


@when_imported("verl.experimental.agent_loop.agent_loop")  # type: ignore[untyped-decorator, unused-ignore]
def _register_agent_loop(agent_loop: Any) -> None:
    # By name: the class needs a base that is only just being imported.
    agent_loop._agent_loop_registry[AGENT_LOOP] = {"_target_": "baselines.verl.game_loop.GameLoop"}
