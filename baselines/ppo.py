"""PPO for conversations with tool results: a critic, and advantages that step over what tools wrote.

What happens in an update, in this order (in brackets, who does otherwise):

1. Rewards: what the game paid, on the last *sampled* token of the conversation; turn rewards on the last
   sampled token of their turn (verl 0.9 puts the reward on the last token, which may be an observation: it is
   lost). The KL penalty, if it is in the reward, lands on sampled tokens only.
2. Values: a linear head on the policy's own trunk, one forward pass for both, or a model of its own that
   starts as a copy of the policy. The value of a token is read from the state before it. Heads start at 0, or
   at the mean return of the first update: a head that has to reach a mean far from 0 step by step has a
   negative explained variance for a long time.
3. Generalised advantage estimation over sampled tokens: values and advantages are carried over observations
   unchanged (SkyRL, slime and Search-R1 walk through them; with lambda = 1 that does not show). In turn mode
   a turn is one step, with the value at its first token.
4. discount = lambda = 1 by default, the outcome less the value; `adaptive_lambda` is VAPO's 1 - 1 / (alpha l)
   for the policy, with alpha 0.05 and l the sampled tokens of the conversation, and 1 for the critic.
5. A conversation that ended at a limit ends there (`bootstrap = false`), or its last value stands for what
   would have followed.
6. Advantages are whitened over all sampled tokens of the batch.
7. Policy loss as in GRPO; value loss 1/2 (V - R)^2 with V clipped to within 0.5 of the old value, the larger
   of both (as in the code of PPO's authors), times `value_coefficient`; sampled tokens only.
8. Warm-up: as long as the critic explains nothing of the returns (explained variance not above 0), but at
   most `warmup_updates`, it learns alone, from Monte-Carlo returns, and the trunk stays as it is.

Run alone: `python -m baselines.ppo --preset tiny --role solver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from baselines import policy_gradient
from baselines.advantages import gae, gae_by_turn, token_rewards, unscored_rows, whiten
from baselines.learner import Experience, Learner, Loss, Totals
from baselines.losses import aggregate, value_loss
from baselines.policies.causal_lm import Policy, Scores, scatter
from baselines.policy_gradient import PolicyGradientConfig
from baselines.samples import Batch, Sample


@dataclass(frozen=True)
class PPOConfig(PolicyGradientConfig):
    """Options of PPO, beside those of the policy loss.

    Attributes:
        critic: `head` puts the value on the policy's trunk, `model` gives the critic a copy of its own.
        critic_start: Value before anything is learnt: `zero`, or the `mean` return of the first update.
        critic_learning_rate: Learning rate of the head, or of the critic's whole model.
        value_coefficient: Factor of the value loss.
        value_clip: The value is clipped to this distance from the old one; None for no clipping.
        discount: Discount per step (gamma).
        lam: Weight of longer returns (lambda).
        adaptive_lambda: Let lambda depend on the length l of the conversation, as in VAPO: 1 - 1 / (alpha l)
            for the policy and 1 for the critic, in place of `lam`.
        lambda_alpha: That alpha.
        step: Whether a step is a `token` or a `turn`.
        bootstrap: Let the last value of a truncated conversation stand for what would have followed.
        whiten: Whiten the advantages.
        warmup_updates: Most updates in which the critic learns alone.
    """

    critic: Literal["head", "model"] = "head"
    critic_start: Literal["zero", "mean"] = "zero"
    critic_learning_rate: float = 1e-3
    value_coefficient: float = 0.5
    value_clip: float | None = 0.5
    discount: float = 1.0
    lam: float = 1.0
    adaptive_lambda: bool = False
    lambda_alpha: float = 0.05
    step: Literal["token", "turn"] = "token"
    bootstrap: bool = False
    whiten: bool = True
    warmup_updates: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("discount", "lam"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("critic_learning_rate", "lambda_alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.adaptive_lambda and self.step == "turn":
            raise ValueError("adaptive_lambda counts tokens: it needs step 'token', got 'turn'")


class PPO:
    """Proximal policy optimisation with a critic (Schulman et al. 2017).

    Args:
        learner: Changes the weights of the policy that sampled, and those of the critic.
        config: The options.
    """

    config_class = PPOConfig

    def __init__(self, learner: Learner, config: PPOConfig = PPOConfig()) -> None:  # frozen
        self.learner = learner
        self.config = config
        self.head = nn.Linear(learner.policy.hidden_size, 1, device=learner.policy.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        parameters = list(self.head.parameters())
        self.critic: Policy | None = None
        if config.critic == "model":
            self.critic = learner.policy.duplicate(trainable=True)
            parameters += list(self.critic.trainable_parameters())
        learner.add_parameters(parameters, config.critic_learning_rate)
        self._updates = 0
        self._warm = config.warmup_updates == 0

    def update(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Learn from samples of one role; return the metrics of `Learner.fit`."""
        return self.learner.fit([self.experience(samples)]) if samples else {}

    # -- before the update -----------------------------------------------------------------------------

    def experience(self, samples: Sequence[Sample]) -> Experience:
        """Return the samples with advantages and returns; roles that share a policy are fitted together."""
        batch, metrics = policy_gradient.prepare(samples, self.learner, self.config)
        rewards, by_token = policy_gradient.shaped_rewards(samples, batch, self.config)
        paid = token_rewards(rewards, batch.mask) + by_token
        if self.config.critic_start == "mean" and self._updates == 0:
            self._start_at_mean(paid, batch)
        values = self.learner.map_micro_batches(batch, self._old_values)
        advantages, returns = self._advantages(samples, batch, paid, values)
        # A sample whose scorer failed teaches neither the policy nor the critic, and is in nobody's mean.
        known = batch.mask & ~unscored_rows(paid, batch.mask)
        explained = _explained_variance(values[known], returns[known])
        if self.config.whiten:
            advantages = whiten(advantages, known)
        self._updates += 1
        self._warm = self._warm or explained > 0.0 or self._updates > self.config.warmup_updates
        metrics |= {
            "explained_variance": explained,
            "value": float(values[known].mean()) if known.any() else 0.0,
            "critic_warmup": float(not self._warm),
        }
        batch = batch.with_extras(old_values=values, returns=returns, known=known)
        base = policy_gradient.experience(
            samples[0].role, samples, batch, advantages * known, self.config, metrics
        )
        return Experience(base.name, base.batch, self.loss, metrics=metrics)

    @torch.no_grad()
    def _start_at_mean(self, paid: Tensor, batch: Batch) -> None:
        """Let the bias of the head be the mean return of the conversations that could be scored."""
        scored = ~unscored_rows(paid, batch.mask)[:, 0]
        if scored.any():
            self.head.bias.fill_(float(paid[scored].sum(1).mean()))

    def _old_values(self, micro: Batch) -> Tensor:
        return self._values((self.critic or self.learner.policy).states(micro), micro)

    def _values(self, states: Tensor, batch: Batch) -> Tensor:
        return scatter(self.head(states.float())[:, 0], batch.mask)

    def _advantages(
        self, samples: Sequence[Sample], batch: Batch, paid: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        config = self.config
        last = None
        if config.bootstrap:
            # The state after the last token is not scored; the value before it is the nearest one known.
            columns = torch.arange(batch.mask.shape[1])
            final = torch.where(batch.mask, columns, -1).amax(1).clamp(min=0)
            truncated = torch.tensor([sample.truncated for sample in samples])
            last = values.gather(1, final[:, None])[:, 0] * truncated
        estimate: Callable[..., tuple[Tensor, Tensor]] = partial(gae, paid, values, batch.mask)
        if config.step == "turn":
            estimate = partial(gae_by_turn, paid, values, batch.mask, batch.turns)
        lam: float | Tensor = config.lam
        if config.adaptive_lambda:
            lam = 1.0 - 1.0 / (config.lambda_alpha * batch.mask.sum(1)).clamp(min=1.0)
        advantages, returns = estimate(discount=config.discount, lam=lam, bootstrap=last)
        if config.adaptive_lambda or not self._warm:
            _, returns = estimate(discount=config.discount, lam=1.0, bootstrap=last)
        return advantages, returns

    # -- the loss --------------------------------------------------------------------------------------

    def loss(self, batch: Batch, scores: Scores, totals: Totals) -> Loss:
        """Return policy loss plus value loss; the value loss alone while the critic warms up."""
        states = self.critic.states(batch) if self.critic else scores.states
        if not self._warm and self.critic is None:
            states = states.detach()
        values = self._values(states, batch)
        errors = value_loss(
            values, batch["old_values"], batch["returns"], batch["known"], clip=self.config.value_clip
        )
        # One normaliser for the value loss, whatever the policy loss is divided by.
        value = aggregate(errors, batch["known"], normaliser="token", tokens=totals.tokens)
        policy = policy_gradient.surrogate_loss(batch, scores, totals, self.config)
        sums = {**policy.sums, "value_loss": errors.detach().sum()}
        if not self._warm:
            return Loss(self.config.value_coefficient * value, sums)
        return Loss(policy.value + self.config.value_coefficient * value, sums)

    # -- checkpoints -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Return the critic and the progress of its warm-up."""
        state = {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        if self.critic:
            state |= {f"critic.{n}": t for n, t in self.critic.state_dict().items()}
        return {**state, "progress": torch.tensor([self._updates, int(self._warm)])}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Invert `state_dict`."""
        parts: dict[str, dict[str, Tensor]] = {"head": {}, "critic": {}}
        for name, tensor in state.items():
            if name != "progress":
                part, key = name.split(".", 1)
                parts[part][key] = tensor
        self.head.load_state_dict(parts["head"])
        if self.critic:
            self.critic.load_state_dict(parts["critic"])
        updates, warm = state["progress"].tolist()
        self._updates, self._warm = int(updates), bool(warm)


def _explained_variance(values: Tensor, returns: Tensor) -> float:
    """Return 1 - var(returns - values) / var(returns); 0 where the returns do not vary."""
    if len(returns) < 2 or not returns.var() > 0:
        return 0.0
    return float(1.0 - (returns - values).var() / returns.var())


if __name__ == "__main__":
    from baselines.standalone import main

    main("ppo")
