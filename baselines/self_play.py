"""Search self-play: who plays whom in a step, and which algorithm learns from it (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from baselines.algorithms import Algorithm, CombinableAlgorithm, StatefulAlgorithm, build_algorithm
from baselines.config import TrainConfig
from baselines.learner import Experience, Learner
from baselines.policies import CausalLMPolicy
from baselines.rollout import Rollout, play_rollout
from baselines.seeding import derive_seed
from baselines.tasks import open_source
from ssp_env.game import Role

ROLES: tuple[Role, ...] = ("solver", "proposer")
"""In the order in which they are updated (SSP algorithm 1)."""


class SelfPlay:
    """Two roles of one policy that play against each other and learn.

    Args:
        config: Configuration of the run.
        policy: Plays and learns every role that is not frozen.
        frozen: Plays the frozen roles; needed only if there are any.

    Attributes:
        learner: Changes the weights of the policy.
        algorithms: By role that learns.
    """

    def __init__(self, config: TrainConfig, policy: CausalLMPolicy, frozen: CausalLMPolicy | None) -> None:
        self.config = config
        self.policy = policy
        self.frozen = frozen
        self.source = open_source(config.source, config.world, config.hops, config.game)
        self.learner = Learner(policy, replace(config.learner, seed=derive_seed(config.seed, "learner")))
        self.algorithms: dict[Role, Algorithm] = {
            role: build_algorithm(getattr(config, role), self.learner)
            for role in ROLES
            if getattr(config, role).learns
        }

    def step(self, number: int) -> tuple[Rollout, dict[str, float]]:
        """Play the games of a step and learn from them; return them, and the metrics of both."""
        seed = derive_seed(self.config.seed, "sampling", number)
        self.policy.published(str(number))
        current = self.policy.agent(seed)
        players = dict.fromkeys(ROLES, current)
        if self.frozen is not None:
            waiting = self.frozen.agent(seed)
            players |= {role: waiting for role in ROLES if role not in self.algorithms}
        played = play_rollout(
            self.source,
            self.config.game,
            proposer=players["proposer"],
            solver=players["solver"],
            answers=self.config.answers,
            proposals=self.config.proposals,
            seed=self.config.seed,
            step=number,
            learning=list(self.algorithms),
        )
        metrics = played.metrics | self._update(played)
        return played, metrics

    def _update(self, played: Rollout) -> dict[str, float]:
        """Let every role learn from its samples; roles without any wait for the next step."""
        learning = {role: algorithm for role, algorithm in self.algorithms.items() if played.samples[role]}
        combined: list[Experience] = []
        metrics: dict[str, float] = {}
        for role, algorithm in learning.items():
            samples = played.samples[role]
            if self.config.updates == "combined" and isinstance(algorithm, CombinableAlgorithm):
                weight = getattr(self.config, role).weight
                combined.append(replace(algorithm.experience(samples), weight=weight))
            else:
                metrics |= _named(role, algorithm.update(samples))
        if combined:
            metrics |= self.learner.fit(combined)
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
        if self.learner.reference is not None:
            state |= {
                f"reference/{name}": tensor for name, tensor in self.learner.reference.state_dict().items()
            }
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        for role, algorithm in self.algorithms.items():
            if isinstance(algorithm, StatefulAlgorithm):
                algorithm.load_state_dict(_of(state, role))
        if reference := _of(state, "reference"):
            self.learner.reference = self.policy.duplicate()
            self.learner.reference.load_state_dict(reference)


def _named(role: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Put the role before the names of an algorithm's metrics, unless it stands there."""
    return {
        name if "/" in name or name == "grad_norm" else f"{role}/{name}": value
        for name, value in metrics.items()
    }


def _of(state: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    start = f"{owner}/"
    return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
