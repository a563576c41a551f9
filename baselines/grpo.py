"""GRPO and its relatives: advantages from the rewards of a group, without a critic.

What happens in an update, in this order:

1. Rewards: what the game paid, less DAPO's overlong penalty and the KL penalty if they are in the reward.
2. Groups: attempts at one question; for the proposer, proposals for one answer, or (`group_by = "hops"`,
   HRPO of Dr. Zero) all proposals that were asked for as many hops.
3. Advantages: (R - mean) / (std + epsilon) with the unbiased standard deviation (GRPO; SSP's code), without
   the division (Dr. GRPO; SSP's equation 4), or divided by the deviation of the batch (Lite PPO); R less the
   mean of the others (RLOO); or (R - mean) / mean (MaxRL). A group of one has its raw reward, as in verl, so
   that one attempt per question is REINFORCE; by MaxRL it has advantage 0. A sample whose scorer failed has
   advantage 0 and changes nobody else's.
4. Every sampled token of a conversation has its advantage; what tools wrote has no loss.
5. The clipped surrogate with separate bounds (DAPO: 0.2 and 0.28), GSPO or CISPO; divided by all sampled
   tokens of the minibatch, groups without a difference in reward included, so that neither micro-batches nor
   the share of such groups change the step of the others. `normaliser` has GRPO's and Dr. GRPO's means too.
6. Conversations without a gradient (advantage 0, no entropy bonus, no KL in the loss) skip the forward pass.

Run alone: `python -m baselines.grpo --preset tiny --role solver`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from baselines import advantages as estimators
from baselines import policy_gradient
from baselines.learner import Experience, Learner
from baselines.policy_gradient import PolicyGradientConfig
from baselines.samples import Sample


@dataclass(frozen=True)
class GRPOConfig(PolicyGradientConfig):
    """Options of GRPO, beside those of the policy loss.

    Attributes:
        estimator: `grpo` subtracts the group's mean, `rloo` the mean of the others; `maxrl` subtracts the
            group's mean and divides by it.
        scale: What `grpo` divides by: the standard deviation of the `group`, of the `batch`, or `none`.
        epsilon: Added to that standard deviation; 1e-6 in verl, 1e-4 in TRL.
        group_by: `group` compares attempts at one question (proposals for one answer), `hops` all samples
            whose task asked for as many hops.
    """

    estimator: Literal["grpo", "rloo", "maxrl"] = "grpo"
    scale: estimators.Scale = "group"
    epsilon: float = 1e-6
    group_by: Literal["group", "hops"] = "group"


class GRPO:
    """Group relative policy optimisation (DeepSeekMath, section 4.1).

    Args:
        learner: Changes the weights of the policy that sampled.
        config: The options.
    """

    config_class = GRPOConfig

    def __init__(self, learner: Learner, config: GRPOConfig = GRPOConfig()) -> None:  # frozen
        self.learner = learner
        self.config = config

    def update(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Learn from samples of one role; return the metrics of `Learner.fit`."""
        return self.learner.fit([self.experience(samples)]) if samples else {}

    def experience(self, samples: Sequence[Sample]) -> Experience:
        """Return the samples with their advantages; roles that share a policy are fitted together."""
        batch, metrics = policy_gradient.prepare(samples, self.learner, self.config)
        rewards, by_token = policy_gradient.shaped_rewards(samples, batch, self.config)
        rewards = rewards + by_token.sum(1)
        groups = self._groups(samples)
        mixed = estimators.mixed_groups(rewards, groups)
        metrics["mixed_groups"] = float(mixed.float().mean())
        advantages = self._advantages(rewards, groups)
        return policy_gradient.experience(samples[0].role, samples, batch, advantages, self.config, metrics)

    def _groups(self, samples: Sequence[Sample]) -> list[str]:
        if self.config.group_by == "hops":
            return [f"{sample.hops} hops" for sample in samples]
        return [sample.group for sample in samples]

    def _advantages(self, rewards: Tensor, groups: Sequence[str]) -> Tensor:
        if self.config.estimator == "rloo":
            return estimators.rloo(rewards, groups)
        if self.config.estimator == "maxrl":
            return estimators.maxrl(rewards, groups)
        return estimators.grpo(rewards, groups, scale=self.config.scale, epsilon=self.config.epsilon)

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing is kept from one update to the next."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""


if __name__ == "__main__":
    from baselines.standalone import main

    main("grpo")
