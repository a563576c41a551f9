"""Held-out accuracy of a solver: sampled pass@1 on questions that nothing trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from baselines.evaluation.intervals import Trial, clustered_interval, effective_trials
from baselines.processes import Processes
from baselines.rollouts.tasks import HeldOut, Source, WorldSource
from ssp_env.game import GameConfig
from ssp_env.play import AnyAgent, play
from ssp_env.search.engine import SearchEngine


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How a solver did on a set of questions.

    Attributes:
        pass_at_1: Share of questions answered right, with one sample per question.
        ci95: 95 % Wilson interval, for which questions of one of several worlds are alike.
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
    source: Source | str,
    config: GameConfig,
    *,
    hops: Sequence[int] = (1, 2, 3),
    questions: int = 240,
    batch: int = 240,
    validation: bool = False,
    processes: Processes | None = None,
) -> dict[str, Accuracy]:
    """Measure a solver on held-out questions.

    Args:
        solver: The agent; its own sampling settings apply.
        source: Where the questions come from: a source, or the preset of generated worlds.
        config: Rules of the games; its `attempts` is ignored, because each question is attempted once.
        hops: Numbers of hops, if `source` is a preset.
        questions: Most questions of a set.
        batch: Number of games that are played together.
        validation: Take the questions that are for learning curves.
        processes: Those that play shares of the games; only this one if None.

    Returns:
        The accuracy on each set by its name, which for generated worlds is the number of hops.
    """
    opened = WorldSource(source, hops=hops) if isinstance(source, str) else source
    single = replace(config, attempts=1)
    sets = opened.heldout(single, questions, validation=validation)
    return {each.name: _accuracy(solver, each, batch, processes or Processes()) for each in sets}


def _accuracy(solver: AnyAgent, heldout: HeldOut, batch: int, processes: Processes) -> Accuracy:
    engines: dict[str, SearchEngine] = {key: scenario.engine for key, scenario in heldout.scenarios.items()}
    results = []
    games = processes.share(heldout.games)
    for start in range(0, len(games), batch):
        played = games[start : start + batch]
        outcomes = play(played, proposer=solver, solver=solver, search=engines, on_player_error="raise")
        results += [(game.task.corpus, outcome) for game, outcome in zip(played, outcomes)]
        if hasattr(solver, "forget"):
            solver.forget()
    results = processes.gather(results)
    trials: list[Trial] = [
        (outcome.success_rate == 1.0, (f"{corpus}/{outcome.question}", corpus)) for corpus, outcome in results
    ]
    searches = sum(outcome.metrics["solver_searches"] for _, outcome in results) / len(results)
    solved = int(sum(success for success, _ in trials))
    interval = clustered_interval(solved, len(results), effective_trials(trials))
    return Accuracy(solved / len(results), interval, len(results), searches)
