"""Algorithms by name: ours, or `module:object` with one of your own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from baselines.config import RoleConfig, algorithm_options
from baselines.grpo import GRPO
from baselines.learner import Experience, Learner
from baselines.ppo import PPO
from baselines.reinforce import Reinforce, ReinforceConfig
from baselines.samples import Sample
from ssp_env.objects import load_attribute


class Algorithm(Protocol):
    """Learns from samples of one role."""

    def update(self, samples: Sequence[Sample]) -> Mapping[str, float]:
        """Change the weights of the policy; return metrics by name."""
        ...


@runtime_checkable
class CombinableAlgorithm(Protocol):
    """An algorithm whose optimiser step may be shared with that of the other role."""

    def experience(self, samples: Sequence[Sample]) -> Experience:
        """Return the samples with their advantages and the loss."""
        ...


@runtime_checkable
class StatefulAlgorithm(Protocol):
    """An algorithm that keeps something from update to update, which checkpoints must hold."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return what is kept."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        ...


OURS: Mapping[str, type[GRPO | PPO | Reinforce]] = {"grpo": GRPO, "ppo": PPO, "reinforce": Reinforce}


def build_algorithm(role: RoleConfig, learner: Learner) -> Algorithm:
    """Return the algorithm of a role.

    `module:object` is a class that is called with the learner and the options of the role, an object with
    `update(samples)`, or a function `advantages(samples)` that returns one number per sample, which REINFORCE
    then takes in place of reward and baseline.

    Raises:
        ValueError: If an option does not fit, or the object is none of these.
    """
    if role.algorithm in OURS:
        ours: Any = OURS[role.algorithm]
        built: Algorithm = ours(learner, algorithm_options(ours.config_class, role.options, role.algorithm))
        return built
    found: Any = load_attribute(role.algorithm, "algorithm")
    if inspect.isclass(found):
        make: Any = found
        try:
            found = make(learner, **role.options)
        except TypeError as error:
            raise ValueError(
                f"algorithm {role.algorithm!r} must take the learner, then its options by name "
                f"({', '.join(role.options) or 'none given'}): {error}"
            ) from error
    elif inspect.isfunction(found):
        options = algorithm_options(ReinforceConfig, role.options, role.algorithm)
        return Reinforce(learner, options, advantages=found)
    if not callable(getattr(found, "update", None)):
        raise ValueError(
            f"algorithm {role.algorithm!r} must have update(samples) -> metrics, or be a function "
            f"advantages(samples) -> numbers; got {type(found).__name__} without `update`"
        )
    algorithm: Algorithm = found
    return algorithm
