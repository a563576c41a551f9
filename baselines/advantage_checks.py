"""A conformance kit for advantage estimators in games with tool results.

Run `python -m baselines.advantage_checks` for a table of ours, and of verl's where it is installed.

An estimator is a function of rewards per token (batch, length), values per token, a mask that is True on
sampled tokens, and the group of each row; it returns advantages (batch, length). Estimators that use values
are checked as `critic`, or as `turn` where a turn is one step, with the value at its first token; those that
compare the members of a group are checked as `group`. The cases are those in which published trainers differ:
tokens that a tool wrote between two turns, episodes that end with such tokens, rewards that stand on them,
episodes without any reward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from baselines import advantages
from baselines.verl_estimators import Estimator, verl_estimators

Kind = Literal["critic", "turn", "group"]

DISCOUNT, LAMBDA = 1.0, 0.95
"""Estimators with a critic, by token or by turn, are checked at these."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one case.

    Attributes:
        case: Name of the case.
        passed: Whether the estimator did what it should.
        explanation: What is expected and why.
        got: What came instead, or the exception; empty if it passed.
    """

    case: str
    passed: bool
    explanation: str
    got: str = ""


@dataclass(frozen=True)
class _Case:
    name: str
    explanation: str
    kinds: tuple[Kind, ...]
    check: Callable[[Estimator, Kind], str]


def check_estimator(estimator: Estimator, kind: Kind) -> list[CheckResult]:
    """Put an estimator through the cases of its kind.

    Args:
        estimator: See the module. With a critic it must use discount 1 and lambda 0.95, and not whiten.
        kind: `critic`, `turn` or `group`.

    Returns:
        One result per case, in a fixed order; an estimator that raises has failed the case.

    >>> def mean_of_all(rewards, values, mask, groups):
    ...     outcomes = rewards.sum(1)
    ...     return (outcomes - outcomes.mean())[:, None] * mask
    >>> [result.case for result in check_estimator(mean_of_all, "group") if not result.passed]
    ['failed scorer']
    """
    results = []
    for case in _CASES:
        if kind in case.kinds:
            try:
                got = case.check(estimator, kind)
            except Exception as error:
                got = f"raised {type(error).__name__}: {error}"
            results.append(CheckResult(case.name, not got, case.explanation, got))
    return results


def assert_conforms(estimator: Estimator, kind: Kind) -> None:
    """Raise an AssertionError that lists the cases an estimator fails."""
    failed = [result for result in check_estimator(estimator, kind) if not result.passed]
    if failed:
        lines = [f"{result.case}: {result.explanation}; {result.got}" for result in failed]
        raise AssertionError("the estimator fails:\n" + "\n".join(lines))


# -- the cases ---------------------------------------------------------------------------------------------

_ONE = ["a"]
_GAP = torch.tensor([[True, True, False, False, True, True]])


def _differs(got: Tensor, expected: Sequence[Sequence[float]]) -> str:
    wanted = torch.tensor(expected, dtype=got.dtype)
    if torch.allclose(got, wanted, atol=1e-5):
        return ""
    numbers = [[round(value, 3) for value in row] for row in got.tolist()]
    return f"expected {[list(row) for row in expected]}, got {numbers}"


def _brute_force(rewards: Tensor, values: Tensor, steps: Sequence[Sequence[int]]) -> list[float]:
    """Return the sum of discounted deltas over steps, each of one or more sampled places, written out."""
    deltas = []
    for number, places in enumerate(steps):
        following = float(values[steps[number + 1][0]]) if number + 1 < len(steps) else 0.0
        paid = sum(float(rewards[place]) for place in places)
        deltas.append(paid + DISCOUNT * following - float(values[places[0]]))
    return [
        sum((DISCOUNT * LAMBDA) ** (k - start) * deltas[k] for k in range(start, len(deltas)))
        for start in range(len(deltas))
    ]


def _steps(mask: Tensor, kind: Kind) -> list[list[int]]:
    """Return the sampled places of a row by step: one by one, or consecutive ones together."""
    steps: list[list[int]] = []
    for place in mask.nonzero()[:, 0].tolist():
        if kind == "turn" and steps and steps[-1][-1] == place - 1:
            steps[-1].append(place)
        else:
            steps.append([place])
    return steps


def _expected(rewards: Tensor, values: Tensor, mask: Tensor, kind: Kind) -> list[list[float]]:
    rows = []
    for row in range(len(mask)):
        steps = _steps(mask[row], kind)
        by_step = zip(steps, _brute_force(rewards[row], values[row], steps), strict=True)
        found = {place: value for places, value in by_step for place in places}
        rows.append([found.get(place, 0.0) for place in range(mask.shape[1])])
    return rows


def _against_brute_force(
    estimator: Estimator, kind: Kind, rewards: Tensor, values: Tensor, mask: Tensor
) -> str:
    groups = [str(row) for row in range(len(mask))]
    return _differs(estimator(rewards, values, mask, groups), _expected(rewards, values, mask, kind))


def _gap(estimator: Estimator, kind: Kind) -> str:
    rewards = torch.tensor([[0.0, 0, 0, 0, 0, 1]])
    values = torch.tensor([[0.5, 0.25, 9, 9, 0.5, 0.75]])
    return _against_brute_force(estimator, kind, rewards, values, _GAP)


def _observation_at_the_end(estimator: Estimator, kind: Kind) -> str:
    mask = torch.tensor([[True, True, False, False]])
    rewards, values = torch.tensor([[0.0, 1, 0, 0]]), torch.tensor([[0.5, 0.5, 9, 9]])
    return _against_brute_force(estimator, kind, rewards, values, mask)


def _paid_on_an_observation(estimator: Estimator, kind: Kind) -> str:
    paid, moved = torch.zeros(2, 6), torch.zeros(2, 6)
    paid[0, 3], moved[0, 1] = 1.0, 1.0
    values, mask = torch.zeros(2, 6), _GAP.expand(2, 6)
    try:
        got = estimator(paid, values, mask, ["a", "a"])
    except ValueError:
        return ""
    if kind == "group":
        larger = bool(got[0, 0] > got[1, 0])
        return "" if larger else f"the reward is lost: {[round(v, 3) for v in got[0].tolist()]}"
    return _differs(got, _expected(moved, values, mask, kind))


def _all_zero(estimator: Estimator, kind: Kind) -> str:
    got = estimator(torch.zeros(2, 6), torch.zeros(2, 6), _GAP.expand(2, 6), ["a", "a"])
    return _differs(got, [[0.0] * 6] * 2)


def _zero_turn(estimator: Estimator, kind: Kind) -> str:
    mask = torch.tensor([[True, False, True, False, True]])
    rewards, values = torch.tensor([[0.5, 0, 0, 0, 1]]), torch.tensor([[0.25, 9, 0.5, 9, 0.75]])
    return _against_brute_force(estimator, kind, rewards, values, mask)


def _truncation(estimator: Estimator, kind: Kind) -> str:
    mask = torch.tensor([[True, True, False, True, True], [True, True, False, False, False]])
    rewards = torch.tensor([[0.0, 0, 0, 0, 1], [0.0, 0, 0, 0, 0]])
    values = torch.tensor([[0.5, 0.5, 9, 0.5, 0.5], [0.5, 0.5, 9, 9, 9]])
    return _against_brute_force(estimator, kind, rewards, values, mask)


def _outside(estimator: Estimator, kind: Kind) -> str:
    rewards = torch.tensor([[0.0, 0, 0, 0, 0, 1], [0.0, 0, 0, 0, 0, 0]])
    values, mask = torch.full((2, 6), 0.5), _GAP.expand(2, 6)
    clean = estimator(rewards, values, mask, ["a", "a"])
    spoiled = estimator(rewards, torch.where(mask, values, 1e6), mask, ["a", "a"])
    if clean[~mask].any():
        return "tokens that were not sampled have an advantage"
    return _differs(spoiled, clean.tolist())


def _outcome(estimator: Estimator, kind: Kind) -> str:
    rewards = torch.tensor([[0.0, 0, 0, 0, 0, 1]])
    got = estimator(rewards, torch.zeros(1, 6), _GAP, _ONE)
    decay = DISCOUNT * LAMBDA
    if kind == "turn":
        return _differs(got, [[decay, decay, 0.0, 0.0, 1.0, 1.0]])
    return _differs(got, [[decay**3, decay**2, 0.0, 0.0, decay, 1.0]])


def _same_on_every_token(estimator: Estimator, kind: Kind) -> str:
    rewards = torch.tensor([[0.0, 0, 0, 0, 0, 1], [0.0, 0, 0, 0, 0, 0]])
    got = estimator(rewards, torch.zeros(2, 6), _GAP.expand(2, 6), ["a", "a"])
    for row in got:
        if row[_GAP[0]].unique().numel() != 1:
            return f"tokens of one conversation differ: {[round(v, 3) for v in row.tolist()]}"
    return "" if float(got[0, 0]) > float(got[1, 0]) else "the better conversation has no larger advantage"


def _penalty(estimator: Estimator, kind: Kind) -> str:
    mask = _GAP.expand(2, 6)
    rewards = torch.where(mask, -0.1, 0.0) + torch.tensor([[0.0, 0, 0, 0, 0, 1], [0.0] * 6])
    got = estimator(rewards, torch.zeros(2, 6), mask, ["a", "b"])
    return "tokens that were not sampled have an advantage" if got[~mask].any() else ""


def _failed_scorer(estimator: Estimator, kind: Kind) -> str:
    rewards = torch.zeros(3, 6)
    rewards[0, 5], rewards[2, 5] = 1.0, float("nan")
    values, mask = torch.zeros(3, 6), _GAP.expand(3, 6)
    without = estimator(rewards[:2], values[:2], mask[:2], ["a", "a"])
    got = estimator(rewards, values, mask, ["a", "a", "a"])
    if got[2].nan_to_num(1.0).any():
        return f"the failed sample has an advantage: {[round(v, 3) for v in got[2].tolist()]}"
    return _differs(got[:2], without.tolist())


_STEPS: tuple[Kind, ...] = ("critic", "turn")
_ALL: tuple[Kind, ...] = ("critic", "turn", "group")
_CASES = (
    _Case("gap", "what a tool wrote is stepped over, also with lambda below 1", _STEPS, _gap),
    _Case(
        "observation at the end",
        "a reward on the last sampled token survives observations after it",
        _STEPS,
        _observation_at_the_end,
    ),
    _Case(
        "reward on an observation",
        "what stands on a tool's tokens pays the sampled tokens before them, or is refused; it is not lost",
        _ALL,
        _paid_on_an_observation,
    ),
    _Case("all rewards zero", "an episode that is paid nothing is no error", _ALL, _all_zero),
    _Case("zero-reward turn", "a turn without a reward in the middle is a turn", _STEPS, _zero_turn),
    _Case("truncation", "rows of different lengths do not touch each other", _STEPS, _truncation),
    _Case("mask", "nothing outside the mask influences a result", _ALL, _outside),
    _Case("outcome", "without a critic the outcome reaches every sampled token", _STEPS, _outcome),
    _Case("one advantage", "all sampled tokens share the advantage", ("group",), _same_on_every_token),
    _Case("KL in the reward", "penalties land on sampled tokens only", _ALL, _penalty),
    _Case(
        "failed scorer",
        "a sample with a NaN reward has no advantage and changes nobody else's",
        _ALL,
        _failed_scorer,
    ),
)


# -- ours ----------------------------------------------------------------------------------------------------


def _placed(rewards: Tensor, mask: Tensor) -> Tensor:
    """Move what stands on observations to the sampled token before them, as our trainers place rewards."""
    columns = torch.arange(mask.shape[1]).expand(mask.shape)
    before = torch.where(mask, columns, 0).cummax(1).values
    return torch.zeros_like(rewards).scatter_add(1, before, rewards) * mask


def _by_outcome(function: Callable[[Tensor, Sequence[str]], Tensor]) -> Estimator:
    """Return an estimator over tokens for one over the rewards of whole conversations."""

    def estimator(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
        return advantages.broadcast(function(rewards.sum(1), groups), mask)

    return estimator


def _gae(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
    return advantages.gae(_placed(rewards, mask), values, mask, discount=DISCOUNT, lam=LAMBDA)[0]


def _gae_by_turn(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
    starts = mask & ~torch.cat([torch.zeros_like(mask[:, :1]), mask[:, :-1]], dim=1)
    turns = torch.where(mask, starts.cumsum(1) - 1, -1)
    paid = _placed(rewards, mask)
    return advantages.gae_by_turn(paid, values, mask, turns, discount=DISCOUNT, lam=LAMBDA)[0]


def _plus_plus(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
    return advantages.reinforce_plus_plus(_placed(rewards, mask), mask)


def _plus_plus_baseline(rewards: Tensor, values: Tensor, mask: Tensor, groups: Sequence[str]) -> Tensor:
    return advantages.reinforce_plus_plus_baseline(rewards.sum(1), groups, mask)


def _moving_baseline(rewards: Tensor, groups: Sequence[str]) -> Tensor:
    return advantages.MovingBaseline().advantages(rewards, groups)


def _by_hops(rewards: Tensor, groups: Sequence[str]) -> Tensor:
    """HRPO: the groups are those of questions with as many hops, whatever their answers."""
    return advantages.grpo(rewards, [f"{group} hops" for group in groups])


ESTIMATORS: dict[str, tuple[Kind, Estimator]] = {
    "GAE": ("critic", _gae),
    "GAE by turn": ("turn", _gae_by_turn),
    "GRPO": ("group", _by_outcome(advantages.grpo)),
    "Dr. GRPO": ("group", _by_outcome(lambda r, g: advantages.grpo(r, g, scale="none"))),
    "GRPO, scale of the batch": ("group", _by_outcome(lambda r, g: advantages.grpo(r, g, scale="batch"))),
    "HRPO": ("group", _by_outcome(_by_hops)),
    "RLOO": ("group", _by_outcome(advantages.rloo)),
    "MaxRL": ("group", _by_outcome(advantages.maxrl)),
    "REINFORCE": ("group", _by_outcome(lambda r, g: advantages.reinforce(r))),
    "REINFORCE, moving baseline": ("group", _by_outcome(_moving_baseline)),
    "REINFORCE++": ("group", _plus_plus),
    "REINFORCE++ baseline": ("group", _plus_plus_baseline),
}
"""Our estimators, by name."""


def main() -> None:
    """Print which cases our estimators pass, and verl's."""
    from rich.console import Console
    from rich.table import Table

    from ssp_env.cli.progress import tracked

    table = Table("estimator", "checked as", "cases passed", "cases failed")
    estimators = {**ESTIMATORS, **verl_estimators(DISCOUNT, LAMBDA)}
    for name, (kind, estimator) in tracked(estimators.items(), "checking estimators"):
        results = check_estimator(estimator, kind)
        failed = [result.case for result in results if not result.passed]
        passed = f"{len(results) - len(failed)} of {len(results)}"
        table.add_row(name, kind, passed, ", ".join(failed) or "none")
    Console().print(table)


if __name__ == "__main__":
    main()
