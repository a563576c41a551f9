"""The games of one step, and what comes out of them: samples and metrics (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from baselines.samples import Sample, TokensMissing, game_samples
from baselines.seeding import derive_rng, derive_seed
from baselines.tasks import Source
from ssp_env.game import Game, GameConfig, Role
from ssp_env.game.audit import audit
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent, play
from ssp_env.scenario import Scenario
from ssp_env.search.engine import SearchEngine


@dataclass(frozen=True)
class Rollout:
    """The games of one step, with the samples and the metrics that come from them.

    Attributes:
        games: All games; each has ended.
        engines: Search engines by `Task.corpus`.
        samples: By role, what was sampled and paid: all proposals, invalid ones included, and all attempts
            at valid questions. Games that ended in an error paid nobody and are left out.
        metrics: Metrics of the step by name.
    """

    games: Sequence[Game]
    engines: Mapping[str, SearchEngine]
    samples: Mapping[Role, Sequence[Sample]]
    metrics: dict[str, float]


def play_rollout(
    source: Source,
    config: GameConfig,
    *,
    proposer: AnyAgent,
    solver: AnyAgent,
    answers: int,
    seed: int,
    step: int,
    proposals: int = 1,
    learning: Sequence[Role] = ("proposer", "solver"),
) -> Rollout:
    """Play games about drawn answers.

    Args:
        source: Draws the tasks.
        config: Rules of the games; `attempts` is the size of the solver's groups.
        proposer: Plays the proposer.
        solver: Plays every attempt and answers the RAG check.
        answers: Number of answers that are drawn.
        seed: Seed of the run; with `step` it fixes every random choice except those of the agents.
        step: Number of the step.
        proposals: Games per answer; their proposals form a group.
        learning: Roles whose players return tokens.

    Raises:
        TokensMissing: If a role is to learn and none of its samples has the tokens of all its turns.
    """
    drawn, scenarios = source.draw(derive_rng(seed, step, "tasks"), answers)
    games = [
        Game(task, config, derive_rng(seed, step, index, "game"), game_id=str(index))
        for index, task in enumerate(task for task in drawn for _ in range(proposals))
    ]
    engines: dict[str, SearchEngine] = {key: scenario.engine for key, scenario in scenarios.items()}
    play(
        games,
        proposer=proposer,
        solver=solver,
        search=engines,
        seed=derive_seed(seed, step, "noise"),
        on_player_error="raise",
    )
    samples: dict[Role, list[Sample]] = {"proposer": [], "solver": []}
    for game in games:
        if game.outcome is not None and game.outcome.verdict != "error":
            for sample in game_samples(game):
                # Proposals are compared with others for the same answer, attempts within their game.
                group = f"answer {game.task.id}" if sample.role == "proposer" else sample.group
                samples[sample.role].append(replace(sample, group=group))
    metrics = _metrics(games, scenarios)
    metrics["incomplete_samples"] = sum(not sample.complete for role in learning for sample in samples[role])
    usable = {role: _usable(role, found, role in learning) for role, found in samples.items()}
    return Rollout(games, engines, usable, metrics)


def _usable(role: Role, samples: Sequence[Sample], learns: bool) -> Sequence[Sample]:
    complete = [sample for sample in samples if sample.complete]
    if learns and samples and not complete:
        raise TokensMissing(
            f"no turn of the {role} came with its tokens, so that nothing can be learnt from it: its player "
            "must return `Reply` with `token_ids`, `context_ids` and `logprobs`, as `TinyPolicy` and "
            "`TransformersAgent` do"
        )
    return complete


def _metrics(games: Sequence[Game], scenarios: Mapping[str, Scenario]) -> dict[str, float]:
    outcomes = [game.outcome for game in games if game.outcome is not None]
    valid = [game for game in games if game.outcome is not None and game.outcome.verdict == "valid"]
    proposed = [game.outcome for game in games if game.outcome is not None and not game.task.question]
    audits = [audit(game, scenarios[game.task.corpus].oracle) for game in valid]
    solved = [game.outcome.success_rate or 0.0 for game in valid if game.outcome]
    solver_games = max(1, sum(game.config.attempts for game in valid))
    metrics = {
        "solver_reward": _mean(solved),
        "valid_rate": len(valid) / len(games),
        "mixed_groups": _mean([0.0 < rate < 1.0 for rate in solved]),
        "solver_searches": sum(outcome.metrics["solver_searches"] for outcome in outcomes) / solver_games,
        "malformed_turns": _mean([outcome.metrics["malformed_turns"] for outcome in outcomes]),
    }
    if proposed:
        metrics["proposer_reward"] = _mean([outcome.rewards[PROPOSER_SEAT] for outcome in proposed])
        metrics["proposer_searches"] = _mean([outcome.metrics["proposer_searches"] for outcome in proposed])
    # Without a valid question there is no share of true ones.
    if labels := [found["label_true"] for found in audits if "label_true" in found]:
        metrics["label_truth"] = _mean(labels)
    for reason in sorted({outcome.reason for outcome in outcomes if outcome.verdict != "valid"}):
        metrics[f"invalid/{reason}"] = sum(outcome.reason == reason for outcome in outcomes) / len(outcomes)
    return metrics | _hops_asked(valid, scenarios)


def _hops_asked(valid: Sequence[Game], scenarios: Mapping[str, Scenario]) -> dict[str, float]:
    """Return how many hops the questions have, where generated worlds tell."""
    worlds = {key: scenario.world for key, scenario in scenarios.items() if scenario.world is not None}
    if not worlds:
        return {}
    asked = [hops for game in valid if (hops := worlds[game.task.corpus].hops_of(game.question))]
    shares = {f"asked_{n}_hop": sum(hops == n for hops in asked) / max(1, len(valid)) for n in (1, 2, 3)}
    return {"mean_hops": _mean(asked), **shares}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
