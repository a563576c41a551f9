"""The proposer's reward as a function of the solver's mean success: a named shape or your own function."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, TypeAlias

RewardFunction: TypeAlias = Callable[[float], float]

_SHAPES: Mapping[str, RewardFunction] = {
    "1-acc": lambda p: 1.0 - p,
    "1-acc-if-solved": lambda p: 1.0 - p if p > 0 else 0.0,
    "4p(1-p)": lambda p: 4.0 * p * (1.0 - p),
    "min(p,1-p)": lambda p: min(p, 1.0 - p),
    "learnability": lambda p: p * (1.0 - p),
    "format_only": lambda p: 1.0,
}
REWARD_SHAPES = tuple(_SHAPES)
NEED_ATTEMPTS = ("1-acc-if-solved", "4p(1-p)", "min(p,1-p)", "learnability")
"""Shapes that pay nothing at p = 0 and p = 1, hence nothing at all with a single attempt."""


def proposer_reward(reward: str | RewardFunction, success_rate: float) -> float:
    """Pay the proposer of a valid question.

    | shape             | value                 | source                                                |
    |-------------------|-----------------------|-------------------------------------------------------|
    | `1-acc`           | 1 - p                 | paper section 3.3                                     |
    | `1-acc-if-solved` | 1 - p, but 0 at p = 0 | a question nobody solves may have another answer      |
    | `4p(1-p)`         | 4 p (1 - p)           | released code, intermediate difficulty                |
    | `min(p,1-p)`      | min(p, 1 - p)         | half of R-Zero's 1 - 2 abs(p - 1/2), arXiv 2508.05004 |
    | `learnability`    | p (1 - p)             | variance of a solver's reward, arXiv 2408.15099       |
    | `format_only`     | 1                     | released code: any valid question is paid             |

    `format_only` is exploitable: the easiest question is paid as much as the best one, so that a proposer
    learns to ask what everybody knows.

    Args:
        reward: A shape of the table, a function of p, or the name of one as `package.module:function`.
        success_rate: p, mean success of the solver's attempts, in [0, 1].

    Raises:
        ValueError: If there is no such shape or function, or it raises or gives a number that is not finite.
        TypeError: If it is no function, or gives something other than a number.

    >>> [proposer_reward("4p(1-p)", k / 5) for k in (0, 5)]
    [0.0, 0.0]
    >>> [proposer_reward("1-acc-if-solved", p) for p in (0.0, 0.25, 1.0)]
    [0.0, 0.75, 0.0]
    >>> proposer_reward("math:sqrt", 0.25), proposer_reward(lambda p: p < 0.5 and 2.0, 0.25)
    (0.5, 2.0)
    """
    function = _function(reward)
    try:
        value: object = function(success_rate)
    except (Exception, SystemExit) as error:
        raised = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"the reward {reward!r} raised {raised}, for the success rate {success_rate:g}"
        ) from error
    given = f"got {value!r} from {reward!r} for the success rate {success_rate:g}"
    if not isinstance(value, Real):
        raise TypeError(f"a reward must be a number, {given}")
    if not math.isfinite(value):
        raise ValueError(f"a reward must be a finite number, {given}")
    return float(value)


def named_reward(reward: str | RewardFunction) -> str | RewardFunction:
    """Return the name under which other processes can import a function; the function if there is none.

    A shape or a name is returned as it is. Lambdas, functions inside functions, callable objects and what is
    defined in `__main__` have no such name.

    >>> import math
    >>> named_reward(math.sqrt), named_reward("1-acc")
    ('math:sqrt', '1-acc')
    """
    if isinstance(reward, str):
        return reward
    module, path = getattr(reward, "__module__", None), getattr(reward, "__qualname__", None)
    if not module or not path or module == "__main__":
        return reward
    name = f"{module}:{path}"
    try:
        return name if pkgutil.resolve_name(name) is reward else reward
    except (ImportError, AttributeError, ValueError):
        return reward


def written_reward(reward: str | RewardFunction) -> str:
    """Return the name of a reward for plain data.

    Raises:
        ValueError: If the reward is a function that other processes cannot import.
    """
    name = named_reward(reward)
    if isinstance(name, str):
        return name
    raise ValueError(
        f"rules can be written only if their reward can be imported, got {reward!r}: "
        "define it at the top of a module, or name it as package.module:function"
    )


def _function(reward: str | RewardFunction) -> RewardFunction:
    found: Any = reward
    if isinstance(reward, str):
        if reward in _SHAPES:
            return _SHAPES[reward]
        if ":" not in reward:
            raise ValueError(
                f"reward must be one of {', '.join(REWARD_SHAPES)}, or a function named as "
                f"package.module:function, got {reward!r}"
            )
        try:
            found = pkgutil.resolve_name(reward)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"reward {reward!r} cannot be imported: {error}") from error
    if not callable(found):
        raise TypeError(f"reward must be a function of the success rate, got {reward!r}")
    return found  # type: ignore[no-any-return]
