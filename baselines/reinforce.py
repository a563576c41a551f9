"""REINFORCE: the reward less a baseline, with no critic and no groups.

What happens in an update, in this order:

1. Rewards: what the game paid, less the overlong penalty and the KL penalty if they are in the reward.
2. Baseline: none (SSP's equation 5), the mean reward of the batch, or a moving average of earlier updates
   that each role keeps for itself (RAE of SPIRAL, decay 0.95, the baseline before the update). `by_hops`
   keeps a baseline for each number of hops that tasks ask for, so that hard tasks are not compared with easy
   ones.
3. Advantages: R - b on every sampled token; or REINFORCE++, the return of each token where R - b is paid on
   the last one, whitened over all sampled tokens of the batch; or what a function of one's own returns for
   the samples.
4. The surrogate of PPO. With one epoch and one minibatch its ratio is 1 and its gradient is REINFORCE's; with
   more steps per update the clipping keeps them near the policy that sampled.
5. The loss is divided by all sampled tokens of the minibatch, unless `normaliser` says otherwise.

Run alone: `python -m baselines.reinforce --preset tiny --role proposer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from baselines import advantages as estimators
from baselines import policy_gradient
from baselines.learner import Experience, Learner
from baselines.policy_gradient import PolicyGradientConfig
from baselines.samples import Batch, Sample

AdvantageFunction = Callable[[Sequence[Sample]], Sequence[float]]
"""Returns one advantage per sample."""


@dataclass(frozen=True)
class ReinforceConfig(PolicyGradientConfig):
    """Options of REINFORCE, beside those of the policy loss.

    Attributes:
        baseline: What is subtracted from the reward: nothing, the `batch` mean or a `moving` average.
        by_hops: Keep one baseline per number of hops asked for.
        decay: Decay of the moving average.
        plus_plus: Use REINFORCE++: whiten the returns over all sampled tokens.
        discount: Discount per sampled token of REINFORCE++.
    """

    baseline: Literal["none", "batch", "moving"] = "batch"
    by_hops: bool = False
    decay: float = 0.95
    plus_plus: bool = False
    discount: float = 1.0


class Reinforce:
    """REINFORCE with a baseline (Williams 1992; SSP equation 5).

    Args:
        learner: Changes the weights of the policy that sampled.
        config: The options.
        advantages: A function of one's own that takes the place of reward and baseline.
    """

    config_class = ReinforceConfig

    def __init__(
        self,
        learner: Learner,
        config: ReinforceConfig = ReinforceConfig(),  # frozen
        advantages: AdvantageFunction | None = None,
    ) -> None:
        self.learner = learner
        self.config = config
        self._function = advantages
        self._moving = estimators.MovingBaseline(decay=config.decay)

    def update(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Learn from samples of one role; return the metrics of `Learner.fit`."""
        return self.learner.fit([self.experience(samples)]) if samples else {}

    def experience(self, samples: Sequence[Sample]) -> Experience:
        """Return the samples with their advantages; roles that share a policy are fitted together.

        Raises:
            ValueError: If the function of one's own does not return one advantage per sample.
        """
        batch, metrics = policy_gradient.prepare(samples, self.learner, self.config)
        rewards, by_token = policy_gradient.shaped_rewards(samples, batch, self.config)
        advantages = self._advantages(samples, batch, rewards, by_token)
        return policy_gradient.experience(samples[0].role, samples, batch, advantages, self.config, metrics)

    def _advantages(
        self, samples: Sequence[Sample], batch: Batch, rewards: Tensor, by_token: Tensor
    ) -> Tensor:
        if self._function is not None:
            given = self._function(samples)
            if len(given) != len(samples):
                raise ValueError(f"expected one advantage per sample, {len(samples)}, got {len(given)}")
            return torch.tensor([float(value) for value in given])
        if not self.config.plus_plus:
            return self._above_baseline(samples, rewards + by_token.sum(1))
        token_rewards = (
            estimators.token_rewards(self._above_baseline(samples, rewards), batch.mask) + by_token
        )
        return estimators.reinforce_plus_plus(token_rewards, batch.mask, discount=self.config.discount)

    def _above_baseline(self, samples: Sequence[Sample], rewards: Tensor) -> Tensor:
        keys = [f"{s.role}/{s.hops}" if self.config.by_hops else s.role for s in samples]
        if self.config.baseline == "moving":
            return self._moving.advantages(rewards, keys)
        if self.config.baseline == "batch":
            return estimators.grpo(rewards, keys, scale="none", leave_singletons=False)
        return estimators.reinforce(rewards)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moving averages."""
        averages = self._moving.state_dict()
        return {key: torch.tensor(value, dtype=torch.float64) for key, value in averages.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        self._moving.load_state_dict({key: float(value) for key, value in state.items()})


if __name__ == "__main__":
    from baselines.standalone import main

    main("reinforce")
