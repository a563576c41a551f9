"""Search self-play: the games of a step, and which algorithm learns from them (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor

from baselines.algorithms import Algorithm, CombinableAlgorithm, StatefulAlgorithm, build_algorithm
from baselines.by_role import by_role, distinct, joined, made_of, state_of
from baselines.config import TrainConfig
from baselines.learner import Experience, Learner
from baselines.mutual_information import mutual_information
from baselines.policies.causal_lm import CausalLMPolicy
from baselines.processes import Processes
from baselines.rollouts.rollout import Rollout
from baselines.rollouts.worker import RolloutWorker
from baselines.seeding import derive_seed
from baselines.update_trace import UpdateTrace
from ssp_env.game import Role


class Rollouts(Protocol):
    """What plays the games of one step after the other."""

    def play(self, number: int) -> Rollout:
        """Return the games of a step."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept between steps, as tensors."""
        ...

    def plain_state(self) -> dict[str, Any]:
        """Return what else is kept between steps, as plain data for JSON."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        ...


class SelfPlay:
    """Two roles that play against each other and learn, of one policy or with one each.

    Args:
        config: Configuration of the run.
        policies: The policy of both roles, or that of each; what learns is trained.
        frozen: The warm start; needed only if `OpponentsConfig.resolved` has it play.
        processes: Those that share the work; only this one if None.
        rollouts: Plays the games; a `RolloutWorker` of this process if None.

    Attributes:
        policies: By role, who plays it.
        rollouts: Plays the games.
        learners: By role that learns, what changes the weights of its policy; roles that share a policy share
            the learner.
        algorithms: By role that learns.
    """

    def __init__(
        self,
        config: TrainConfig,
        policies: CausalLMPolicy | Mapping[Role, CausalLMPolicy],
        frozen: CausalLMPolicy | None,
        processes: Processes | None = None,
        rollouts: Rollouts | None = None,
    ) -> None:
        self.config = config
        self.policies = by_role(policies)
        processes = processes or Processes()
        self.rollouts = rollouts or RolloutWorker(config, self.policies, frozen, processes)
        learner_config = replace(config.learner, seed=derive_seed(config.seed, "learner"))
        self.learners = made_of(
            {role: self.policies[role] for role in config.learning},
            lambda policy: Learner(policy, learner_config, processes),
        )
        self.algorithms: dict[Role, Algorithm] = {
            role: build_algorithm(getattr(config, role), learner) for role, learner in self.learners.items()
        }

    def step(self, number: int, trace: UpdateTrace | None = None) -> tuple[Rollout, dict[str, float]]:
        """Learn from the games of a step; return them, and the metrics of both.

        Args:
            number: Number of the step.
            trace: Gets what the update does with single tokens.
        """
        played = self.rollouts.play(number)
        for learner in self.learners.values():
            learner.trace = trace
        learning = self.config.learning_at(number)
        metrics = played.metrics | self._dependence(played) | self._update(played, learning)
        for learner in self.learners.values():
            learner.trace = None
        return played, metrics

    def _dependence(self, played: Rollout) -> dict[str, float]:
        """Measure how much proposals depend on their tasks, before the update."""
        learner = self.learners.get("proposer")
        found = None if learner is None else mutual_information(learner, played.samples["proposer"])
        return {} if found is None else {"mutual_information": found}

    def _update(self, played: Rollout, roles: Collection[Role]) -> dict[str, float]:
        """Let roles learn from their samples; roles without any wait for the next step."""
        learning = {
            role: algorithm
            for role, algorithm in self.algorithms.items()
            if role in roles and played.samples[role]
        }
        combined: list[Experience] = []
        metrics: dict[str, float] = {}
        for role, algorithm in learning.items():
            samples = played.samples[role]
            if self.config.updates == "combined" and isinstance(algorithm, CombinableAlgorithm):
                weight = getattr(self.config, role).weight
                combined.append(replace(algorithm.experience(samples), weight=weight))
            else:
                metrics |= _named(role, algorithm.update(samples), apart=len(distinct(self.learners)) > 1)
        if combined:
            # Roles with a policy each are updated one by one, so that all of these have one learner.
            metrics |= next(iter(self.learners.values())).fit(combined)
        for name in ("loss", "trained_tokens"):
            metrics[name] = sum(metrics.get(f"{role}/{name}", 0.0) for role in learning)
        metrics["max_ratio_error"] = max(
            (metrics.get(f"{role}/max_ratio_error", 0.0) for role in learning), default=0.0
        )
        return metrics

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept between steps besides the weights and the optimiser's moments."""
        state = {
            f"{role}/{name}": tensor
            for role, algorithm in self.algorithms.items()
            if isinstance(algorithm, StatefulAlgorithm)
            for name, tensor in algorithm.state_dict().items()
        }
        references = {
            owner: learner.reference.state_dict()
            for owner, learner in distinct(self.learners).items()
            if learner.reference is not None
        }
        return state | joined({"reference": joined(references), "rollouts": self.rollouts.state_dict()})

    def plain_state(self) -> dict[str, Any]:
        """Return what else is kept between steps, as plain data for JSON."""
        return self.rollouts.plain_state()

    def load_state_dict(self, state: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Invert `state_dict` and `plain_state`."""
        self.rollouts.load_state_dict(state_of("rollouts", state), plain)
        for role, algorithm in self.algorithms.items():
            if isinstance(algorithm, StatefulAlgorithm):
                algorithm.load_state_dict(state_of(role, state))
        references = state_of("reference", state)
        for owner, learner in distinct(self.learners).items():
            if reference := state_of(owner, references):
                learner.reference = learner.policy.duplicate(trainable=False)
                learner.reference.load_state_dict(reference)


def _named(role: str, metrics: Mapping[str, float], *, apart: bool) -> dict[str, float]:
    """Put the role before the names of an algorithm's metrics, unless it stands there.

    The norm of the gradient is that of both roles, if they do not have policies that are apart.
    """
    return {
        name if "/" in name or (name == "grad_norm" and not apart) else f"{role}/{name}": value
        for name, value in metrics.items()
    }
