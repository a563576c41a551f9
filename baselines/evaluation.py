"""Held-out accuracy of a solver: sampled pass@1 on questions from worlds that nothing trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from baselines.tasks import heldout_games
from ssp_env.game import GameConfig
from ssp_env.play import AnyAgent, play
from ssp_env.scoring import wilson_interval


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a solver did on a set of questions.

    Attributes:
        pass_at_1: Share of questions answered right, with one sample per question.
        ci95: 95 % Wilson interval.
        n: Number of questions.
        searches: Mean number of searches per question.
    """

    pass_at_1: float
    ci95: tuple[float, float]
    n: int
    searches: float

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {**asdict(self), "ci95": list(self.ci95)}


def evaluate(
    solver: AnyAgent,
    preset: str,
    config: GameConfig,
    *,
    hops: Sequence[int] = (1, 2, 3),
    questions: int = 240,
    batch: int = 240,
    first_world: int = 0,
) -> Mapping[int, Accuracy]:
    """Measure a solver on held-out questions of each number of hops.

    Args:
        solver: The agent; its own sampling settings apply.
        preset: World preset.
        config: Rules of the games; its `attempts` is ignored, because each question is attempted once.
        hops: Numbers of hops.
        questions: Questions per number of hops.
        batch: Number of games that are played together.
        first_world: Index of the first held-out world.
    """
    results = {}
    single = replace(config, attempts=1)
    for count in hops:
        games, scenarios = heldout_games(preset, count, questions, single, first_world=first_world)
        engines = {key: scenario.engine for key, scenario in scenarios.items()}
        outcomes = []
        for start in range(0, len(games), batch):
            outcomes += play(
                games[start : start + batch],
                proposer=solver,
                solver=solver,
                search=engines,
                on_player_error="raise",
            )
            if hasattr(solver, "forget"):
                solver.forget()
        solved = sum(outcome.success_rate == 1.0 for outcome in outcomes)
        searches = sum(outcome.metrics["solver_searches"] for outcome in outcomes) / len(outcomes)
        accuracy = solved / len(outcomes)
        results[count] = Accuracy(accuracy, wilson_interval(solved, len(outcomes)), len(outcomes), searches)
    return results
