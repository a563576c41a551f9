"""`ssp eval`: players on question sets, or side by side in both roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from agents.command_options import (
    DEFAULT_WORLD,
    OPTION_OF_ROLE,
    Answers,
    APIKeyVariable,
    Concurrency,
    JudgeName,
    MaxNewTokens,
    PromptStyle,
    Seed,
    WorldIndex,
    WorldPreset,
    open_from_options,
    player_options,
)
from agents.sampling_params import DEFAULT_TEMPERATURE
from baselines.evaluation.report import Report
from ssp_env.cli.options import Corpus, IndexDirectory, Search, print_text
from ssp_env.cli.rules import (
    Attempts,
    MaxTurns,
    RAGCheck,
    RulesFile,
    RuleValues,
    TopK,
    given_on_command_line,
    read_rules,
)
from ssp_env.worlds import MAX_HOPS

if TYPE_CHECKING:
    from baselines.evaluation.question_sets import QuestionSet
    from baselines.evaluation.run import Evaluation
    from ssp_env.scenario import Scenario

HELDOUT_QUESTIONS = 240
WITH_GAMES_ONLY = ("reader", "answers", "rag_check")
WITHOUT_GAMES_ONLY = ("sets", "control", "by", "against", "csv_file", "markdown_file")
_LABELS = {**OPTION_OF_ROLE, "proposer": "player", "solver": "player"}
_OPTION = {"json_file": "--json", "csv_file": "--csv", "markdown_file": "--markdown"}

Players = Annotated[
    list[str],
    typer.Argument(
        help="Players as in `ssp play`, for instance runs/NAME. Or answers that --out has kept, "
        "FILE.answers.jsonl, which are reported again without playing."
    ),
]
Games = Annotated[
    int | None,
    typer.Option(
        help="Compare the players in both roles; each proposes and solves in this many games, or with 0 "
        "in none and only answers known questions.",
        min=0,
    ),
]
Questions = Annotated[
    list[Path] | None,
    typer.Option(
        help="Question file for a corpus or an index (see docs/formats.md); may be repeated. A world "
        "has its own."
    ),
]
Sets = Annotated[
    Path | None,
    typer.Option(
        help="Folder with NQ, TriviaQA, PopQA, HotpotQA, 2Wiki, MuSiQue and Bamboogle: nq.jsonl or "
        "nq/test.jsonl and so on; says which are missing."
    ),
]
Known = Annotated[
    int | None,
    typer.Option(
        help="Number of questions with a known answer: as many as games by default; without --games of each "
        f"set, by default all, and of each number of hops in worlds, by default {HELDOUT_QUESTIONS}.",
        min=0,
    ),
]
Reader = Annotated[
    str,
    typer.Option(
        help="Who reads in the RAG check of all players; by default each player itself, and `perfect` for a "
        "scripted one."
    ),
]
ControlName = Annotated[
    str,
    typer.Option(
        help="search, or one reading without search: closed-book from memory, gold-passages of the "
        "passages that the answer follows from."
    ),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="FIELD",
        help="Break figures down by a field of the questions, such as hops, type or level; may be repeated.",
    ),
]
Against = Annotated[
    Path | None,
    typer.Option(
        help="Answers that --out has kept, with which each player is compared: paired bootstrap, "
        "McNemar's test."
    ),
]
HopCount = Annotated[
    int | None,
    typer.Option(
        "--hops",
        help="Number of hops of the questions of a world; by default 2 with --games, and otherwise 1, 2 "
        "and 3.",
        min=1,
        max=MAX_HOPS,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help=f"Sampling temperature, 0 is greedy; by default {DEFAULT_TEMPERATURE} with --games or "
        "several attempts, 0 on question files, and 1 in worlds.",
        min=0.0,
    ),
]
Threads = Annotated[int, typer.Option(help="CPU threads of torch.", min=1)]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Keep games or answers in this folder; the same command continues where it was stopped."
    ),
]
JSONFile = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file as JSON, too.")]
CSVFile = Annotated[Path | None, typer.Option("--csv", help="Write all figures to this file as CSV, too.")]
MarkdownFile = Annotated[
    Path | None, typer.Option("--markdown", help="Write the table to this file as Markdown, too.")
]


def evaluate(
    context: typer.Context,
    players: Players,
    games: Games = None,
    world: WorldPreset = None,
    world_index: WorldIndex = None,
    corpus: Corpus = None,
    index: IndexDirectory = None,
    search: Search = None,
    answers: Answers = None,
    questions: Questions = None,
    sets: Sets = None,
    known: Known = None,
    control: ControlName = "search",
    by: By = None,
    against: Against = None,
    reader: Reader = "",
    judge: JudgeName = None,
    hops: HopCount = None,
    attempts: Attempts = None,
    top_k: TopK = None,
    max_turns: MaxTurns = None,
    rag_check: RAGCheck = None,
    rules: RulesFile = None,
    rule: RuleValues = None,
    temperature: Temperature = None,
    max_new_tokens: MaxNewTokens = None,
    prompts: PromptStyle = "",
    api_key_variable: APIKeyVariable = "OPENAI_API_KEY",
    concurrency: Concurrency = 16,
    seed: Seed = 0,
    threads: Threads = 2,
    out: Out = None,
    json_file: JSONFile = None,
    csv_file: CSVFile = None,
    markdown_file: MarkdownFile = None,
) -> None:
    """Measure players on question files, the seven sets or held-out worlds; or in both roles (--games).

    The exit status is 1 if everything failed.
    """
    own = {"attempts": attempts, "top_k": top_k, "max_turns": max_turns, "rag_check": rag_check}
    given = read_rules(rules, rule, **own, judge=True if judge and games is not None else None)
    options = player_options(prompts, given, api_key_variable, concurrency, labels=_LABELS)
    _check_together(context, games, questions)
    where = {"world": world, "world_index": world_index, "corpus": corpus, "index": index, "search": search}
    opening = {**where, "answers": answers, "seed": seed, "rules": given}
    report = Report(tuple(by or ()), judge or "", against, options, out, json_file, csv_file, markdown_file)
    sampled: dict[str, Any] = {"temperature": temperature, "max_new_tokens": max_new_tokens}
    if games is not None:
        _side_by_side(
            players, games, known, report, opening, questions, hops or 2, threads, reader=reader, **sampled
        )
    elif _are_saved(players):
        _print_saved(context, players, report)
    else:
        _by_questions(
            players, report, opening, questions or [], sets, known, hops, threads, control=control,
            attempts=attempts or given.get("attempts", 1), **sampled,
        )  # fmt: skip


def _check_together(context: typer.Context, games: int | None, questions: Sequence[Path] | None) -> None:
    """Refuse options of the other way of measuring.

    Raises:
        ValueError: If there are any; the message names them.
    """
    given = {name for name in context.params if given_on_command_line(context, name)}
    apart = WITH_GAMES_ONLY if games is None else WITHOUT_GAMES_ONLY
    if unread := sorted(given.intersection(apart)):
        options = ", ".join(_OPTION.get(name, f"--{name.replace('_', '-')}") for name in unread)
        if games is None:
            raise ValueError(f"{options} can only be used with --games N, which compares players")
        raise ValueError(f"{options} cannot be used with --games, which compares players in both roles")
    if games is not None and len(questions or ()) > 1:
        raise ValueError(f"expected one --questions file with --games, got {len(questions or ())}")


# -- side by side ----------------------------------------------------------------------------------------


def _side_by_side(
    players: list[str],
    games: int,
    known: int | None,
    report: Report,
    opening: Mapping[str, Any],
    questions: Sequence[Path] | None,
    hops: int,
    threads: int,
    *,
    reader: str,
    temperature: float | None,
    max_new_tokens: int | None,
) -> None:
    from baselines.evaluation.preparation import prepare_models
    from baselines.evaluation.side_by_side import check_side_by_side, measurement, print_side_by_side

    file = questions[0] if questions else None
    check_side_by_side(players, games, known, file)
    scenario = open_from_options(split="heldout", questions=file, hops=(hops,), **opening)
    if known is None:
        has_questions = scenario.world is not None or file is not None
        known = (games or len(scenario.questions)) if has_questions else 0
    measured = measurement(
        scenario, games, known, opening["seed"], reader=reader, players=report.players, folder=report.folder,
        judge=report.judge, max_new_tokens=max_new_tokens,
        temperature=DEFAULT_TEMPERATURE if temperature is None else temperature,
    )  # fmt: skip
    prepare_models(players, threads)
    print_side_by_side(measured, players, report.json_file)


# -- question sets ---------------------------------------------------------------------------------------


def _are_saved(players: Sequence[str]) -> bool:
    """Whether the players are files of answers.

    Raises:
        ValueError: If some are, and others are not.
    """
    saved = [player for player in players if player.endswith(".jsonl")]
    if saved and len(saved) < len(players):
        raise ValueError(
            f"expected players, or files of answers, not both: got {saved[0]} among players; compare a "
            f"player with saved answers by --against {saved[0]}"
        )
    return bool(saved)


def _print_saved(context: typer.Context, players: Sequence[str], report: Report) -> None:
    from baselines.evaluation.by_questions import saved_and_print

    read = {"players", "by", "against", "judge", "json_file", "csv_file", "markdown_file", "out"}
    read |= {"api_key_variable", "concurrency"}
    given = {name for name in context.params if given_on_command_line(context, name)}
    if unread := sorted(given - read):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in unread)
        raise ValueError(f"saved answers are not played again: leave out {options}")
    saved_and_print([Path(player) for player in players], report)


def _by_questions(
    players: list[str],
    report: Report,
    opening: Mapping[str, Any],
    questions: Sequence[Path],
    folder: Path | None,
    known: int | None,
    hops: int | None,
    threads: int,
    *,
    control: str,
    attempts: int,
    temperature: float | None,
    max_new_tokens: int | None,
) -> None:
    from baselines.evaluation.by_questions import evaluate_and_print
    from baselines.evaluation.controls import CONTROLS
    from baselines.evaluation.preparation import prepare_models
    from baselines.evaluation.run import Evaluation

    if control not in CONTROLS:
        raise ValueError(f"--control must be one of {', '.join(CONTROLS)}, got {control!r}")
    if known == 0:
        raise ValueError("--known must be at least 1 without --games: then nothing else is asked")
    over_files = bool(questions or folder)
    if over_files:
        sets, scenarios = _of_files(questions, folder, known, opening, control)
    else:
        sets, scenarios = _of_worlds(opening, known or HELDOUT_QUESTIONS, hops)
        report = report if report.by else replace(report, by=("hops",))
    if temperature is None:
        temperature = (DEFAULT_TEMPERATURE if attempts > 1 else 0.0) if over_files else 1.0
    evaluation = Evaluation(
        sets, scenarios, control, attempts, temperature, opening["seed"], max_new_tokens, report.players,
        report.folder,
    )  # fmt: skip
    prepare_models(players, threads)
    described = next(iter(scenarios.values())).description if over_files else f"{len(scenarios)} worlds"
    evaluate_and_print(evaluation, players, _title(evaluation, described), report)


def _title(evaluation: Evaluation, searched: str) -> str:
    counts = ", ".join(f"{one.name} ({len(one.questions)})" for one in evaluation.sets)
    tries = "" if evaluation.attempts == 1 else f", {evaluation.attempts} attempts each"
    how = "greedy" if evaluation.temperature == 0 else f"temperature {evaluation.temperature:g}"
    return f"{counts}{tries}; {searched}; {evaluation.control}, {how}, seed {evaluation.seed}"


def _of_files(
    questions: Sequence[Path],
    folder: Path | None,
    known: int | None,
    opening: Mapping[str, Any],
    control: str,
) -> tuple[list[QuestionSet], dict[str, Scenario]]:
    """Read question files, and open what is searched; a control may do without.

    Raises:
        ValueError: If two sets have the same name, or there is nothing to search in.
    """
    from baselines.evaluation.controls import NothingFound
    from baselines.evaluation.question_sets import read_question_sets, read_seven_sets
    from ssp_env.scenario import open_scenario

    sets = [one for path in questions for one in read_question_sets(path)]
    if folder is not None:
        found = read_seven_sets(folder)
        if complaint := found.complaint():
            print_text(Console(stderr=True), complaint, style="yellow")
        sets += found.sets
    names = [one.name for one in sets]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"expected question sets of different names, got {', '.join(repeated)} more than once"
        )
    drawn = [one.draw(known, opening["seed"]) for one in sets]
    if control != "search" and not any(opening[name] for name in ("world", "corpus", "index", "search")):
        return drawn, {"": open_scenario(search=NothingFound(), rules=opening["rules"])}
    scenario = open_from_options(
        split="heldout", questions=questions[0] if questions else folder, hops=(2,), **opening
    )
    return drawn, {"": scenario}


def _of_worlds(
    opening: Mapping[str, Any], count: int, hops: int | None
) -> tuple[list[QuestionSet], dict[str, Scenario]]:
    """Draw questions of held-out worlds.

    Raises:
        ValueError: If something else is to be searched, which has no questions of its own.
    """
    from baselines.evaluation.question_sets import world_set

    for name in ("corpus", "index", "search"):
        if opening[name]:
            raise ValueError(
                f"--{name} says what is searched, but not what is asked: add --questions FILE or --sets "
                "FOLDER"
            )
    one, scenarios = world_set(
        opening["world"] or DEFAULT_WORLD,
        hops=(hops,) if hops else (1, 2, 3),
        count=count,
        first_world=opening["world_index"] or 0,
    )
    opened = {key: scenario.with_rules(opening["rules"]) for key, scenario in scenarios.items()}
    return [one], opened
