"""The advantage functions of verl, where it is installed, in the form that `advantage_checks` tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from torch import Tensor

Estimator = Callable[[Tensor, Tensor, Tensor, Sequence[str]], Tensor]


def verl_estimators(discount: float, lam: float) -> dict[str, tuple[Literal["critic", "group"], Estimator]]:
    """Return verl's estimators by name, with how they are checked; none where verl is not installed.

    Args:
        discount: Discount of its GAE and REINFORCE++.
        lam: Lambda of its GAE.
    """
    if find_spec("verl") is None:
        return {}
    from verl.trainer.ppo import core_algos

    config = SimpleNamespace(gamma=discount)

    def gae(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
        # Its advantages come out whitened; its returns less the values are those before that.
        _, returns = core_algos.compute_gae_advantage_return(rewards, values, mask.float(), discount, lam)
        advantages: Tensor = (returns - values) * mask
        return advantages

    def by_group(function: Any) -> Estimator:
        def estimator(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
            # It writes into the rewards.
            found: Tensor = function(rewards.clone(), mask.float(), index=np.array(groups), config=config)[0]
            return found

        return estimator

    def plus_plus(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
        found: Tensor = core_algos.compute_reinforce_plus_plus_outcome_advantage(
            rewards, mask.float(), config=config
        )[0]
        return found

    return {
        "verl: GAE": ("critic", gae),
        "verl: GRPO": ("group", by_group(core_algos.compute_grpo_outcome_advantage)),
        "verl: GRPO, vectorised": ("group", by_group(core_algos.compute_grpo_vectorized_outcome_advantage)),
        "verl: RLOO": ("group", by_group(core_algos.compute_rloo_outcome_advantage)),
        "verl: OPO": ("group", by_group(core_algos.compute_opo_outcome_advantage)),
        "verl: REINFORCE++": ("group", plus_plus),
        "verl: REINFORCE++ baseline": (
            "group",
            by_group(core_algos.compute_reinforce_plus_plus_baseline_outcome_advantage),
        ),
    }
