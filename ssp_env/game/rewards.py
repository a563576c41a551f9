"""The proposer's reward as a function of the solver's mean success."""

from __future__ import annotations

from ssp_env.game.config import RewardShape


def proposer_reward(shape: RewardShape, success_rate: float) -> float:
    """Pay the proposer of a valid question (paper section 3.3; released code, reward types).

    Args:
        shape: `1-acc`, `4p(1-p)` or `format_only`.
        success_rate: p, mean success of the solver's attempts, in [0, 1].

    >>> [proposer_reward("4p(1-p)", k / 5) for k in (0, 5)]
    [0.0, 0.0]
    """
    if shape == "1-acc":
        return 1.0 - success_rate
    if shape == "4p(1-p)":
        return 4.0 * success_rate * (1.0 - success_rate)
    return 1.0
