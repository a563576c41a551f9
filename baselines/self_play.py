"""One step of search self-play, from tasks to experience and metrics (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.advantages import grpo, mixed_groups, reinforce
from baselines.seeding import derive_rng, derive_seed
from baselines.tasks import TaskSource
from baselines.transcripts import Transcript, game_transcripts
from baselines.update import Experience
from ssp_env.game import Game, GameConfig
from ssp_env.game.audit import audit
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent, play
from ssp_env.search.engine import SearchEngine
from ssp_env.worlds import World


@dataclass(frozen=True)
class Rollout:
    """The games of one step, with the experience and the metrics that come from them.

    Attributes:
        games: All games; each has ended.
        engines: Search engines by `Task.corpus`.
        proposer: Experience of the proposer, invalid questions included.
        solver: Experience of the solver; groups whose attempts all got the same reward are left out, but
            their tokens still count in the normaliser.
        metrics: Metrics of the step by name.
    """

    games: Sequence[Game]
    engines: Mapping[str, SearchEngine]
    proposer: Experience
    solver: Experience
    metrics: dict[str, float]


def play_rollout(
    source: TaskSource,
    config: GameConfig,
    *,
    proposer: AnyAgent,
    solver: AnyAgent,
    answers: int,
    seed: int,
    step: int,
    scale_by_std: bool = False,
    baseline: bool = True,
) -> Rollout:
    """Play one game per drawn answer, and compute advantages from the rewards.

    Args:
        source: Draws the tasks.
        config: Rules of the games; `attempts` is the size of the solver's groups.
        proposer: Plays the proposer.
        solver: Plays every attempt and answers the RAG check.
        answers: Number of games.
        seed: Seed of the run; with `step` it fixes every random choice except those of the agents.
        step: Number of the step.
        scale_by_std: GRPO's division by the group's standard deviation; off is Dr. GRPO.
        baseline: Subtract the rollout's mean reward from the proposer's (REINFORCE with a baseline).
    """
    tasks, scenarios = source.draw(derive_rng(seed, step, "tasks"), answers)
    games = [
        Game(task, config, derive_rng(seed, step, index, "game"), game_id=task.id)
        for index, task in enumerate(tasks)
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
    proposals: list[tuple[Transcript, float]] = []
    attempts: list[tuple[Transcript, float]] = []
    for game in games:
        if game.outcome is None or game.outcome.verdict == "error":
            continue
        for transcript in game_transcripts(game):
            side = proposals if transcript.seat == PROPOSER_SEAT else attempts
            side.append((transcript, game.outcome.rewards[transcript.seat]))
    solver_experience, mixed_share = _solver_experience(attempts, scale_by_std)
    metrics = _metrics(games, {key: scenario.world for key, scenario in scenarios.items() if scenario.world})
    metrics["mixed_groups"] = mixed_share
    return Rollout(games, engines, _proposer_experience(proposals, baseline), solver_experience, metrics)


def _proposer_experience(proposals: Sequence[tuple[Transcript, float]], baseline: bool) -> Experience:
    rewards = torch.tensor([reward for _, reward in proposals])
    mean = float(rewards.mean()) if baseline and len(rewards) else 0.0
    transcripts = [transcript for transcript, _ in proposals]
    return Experience(transcripts, reinforce(rewards, baseline=mean), _tokens(transcripts))


def _solver_experience(
    attempts: Sequence[tuple[Transcript, float]], scale_by_std: bool
) -> tuple[Experience, float]:
    if not attempts:
        return Experience([], torch.zeros(0), 1), 0.0
    transcripts = [transcript for transcript, _ in attempts]
    rewards = torch.tensor([reward for _, reward in attempts])
    groups = [transcript.game_id for transcript in transcripts]
    advantages: Tensor = grpo(rewards, groups, scale_by_std=scale_by_std)
    mixed = mixed_groups(rewards, groups)
    kept = [transcript for transcript, keep in zip(transcripts, mixed.tolist(), strict=True) if keep]
    return Experience(kept, advantages[mixed], _tokens(transcripts)), float(mixed.float().mean())


def _tokens(transcripts: Sequence[Transcript]) -> int:
    return max(1, sum(transcript.sampled_count for transcript in transcripts))


def _metrics(games: Sequence[Game], worlds: Mapping[str, World]) -> dict[str, float]:
    outcomes = [game.outcome for game in games if game.outcome is not None]
    valid = [game for game in games if game.outcome is not None and game.outcome.verdict == "valid"]
    asked = [hops for game in valid if (hops := worlds[game.task.corpus].hops_of(game.question))]
    audits = [audit(game, worlds[game.task.corpus].answers_to) for game in valid]
    solved = [game.outcome.success_rate or 0.0 for game in valid if game.outcome]
    solver_games = max(1, sum(game.config.attempts for game in valid))
    metrics = {
        "solver_reward": _mean(solved),
        "proposer_reward": _mean([outcome.rewards[PROPOSER_SEAT] for outcome in outcomes]),
        "valid_rate": len(valid) / len(games),
        "mean_hops": _mean(asked),
        "label_truth": _mean([found["label_true"] for found in audits if "label_true" in found]),
        "proposer_searches": _mean([outcome.metrics["proposer_searches"] for outcome in outcomes]),
        "solver_searches": sum(outcome.metrics["solver_searches"] for outcome in outcomes) / solver_games,
        "malformed_turns": _mean([outcome.metrics["malformed_turns"] for outcome in outcomes]),
    }
    for hops in (1, 2, 3):
        metrics[f"asked_{hops}_hop"] = sum(hop == hops for hop in asked) / max(1, len(valid))
    for reason in sorted({outcome.reason for outcome in outcomes if outcome.verdict != "valid"}):
        metrics[f"invalid/{reason}"] = sum(outcome.reason == reason for outcome in outcomes) / len(outcomes)
    return metrics


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
