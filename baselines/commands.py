"""`ssp train`; `ssp eval` and `ssp compare` stand in modules of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agents.player_names import model_of_run
from baselines.comparison.command import compare
from baselines.config import MODES, PRESETS, TrainConfig
from baselines.config import preset as find_preset
from baselines.config.tracking import TRACKERS
from baselines.evaluation.command import evaluate
from baselines.runs.files import CONFIG, METRICS, SUMMARY, WARM_START, never_asked
from baselines.watched_run import prepare_torch, run_training
from ssp_env.cli import INTERRUPTED
from ssp_env.cli.options import print_text
from ssp_env.cli.progress import waiting
from ssp_env.cli.rules import (
    Attempts,
    MaxTurns,
    RAGCheck,
    RulesFile,
    RuleValues,
    TopK,
    given_on_command_line,
    read_assignments,
    read_rules,
    read_toml,
)

if TYPE_CHECKING:
    from baselines.processes import Processes
    from baselines.runs.directory import RunDirectory

RUNS = Path("runs")

__all__ = ["compare", "evaluate", "train"]

PresetName = Annotated[str, typer.Option(help=f"Configuration to start from: {', '.join(PRESETS)}.")]
RunName = Annotated[
    str | None,
    typer.Option(help="Name of the run, whose folder is runs/NAME; by default PRESET-MODE-seedSEED."),
]
Seed = Annotated[int, typer.Option(help="Fixes every random choice of the run.", min=0)]
Mode = Annotated[
    str,
    typer.Option(help=f"Who learns: {', '.join(MODES)}; the other role plays as the warm start does."),
]
SolverAlgorithm = Annotated[
    str | None,
    typer.Option(help="How the solver learns: reinforce, grpo, ppo, module:object, or frozen."),
]
ProposerAlgorithm = Annotated[
    str | None, typer.Option(help="How the proposer learns; the same names as for the solver.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file of changes to the preset; the presets are such files."),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One option of the run, after those of --config; for instance learner.learning_rate=1e-4 or "
        "solver.clip_high=0.2. May be repeated.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(help="Self-play steps; with --resume more of them extend the run.", min=1)
]
Trackers = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Where metrics are shown besides metrics.jsonl: {', '.join(TRACKERS)}. May be repeated; "
        "with --resume it replaces the trackers of the run."
    ),
]
Servers = Annotated[
    str | None,
    typer.Option(
        metavar="URL[,URL...]",
        help="vLLM servers that sample the games, which see the run's folder under the same path; with "
        "--resume they replace those of the run.",
    ),
]
WarmStart = Annotated[
    Path | None,
    typer.Option(help="Start from the warm start of this run, or from a folder of such a model."),
]
ResumedFolder = Annotated[Path | None, typer.Option(help="Continue the run in this folder.")]
Threads = Annotated[int, typer.Option(help="CPU threads of torch, of each process.", min=1)]
ProcessCount = Annotated[
    int,
    typer.Option(help="Processes on this machine, each of which plays its share of the games.", min=1),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only print the tokens, the memory and the time that it would take."),
]


def train(
    context: typer.Context,
    preset: PresetName = "tiny",
    name: RunName = None,
    seed: Seed = 0,
    mode: Mode = "self-play",
    solver: SolverAlgorithm = None,
    proposer: ProposerAlgorithm = None,
    config_file: ConfigFile = None,
    options: Options = None,
    steps: Steps = None,
    tracker: Trackers = None,
    servers: Servers = None,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rag_check: RAGCheck = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    warm_start: WarmStart = None,
    resume: ResumedFolder = None,
    threads: Threads = 2,
    processes: ProcessCount = 1,
    dry_run: DryRun = False,
) -> None:
    """Train a model by search self-play and report held-out accuracy before and after."""
    changes = read_rules(
        rules, rule, attempts=attempts, top_k=top_k, max_turns=max_turns, rag_check=rag_check
    )
    together = None if dry_run else _together(processes)
    console, run = Console(quiet=together is not None and not together.is_main), None
    try:
        if resume is not None:
            run, config = _resumed_run(context, resume, changes, together)
            config = run.extend(config, steps, tracker, servers)
        else:
            config = _new_config(
                find_preset(preset).in_mode(mode), config_file, options, tracker, servers,
                seed=seed, steps=steps, solver=solver, proposer=proposer, rules=changes,
            )  # fmt: skip
            warm_start = warm_start and model_of_run(warm_start, WARM_START)
            if dry_run:
                _show_expected(config, warm_start, console, threads, processes)
                return
            name = f"{preset}-{mode}-seed{seed}" if name is None else name
            run = _new_run(name, config, warm_start, together)
        print_text(console, f"run folder: {run.path} ({config.mode}, seed {config.seed})")
        summary = run_training(config, run, console, warm_start, threads, together)
    except KeyboardInterrupt:
        print(f"\nssp: {_way_on(None if run is None else run.path, warm_start)}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    if summary:
        console.print(_table(summary))
        print_text(console, _told(summary))
        _warn_if_idle(console, config, run)
    print_text(console, f"learning curves: {run.path / 'curve.png'}\nsummary: {run.path / SUMMARY}")
    if together is not None:
        together.leave()


def _warn_if_idle(console: Console, config: TrainConfig, run: RunDirectory) -> None:
    """Say so if the solver's algorithm was never called, because a mistake in it would not have shown."""
    why = never_asked(run.read_jsonl(METRICS)) if config.solver.learns else ""
    if why:
        said = f"ssp: the solver's algorithm, {config.solver.algorithm}, was never called: {why}"
        way = "to try one in seconds: --proposer frozen --set opponents.proposer=perfect --no-rag-check"
        print_text(console, f"{said}; {way}", style="yellow")


def _show_expected(
    config: TrainConfig, warm_start: Path | None, console: Console, threads: int, processes: int
) -> None:
    """Print what a run would take, once everything that it needs has been found to be there."""
    with waiting("working out what it takes"):
        prepare_torch(threads)
        from baselines.dry_run import expect, show

        _check_can_begin(config, warm_start)
        expected = expect(config, warm_start, processes)
    show(expected, config, console)


def _new_config(
    base: TrainConfig,
    file: Path | None,
    options: list[str] | None,
    trackers: list[str] | None,
    servers: str | None,
    **given: Any,
) -> TrainConfig:
    """Return the configuration of a new run: changes of the file first, then single options, then --set."""
    in_file = {} if file is None else read_toml(file, "options of a run")
    given["tracking"] = None if trackers is None else {"trackers": trackers}
    given["rollout"] = None if servers is None else {"engine": f"vllm:{servers}"}
    flags = {name: value for name, value in given.items() if value is not None}
    return base.changed(in_file, flags, read_assignments("--set", options, {}, "learner.learning_rate=1e-4"))


def _together(count: int) -> Processes | None:
    """Join the processes that torchrun started with this one, or have it start as many as were asked for."""
    if "WORLD_SIZE" not in os.environ and count == 1:
        return None
    if "WORLD_SIZE" not in os.environ:
        from baselines.launch import start

        start(count)
    from baselines.processes import join

    return join()


def _new_run(
    name: str, config: TrainConfig, warm_start: Path | None, together: Processes | None
) -> RunDirectory:
    """Create the folder of a run, once everything that the run needs has been found to be there."""
    from baselines.runs.directory import RunDirectory

    folder = _run_folder(name)
    if together is not None and not together.is_main:
        together.wait()
        return RunDirectory(folder, writes=False)
    _check_can_begin(config, warm_start)
    run = RunDirectory.create(folder, config)
    if together is not None:
        together.wait()
    return run


def _check_can_begin(config: TrainConfig, warm_start: Path | None) -> None:
    """Refuse a run that lacks something.

    Raises:
        ValueError: If an algorithm or a player cannot be made; the message says why.
        FileNotFoundError: If a model or a file is not there.
        ModuleNotFoundError: If a library is not installed.
        SystemExit: If SmolLM2 is wanted and not installed, with the command that installs it.
    """
    from agents.smollm2 import SmolLM2Missing
    from baselines.algorithms import find_algorithm
    from baselines.config.tracking import check_trackers
    from baselines.policies.models import check_model, find_model
    from baselines.rollouts.defences import find_defence
    from baselines.rollouts.opponents import check_players

    for role in (config.solver, config.proposer):
        if role.learns:
            find_algorithm(role)
    for name in config.defences:
        find_defence(name)
    check_players(config.opponents, config.learning, config.game)
    config.source.check_files()
    check_trackers(config.tracking)
    if not config.model.is_tiny:
        try:
            find_model(config.model.name)
        except SmolLM2Missing as missing:
            sys.exit(f"ssp: {missing}")
    if warm_start is not None:
        check_model(warm_start, config)


def _resumed_run(
    context: typer.Context, folder: Path, changes: Mapping[str, Any], together: Processes | None
) -> tuple[RunDirectory, TrainConfig]:
    """Open the run that is to be continued, unless options contradict it."""
    from baselines.runs.directory import RunDirectory

    if context.params["dry_run"]:
        raise ValueError("--dry-run is about a new run: leave out --resume, or --dry-run")
    _check_is_run(folder)
    run, config = RunDirectory.open(folder)
    _check_resumed(context, folder, config, changes)
    if together is not None:
        # All have read the configuration before one of them may extend it.
        together.wait()
        run = replace(run, writes=together.is_main)
    return run, config


def _check_is_run(folder: Path) -> None:
    """Refuse a folder without a run.

    Raises:
        ValueError: If it has no configuration; the message says what was expected.
    """
    if not (folder / CONFIG).is_file():
        begin = "has no config.json; a run that was killed before it had one is started again with --name"
        missing = begin if folder.is_dir() else "is no folder"
        raise ValueError(
            f"no run in {folder}: --resume expects the folder of a run, such as runs/NAME; this {missing}"
        )


def _way_on(run: Path | None, warm_start: Path | None) -> str:
    """Say what to do after Ctrl-C where a run could not save anything any more, or not yet."""
    if run is None:
        return "stopped before the run began: nothing was written"
    if warm_start is not None and not (run / WARM_START).exists():
        return f"stopped before the warm start was copied: delete {run} and give the same command again"
    return f"stopped; continue with: ssp train --resume {run}"


def _run_folder(name: str) -> Path:
    """Return the folder of a new run.

    Raises:
        ValueError: If the name is not that of one folder in `runs/`.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"--name must be the name of a folder in {RUNS}/, without slashes, got {name!r}")
    return RUNS / name


def _check_resumed(
    context: typer.Context, folder: Path, config: TrainConfig, changes: Mapping[str, Any]
) -> None:
    """Refuse options that contradict the run that is to be continued.

    Raises:
        ValueError: If there are any; the message names one and says what the run has.
    """
    run = {
        "preset": config.preset,
        "name": folder.name,
        "seed": config.seed,
        "mode": config.mode,
        "solver": config.solver.algorithm,
        "proposer": config.proposer.algorithm,
    }
    for option, its in run.items():
        if given_on_command_line(context, option) and context.params[option] != its:
            raise ValueError(
                f"--{option} {context.params[option]} contradicts the run in {folder}, which has {its}: "
                "leave it out to continue the run, or start another one without --resume"
            )
    for option, parameter in (("config", "config_file"), ("set", "options")):
        if context.params[parameter]:
            raise ValueError(f"the run in {folder} has its configuration: leave out --{option}")
    if context.params["warm_start"] is not None:
        raise ValueError(f"the run in {folder} has a warm start of its own: leave out --warm-start")
    if (changed := config.game.changed(changes)) != config.game:
        others = [
            f"{option.name} is {getattr(config.game, option.name)}, not {getattr(changed, option.name)}"
            for option in fields(changed)
            if getattr(config.game, option.name) != getattr(changed, option.name)
        ]
        raise ValueError(f"the run in {folder} has other rules ({'; '.join(others)}): leave the changes out")


def _table(summary: dict[str, Any]) -> Table:
    table = Table(title=f"Held-out sampled pass@1, {summary['mode']}, seed {summary['seed']}")
    for heading in ("hops", "before", "95 %", "after", "95 %", "questions"):
        table.add_column(heading, justify="right")
    before, after = summary["heldout"]["before"], summary["heldout"]["after"]
    for hops in before:
        table.add_row(hops, *_cells(before[hops]), *_cells(after[hops]), str(after[hops]["n"]))
    return table


def _told(summary: dict[str, Any]) -> str:
    """Return a line of what self-play sampled and trained on, at what rate and in how much memory."""
    learned, seconds = summary["self_play"], summary["self_play_s"]
    sampled, trained = learned["sampled_tokens"], learned["trained_tokens"]
    rate, memory = sampled / max(seconds, 0.1), summary["peak_rss_mb"] / 1000
    return (
        f"{learned['steps']} steps in {seconds:,.0f} s: {sampled:,.0f} tokens sampled ({rate:,.0f}/s), "
        f"{trained:,.0f} trained on; ratios off by {learned['max_ratio_error']:.1e} at most; {memory:.1f} GB"
    )


def _cells(accuracy: dict[str, Any]) -> tuple[str, str]:
    low, high = accuracy["ci95"]
    return f"{accuracy['pass_at_1']:.3f}", f"{low:.3f} .. {high:.3f}"
