"""How many policies the two roles have, and which options do not go with more than one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from baselines.config.model import ModelConfig, RolloutConfig
from baselines.config.self_play import CURRENT, PAST
from ssp_env.game import Role

Policies = Literal["shared", "adapters", "models"]


def check_policies(
    policies: Policies,
    learning: Collection[Role],
    updates: str,
    model: ModelConfig,
    rollout: RolloutConfig,
    opponents: Mapping[Role, str],
) -> None:
    """Refuse options that do not go with a policy for each role.

    Args:
        policies: `policies` of the run.
        learning: Roles that learn.
        updates: `updates` of the run.
        model: What each role has one of.
        rollout: What samples.
        opponents: By role, who plays it against the other one.

    Raises:
        ValueError: If there are any; the message says what to change.
    """
    if policies == "shared":
        return
    _check_model(policies, model)
    if model.sharding != "none":
        raise ValueError(
            f"model.sharding {model.sharding!r} goes with one policy for both roles: set policies to "
            "'shared', or model.sharding to 'none'"
        )
    for role, name in opponents.items():
        if role not in learning and name in (CURRENT, *PAST):
            raise ValueError(
                f"opponents.{role} = {name!r} names weights of the {role}'s own policy, which does not "
                "learn: leave it out, or set policies to 'shared'"
            )
    if len(learning) < 2:
        return
    if updates == "combined":
        raise ValueError(
            f"policies {policies!r} have no optimiser step in common: set updates to 'separate', or policies "
            "to 'shared'"
        )
    adapters_served = bool(rollout.urls) and not rollout.merge_adapter
    if rollout.engine != "transformers" and not (policies == "adapters" and adapters_served):
        raise ValueError(
            f"rollout.engine {rollout.engine!r} holds the weights of one model, and policies {policies!r} "
            "need two: set rollout.engine to 'transformers', or train adapters that servers sample with "
            "(policies 'adapters' with vllm:URL, without rollout.merge_adapter)"
        )


def _check_model(policies: Policies, model: ModelConfig) -> None:
    if policies == "adapters" and not model.lora_rank:
        instead = "" if model.is_tiny else "set model.lora_rank to 16, or "
        raise ValueError(
            f"policies 'adapters' train a LoRA adapter for each role, and model.lora_rank is 0: {instead}set "
            "policies to 'models'"
        )
    if policies == "models" and model.lora_rank:
        raise ValueError(
            "policies 'models' train all weights of a model for each role, and model.lora_rank is "
            f"{model.lora_rank}: leave it out, or set policies to 'adapters'"
        )
