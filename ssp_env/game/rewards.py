"""The proposer's reward as a function of the solver's mean success."""

from __future__ import annotations

from ssp_env.game.config import RewardShape


def proposer_reward(shape: RewardShape, success_rate: float) -> float:
    """Pay the proposer of a valid question.

    | shape             | value                 | source                                                |
    |-------------------|-----------------------|-------------------------------------------------------|
    | `1-acc`           | 1 - p                 | paper section 3.3                                     |
    | `1-acc-if-solved` | 1 - p, but 0 at p = 0 | a question nobody solves may have another answer      |
    | `4p(1-p)`         | 4 p (1 - p)           | released code, intermediate difficulty                |
    | `min(p,1-p)`      | min(p, 1 - p)         | half of R-Zero's 1 - 2 abs(p - 1/2), arXiv 2508.05004 |
    | `learnability`    | p (1 - p)             | variance of a solver's reward, arXiv 2408.15099       |
    | `format_only`     | 1                     | released code: any valid question is paid             |

    Args:
        shape: A key of the table.
        success_rate: p, mean success of the solver's attempts, in [0, 1].

    >>> [proposer_reward("4p(1-p)", k / 5) for k in (0, 5)]
    [0.0, 0.0]
    >>> [proposer_reward("1-acc-if-solved", p) for p in (0.0, 0.25, 1.0)]
    [0.0, 0.75, 0.0]
    """
    p = success_rate
    if shape == "1-acc":
        return 1.0 - p
    if shape == "1-acc-if-solved":
        return 1.0 - p if p > 0 else 0.0
    if shape == "4p(1-p)":
        return 4.0 * p * (1.0 - p)
    if shape == "min(p,1-p)":
        return min(p, 1.0 - p)
    if shape == "learnability":
        return p * (1.0 - p)
    return 1.0
