"""The games of one step, and what comes out of them: samples and metrics (SSP algorithm 1)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from baselines.processes import Processes
from baselines.rollouts.tasks import Source
from baselines.samples import Sample, game_samples
from baselines.seeding import derive_rng, derive_seed
from ssp_env.game import Game, GameConfig, Role, Task
from ssp_env.game.audit import audit
from ssp_env.game.events import ReadingGiven, SearchReturned, TurnTaken
from ssp_env.game.trajectory import TokensMissing
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent, play
from ssp_env.scenario import Scenario
from ssp_env.scoring import answer_key
from ssp_env.search.engine import SearchEngine


@dataclass(frozen=True)
class Setting:
    """What all games of a step have in common.

    Attributes:
        source: Draws the tasks.
        config: Rules of the games; `attempts` is the size of the solver's groups.
        seed: Seed of the run; with `step` it fixes every random choice except those of the agents.
        step: Number of the step.
        proposals: Games per answer; their proposals form a group.
        processes: Those that play shares of the games. Noise passages of a RAG check come from games of the
            same process.
    """

    source: Source
    config: GameConfig
    seed: int
    step: int
    proposals: int = 1
    processes: Processes = field(default_factory=Processes)


@dataclass(frozen=True)
class Pairing:
    """Who plays some of the games of a step.

    Attributes:
        proposer: Plays the proposer.
        solver: Plays every attempt.
        answers: Number of answers that are drawn.
        learning: Roles whose players return tokens.
        reader: Answers the RAG check; the solver if None.
        opponent: The role of somebody else than the learner, whose samples are left out; None if both seats
            have the weights that are trained.
    """

    proposer: AnyAgent
    solver: AnyAgent
    answers: int
    learning: Sequence[Role] = ("proposer", "solver")
    reader: AnyAgent | None = None
    opponent: Role | None = None


@dataclass(frozen=True)
class Rollout:
    """The games of one step, with the samples and the metrics that come from them.

    Attributes:
        games: All games; each has ended.
        scenarios: What they were played in by `Task.corpus`.
        samples: By role, what was sampled and paid: all proposals, invalid ones included, and all attempts
            at valid questions. Games that ended in an error paid nobody and are left out.
        metrics: Metrics of the step by name.
        slots: Ids of the games whose questions the learner solves: the solver's batch, if all were valid.
        refused: Ids of the games whose valid questions a defence refused.
    """

    games: Sequence[Game]
    scenarios: Mapping[str, Scenario]
    samples: Mapping[Role, Sequence[Sample]]
    metrics: dict[str, float]
    slots: Sequence[str]
    refused: frozenset[str] = frozenset()

    @property
    def engines(self) -> dict[str, SearchEngine]:
        """Search engines by `Task.corpus`."""
        return {key: scenario.engine for key, scenario in self.scenarios.items()}


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
    """Play games about drawn answers, all with the same players; see `Setting` and `Pairing`.

    Raises:
        TokensMissing: If a role is to learn and none of its samples has the tokens of all its turns.
    """
    setting = Setting(source, config, seed, step, proposals)
    return play_pairings(setting, [Pairing(proposer, solver, answers, learning)])


def play_pairings(setting: Setting, pairings: Sequence[Pairing], label: str = "") -> Rollout:
    """Play games about drawn answers, the first of them by the first pairing.

    Args:
        setting: What the games have in common.
        pairings: Who plays how many of them.
        label: Begins the ids of the games and names their random numbers; empty for the first games of a
            step, something else for every further draw in it.

    Raises:
        TokensMissing: If a role is to learn and none of its samples has the tokens of all its turns.
    """
    seed, step = setting.seed, setting.step
    key = (step, label) if label else (step,)
    count = sum(pairing.answers for pairing in pairings)
    drawn, scenarios = setting.source.draw(derive_rng(seed, *key, "tasks"), count)
    games = [
        Game(task, setting.config, derive_rng(seed, *key, index, "game"), game_id=f"{label}{index}")
        for index, task in enumerate(task for task in drawn for _ in range(setting.proposals))
    ]
    samples: dict[Role, list[Sample]] = {"proposer": [], "solver": []}
    slots: list[str] = []
    incomplete = start = 0
    for pairing in pairings:
        end = start + pairing.answers * setting.proposals
        noise = derive_seed(seed, *key, "noise")
        games[start:end] = _played(pairing, games[start:end], scenarios, noise, setting.processes)
        found = _samples(pairing, games[start:end], label)
        incomplete += sum(not sample.complete for role in pairing.learning for sample in found[role])
        for role in samples:
            samples[role] += _usable(role, found[role], role in pairing.learning)
        if pairing.opponent != "solver":
            slots += [game.id for game in games[start:end]]
        start = end
    metrics = {
        **rollout_metrics(games, scenarios),
        "sampled_tokens": _sampled_tokens(games),
        "incomplete_samples": incomplete,
    }
    return Rollout(games, scenarios, samples, metrics, slots)


def _played(
    pairing: Pairing,
    games: Sequence[Game],
    scenarios: Mapping[str, Scenario],
    seed: int,
    processes: Processes,
) -> list[Game]:
    """Play this process's share of the games of a pairing; return all of them, when all have ended."""
    own = processes.share(games)
    play(
        own,
        proposer=pairing.proposer,
        solver=pairing.solver,
        reader=pairing.reader,
        search={key: scenario.engine for key, scenario in scenarios.items()},
        seed=seed,
        on_player_error="raise",
    )
    return processes.gather(own)


def _samples(pairing: Pairing, games: Sequence[Game], label: str) -> dict[Role, list[Sample]]:
    """Return what the roles that the learner plays have sampled."""
    samples: dict[Role, list[Sample]] = {"proposer": [], "solver": []}
    for game in games:
        if game.outcome is not None and game.outcome.verdict != "error":
            for sample in game_samples(game):
                # Ids of tasks count within one draw; attempts are compared within their game.
                group = f"answer {label}{game.task.id}" if sample.role == "proposer" else game.id
                if sample.role != pairing.opponent:
                    samples[sample.role].append(replace(sample, group=group))
    return samples


def play_known(setting: Setting, tasks: Sequence[Task], solver: AnyAgent, label: str) -> Rollout:
    """Let the solver alone play questions whose answer is known, in the scenarios of their corpora.

    Args:
        setting: What the games have in common.
        tasks: Tasks with questions.
        solver: Plays every attempt.
        label: Begins the ids of the games and names their random numbers.
    """
    scenarios = {task.corpus: setting.source.reopen(task.corpus) for task in tasks}
    games = [
        Game(
            task,
            setting.config,
            derive_rng(setting.seed, setting.step, label, index, "game"),
            game_id=f"{label}{index}",
        )
        for index, task in enumerate(tasks)
    ]
    pairing = Pairing(solver, solver, len(tasks), learning=("solver",))
    noise = derive_seed(setting.seed, setting.step, label, "noise")
    games = _played(pairing, games, scenarios, noise, setting.processes)
    samples = _samples(pairing, games, label)
    incomplete = sum(not sample.complete for sample in samples["solver"])
    usable: dict[Role, Sequence[Sample]] = {
        "proposer": [],
        "solver": _usable("solver", samples["solver"], learns=True),
    }
    metrics: dict[str, float] = {
        "sampled_tokens": _sampled_tokens(games),
        "incomplete_samples": incomplete,
    }
    return Rollout(games, scenarios, usable, metrics, [])


def joined(first: Rollout, more: Rollout, metrics: Mapping[str, float]) -> Rollout:
    """Return the games and samples of both, with the metrics given; tokens and lost samples are added up."""
    counted = {
        name: first.metrics[name] + more.metrics[name] for name in ("sampled_tokens", "incomplete_samples")
    }
    return Rollout(
        [*first.games, *more.games],
        {**first.scenarios, **more.scenarios},
        {role: [*samples, *more.samples[role]] for role, samples in first.samples.items()},
        {**metrics, **counted},
        [*first.slots, *more.slots],
        first.refused | more.refused,
    )


def _sampled_tokens(games: Sequence[Game]) -> int:
    """Count the tokens that both roles sampled, those of the RAG check and of broken games included."""
    return sum(
        len(event.reply.token_ids)
        for game in games
        for event in game.events
        if isinstance(event, TurnTaken | ReadingGiven)
    )


def _usable(role: Role, samples: Sequence[Sample], learns: bool) -> Sequence[Sample]:
    complete = [sample for sample in samples if sample.complete]
    if learns and samples and not complete:
        raise TokensMissing(
            f"no turn of the {role} came with its tokens, so that nothing can be learnt from it: its player "
            "must return `Reply` with `token_ids`, `context_ids` and `logprobs`, as `TinyPolicy` and "
            "`TransformersAgent` do"
        )
    return complete


def is_valid(game: Game) -> bool:
    """Whether a game has ended with a valid question."""
    return game.outcome is not None and game.outcome.verdict == "valid"


def rollout_metrics(
    games: Sequence[Game], scenarios: Mapping[str, Scenario], refused: Collection[str] = ()
) -> dict[str, float]:
    """Return the figures of a step's games, whoever played them.

    Args:
        games: The games; each has ended.
        scenarios: What they were played in.
        refused: Ids of games whose questions do not count as valid, because a defence refused them.
    """
    outcomes = [game.outcome for game in games if game.outcome is not None]
    valid = [game for game in games if is_valid(game) and game.id not in refused]
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
    if solved:
        metrics["group_variance"] = _mean([rate * (1 - rate) for rate in solved])
        metrics["distinct_questions"] = len({answer_key(game.question) for game in valid}) / len(valid)
        metrics["reader_agreement"] = _mean([rate >= 0.5 for rate in solved])
        metrics["unsearched_answers"] = _mean(
            [not searched for game in valid for searched in _searched(game)]
        )
    # Without a valid question there is no share of true ones.
    if labels := [found["label_true"] for found in audits if "label_true" in found]:
        metrics["label_truth"] = _mean(labels)
    for reason in sorted({outcome.reason for outcome in outcomes if outcome.verdict != "valid"}):
        metrics[f"invalid/{reason}"] = sum(outcome.reason == reason for outcome in outcomes) / len(outcomes)
    return metrics | _hops_asked(valid, scenarios)


def _searched(game: Game) -> list[bool]:
    """Whether each attempt of the solver has searched."""
    searching = {event.seat for event in game.events if isinstance(event, SearchReturned)}
    return [seat in searching for seat in game.config.seats[1:]]


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
