"""Algorithms by name: ours, or `module:object` with one of your own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

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


def find_algorithm(role: RoleConfig) -> Callable[[Learner], Algorithm]:
    """Return what makes the algorithm of a role, so that a run is refused before it begins.

    `module:object` is a class that is called with the learner and the options of the role, an object with
    `update(samples)`, or a function `advantages(samples)` that returns one number per sample, which REINFORCE
    then takes in place of reward and baseline.

    Raises:
        ValueError: If an option does not fit, or the object is none of these.
    """
    if role.algorithm in OURS:
        ours: Any = OURS[role.algorithm]
        config = algorithm_options(ours.config_class, role.options, role.algorithm)
        return lambda learner: ours(learner, config)
    found: Any = load_attribute(role.algorithm, "algorithm")
    if inspect.isfunction(found):
        own_config = algorithm_options(ReinforceConfig, role.options, role.algorithm)
        return lambda learner: Reinforce(learner, own_config, advantages=found)
    if not callable(getattr(found, "update", None)):
        raise ValueError(
            f"algorithm {role.algorithm!r} must have update(samples) -> metrics, or be a function "
            f"advantages(samples) -> numbers; got {found if inspect.isclass(found) else type(found)} without "
            "`update`"
        )
    if not inspect.isclass(found):
        return lambda learner: cast(Algorithm, found)
    try:
        inspect.signature(found).bind(None, **role.options)
    except TypeError as error:
        raise ValueError(
            f"algorithm {role.algorithm!r} must take the learner, then its options by name "
            f"({', '.join(role.options) or 'none given'}): {error}"
        ) from error
    return partial(cast(Any, found), **role.options)


def build_algorithm(role: RoleConfig, learner: Learner) -> Algorithm:
    """Return the algorithm of a role; see `find_algorithm`."""
    return find_algorithm(role)(learner)
