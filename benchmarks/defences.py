"""What defences against false labels keep of true and false questions: `python -m benchmarks.defences RUN`.

The final weights of each run propose under its rules, with the plain RAG check alone: one reading, without
quotations, and no demand on the number of searches. Whether a valid question is true, its world knows. Then
every defence of `rollouts.defences` judges the same questions, and the same proposals are checked again
under every rule that is a defence. Where one wants a frozen reader, the warm start of the run reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from baselines.config import TrainConfig
from baselines.policies.models import open_model
from baselines.processes import Processes
from baselines.rollouts.defences import DEFENCES, Reader, Referee, judged
from baselines.rollouts.rollout import Pairing, Rollout, Setting, is_valid, play_pairings
from baselines.rollouts.tasks import open_source
from baselines.runs.directory import RunDirectory
from baselines.runs.files import WARM_START
from baselines.seeding import derive_rng
from baselines.train import FINAL
from ssp_env.cli.progress import tracked
from ssp_env.game import Game, Reply, Turn, View
from ssp_env.game.audit import audit
from ssp_env.game.events import ReadingGiven, TurnTaken
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import AnyAgent, play
from ssp_env.scoring import wilson_interval

PLAIN: Mapping[str, Any] = {"quote_check": "off", "second_reading": False, "hop_check": "off"}
RULES: Mapping[str, Mapping[str, Any]] = {
    "plain RAG check, again": {},
    "rule: hop_check at_least": {"hop_check": "at_least"},
    "rule: second_reading": {"second_reading": True},
    "rule: closed_book": {"closed_book": True},
    "rule: uniqueness": {"uniqueness": True},
    "rule: quote_check any": {"quote_check": "any"},
    "rule: quote_check per_hop": {"quote_check": "per_hop"},
    "the preset's three rules": {"quote_check": "any", "second_reading": True, "hop_check": "at_least"},
}
"""Rules that refuse questions, each added to `PLAIN`, which is checked again with them."""
BATCH = 32


@dataclass(frozen=True)
class Judgement:
    """What one defence said of the questions of one run.

    Attributes:
        weights: By question, from 0, refused, to 1.
        tokens: Tokens that its readings sampled.
    """

    weights: Sequence[float]
    tokens: int


class Again:
    """Proposes what was proposed before, and gives up as a solver.

    Args:
        games: The new games; each is of the task of an old one.
        before: The old games.
    """

    def __init__(self, games: Sequence[Game], before: Sequence[Game]) -> None:
        self._replies = {
            _first_view(game).game_id: [
                event.reply
                for event in old.events
                if isinstance(event, TurnTaken) and event.seat == PROPOSER_SEAT
            ]
            for game, old in zip(games, before, strict=True)
        }
        self._protocol = games[0].protocol

    def act(self, view: View) -> Reply | str:
        """Return the turn that was taken here before."""
        if view.role == "solver":
            return self._protocol.wrap(self._protocol.answer, "none")
        taken = sum(message.role == "assistant" for message in view.messages)
        return self._replies[view.game_id][taken]


def _first_view(game: Game) -> View:
    request = game.requests()[0]
    assert isinstance(request, Turn)
    return request.view


def checked_again(
    played: Rollout, valid: Sequence[Game], changes: Mapping[str, Any], reader: AnyAgent
) -> Judgement:
    """Check the same proposals under other rules."""
    config = replace(valid[0].config, attempts=1, reward="1-acc").changed(changes)
    games = [
        Game(old.task, config, derive_rng(0, number, "again"), game_id=old.id)
        for number, old in enumerate(valid)
    ]
    again = Again(games, valid)
    play(games, proposer=again, solver=again, reader=reader, search=played.engines, on_player_error="raise")
    tokens = sum(
        len(event.reply.token_ids)
        for game in games
        for event in game.events
        if isinstance(event, ReadingGiven)
    )
    return Judgement([float(is_valid(game)) for game in games], tokens)


def measure(run: Path, answers: int, seed: int) -> tuple[list[dict[str, Any]], dict[str, Judgement]]:
    """Let a run propose, and every defence judge.

    Returns:
        What is known of each valid question, `true` and `hops`, and the judgements by defence.
    """
    config = RunDirectory.open(run)[1].changed({"rules": PLAIN, "defences": []})
    with TemporaryDirectory() as folder:
        policies = {}
        for name in (FINAL, WARM_START):
            opened = open_model(config, Path(folder))
            opened.restore(opened.policy, run / name)
            opened.policy.published(name)
            policies[name] = opened.policy
        readers: dict[Reader, AnyAgent] = {
            "current": policies[FINAL].agent(seed),
            "frozen": policies[WARM_START].agent(seed),
        }
        facts: list[dict[str, Any]] = []
        found: dict[str, list[Judgement]] = {}
        for step in tracked(range(-(-answers // BATCH)), f"{run.name}: proposals"):
            played = _proposals(config, readers["current"], seed, step)
            valid = [game for game in played.games if is_valid(game)]
            if not valid:
                continue
            facts += [_facts(game, played) for game in valid]
            for name in DEFENCES:
                referee = Referee(readers, derive_rng(seed, step, name))
                weights = judged([name], valid, referee)[name]
                found.setdefault(name, []).append(Judgement(weights, referee.sampled_tokens))
            for name, changes in RULES.items():
                found.setdefault(name, []).append(checked_again(played, valid, changes, readers["current"]))
    return facts, {name: _added(parts) for name, parts in found.items()}


def _proposals(config: TrainConfig, player: AnyAgent, seed: int, step: int) -> Rollout:
    source = open_source(config.source, config.world, config.hops, config.game)
    setting = Setting(source, config.game, seed, step, processes=Processes())
    return play_pairings(setting, [Pairing(player, player, BATCH, learning=())], f"defences {step}: ")


def _facts(game: Game, played: Rollout) -> dict[str, Any]:
    scenario = played.scenarios[game.task.corpus]
    world = scenario.world
    return {
        "true": audit(game, scenario.oracle).get("label_true") == 1.0,
        "hops": world.hops_of(game.question) if world is not None else game.task.hops,
    }


def _added(parts: Sequence[Judgement]) -> Judgement:
    return Judgement(
        [weight for part in parts for weight in part.weights], sum(part.tokens for part in parts)
    )


def figures(
    facts: Sequence[Mapping[str, Any]], found: Mapping[str, Judgement]
) -> dict[str, dict[str, float]]:
    """Return by defence what it keeps: weights count, so that a half is half a question.

    Returns:
        `true_kept`, `false_kept` and `three_hop_kept` (of the true ones) as shares, `label_truth` of what is
        kept, and `tokens` of its readings a question.
    """
    true = np.array([fact["true"] for fact in facts])
    hard = true & np.array([(fact["hops"] or 0) >= 3 for fact in facts])
    table = {}
    for name, judgement in {"plain RAG check": Judgement([1.0] * len(facts), 0), **found}.items():
        weights = np.array(judgement.weights)
        kept = float(weights.sum())
        table[name] = {
            "true_kept": _share(weights[true]),
            "false_kept": _share(weights[~true]),
            "three_hop_kept": _share(weights[hard]),
            "label_truth": float(weights[true].sum()) / kept if kept else float("nan"),
            "tokens": judgement.tokens / len(facts),
        }
    return table


def _share(weights: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(weights.mean()) if weights.size else float("nan")


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs over generated worlds.")],
    answers: Annotated[int, typer.Option(help="Answers that each run proposes for.", min=1)] = 960,
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path("results/defences.json"),
) -> None:
    """Let every run propose, have every defence judge, and print what each keeps."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    console = Console()
    facts: list[dict[str, Any]] = []
    parts: dict[str, list[Judgement]] = {}
    for run in runs:
        more, found = measure(run, answers, seed)
        facts += more
        for name, judgement in found.items():
            parts.setdefault(name, []).append(judgement)
    if not facts:
        raise typer.BadParameter("no run proposed a valid question", param_hint="RUNS")
    rows = figures(facts, {name: _added(judgements) for name, judgements in parts.items()})
    true = sum(fact["true"] for fact in facts)
    written = {"runs": len(runs), "answers": answers, "seed": seed, "true": true, "false": len(facts) - true}
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps({**written, "defences": rows}, indent=1) + "\n")
    console.print(_table(rows, true, len(facts) - true), f"figures: {results}", sep="\n", highlight=False)


def _table(rows: Mapping[str, Mapping[str, float]], true: int, false: int) -> Table:
    low, high = wilson_interval(true, true + false)
    title = (
        f"{true} true and {false} false questions passed the plain RAG check (truth {low:.2f} to {high:.2f})"
    )
    table = Table("defence", "true kept", "false kept", "label truth", "3 hops", "tokens", title=title)
    for name, row in rows.items():
        shares = [f"{row[key]:.3f}" for key in ("true_kept", "false_kept", "label_truth", "three_hop_kept")]
        table.add_row(name, *shares, f"{row['tokens']:.0f}")
    return table


if __name__ == "__main__":
    typer.run(main)
