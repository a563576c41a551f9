"""What a page shows: the games of a file, or of a run's folder with its metrics; read one game at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssp_env.data.lines import DataFileError, decode_line, read_byte_lines
from ssp_env.records import Episode, numbered_episodes
from ssp_env.records.replay import UNKNOWN

EPISODES, METRICS = "episodes.jsonl", "metrics.jsonl"
DESCRIPTIONS = ("config.json", "summary.json")
"""What a run's folder says about itself beside games and metrics; each is an object in JSON."""
DEFAULT_LIMIT = 10_000
"""Games of a source that a page holds unless somebody asks for more."""
COLUMNS = (
    *("line", "id", "step", "verdict", "reason", "hops", "label", "rate", "paid", "question", "answer"),
    *("words", "attempts", "searches", "malformed", "forged", "tokens"),
)
"""Names of what a row holds; a page gets one list for each."""
_PROBLEMS_SHOWN = 20
_PROBLEM_CHARACTERS = 400


@dataclass
class Source:
    """A file of games or a run's folder, with the counts and the problems of its reading.

    Attributes:
        path: The file or folder.
        games: The file with the games; None for a run that has recorded none yet.
        metrics: The file with the metrics; None where there is none.
        total: Lines in the file with the games, as far as it has been read.
        left_out: Lines before the first game that was read, because of the limit.
        shown: Games that were read.
        bad: Lines that are no game this version can show.
        problems: What is wrong with the first of them, and with other files of the run.
        torn: Whether the last line was incomplete, as it is while somebody writes.
    """

    path: Path
    games: Path | None
    metrics: Path | None
    total: int = 0
    left_out: int = 0
    shown: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    torn: bool = False

    @property
    def name(self) -> str:
        """A short name: that of the run's folder or of the file."""
        return self.path.resolve().name

    def add_problem(self, problem: Exception | str) -> None:
        """Keep what is wrong, shortened, unless many problems are known already."""
        said = str(problem)[:_PROBLEM_CHARACTERS]
        if len(self.problems) < _PROBLEMS_SHOWN and said not in self.problems:
            self.problems.append(said)

    def skip(self, problem: DataFileError) -> None:
        """Count a line that is no game."""
        self.bad += 1
        self.add_problem(problem)

    def about(self) -> dict[str, Any]:
        """Return what a page says about the source, as plain data."""
        return {
            "name": self.name,
            "path": str(self.path),
            "total": self.total,
            "leftOut": self.left_out,
            "shown": self.shown,
            "bad": self.bad,
            "problems": self.problems,
            "torn": self.torn,
            "hasMetrics": self.metrics is not None,
            "isRun": self.path.is_dir(),
            "descriptions": read_descriptions(self),
        }


def open_source(path: str | os.PathLike[str]) -> Source:
    """Find the games and the metrics of a run's folder, or take a file of games.

    Raises:
        DataFileError: If there is no such file, or the folder is no run's.
    """
    given = Path(path)
    if given.is_dir():
        games, metrics = (
            found if (found := given / name).is_file() else None for name in (EPISODES, METRICS)
        )
        if games is None and metrics is None and not (given / DESCRIPTIONS[0]).is_file():
            raise DataFileError(
                f"expected the folder of a run, with {EPISODES}, {METRICS} or {DESCRIPTIONS[0]}; "
                "name a file of recorded games, or a folder that ssp train has made",
                given,
            )
        return Source(given, games, metrics)
    if not given.is_file():
        raise DataFileError("expected a file of recorded games or the folder of a run, found neither", given)
    return Source(given, given, None)


def read_games(
    source: Source, limit: int = DEFAULT_LIMIT, on_bytes: Callable[[int], object] | None = None
) -> Iterator[tuple[dict[str, Any], str]]:
    """Stream the last games of a source, one in memory at a time.

    Args:
        source: Where the games are; it takes down what is left out and what cannot be shown.
        limit: Most lines that are read, from the end of the file.
        on_bytes: Called now and then with the number of bytes of the file that have been read.

    Yields:
        The row of the list of games, and the body of the game as JSON.

    Raises:
        DataFileError: If the file cannot be read.
    """
    if source.games is None:
        return
    source.total = sum(1 for _ in read_byte_lines(source.games))
    source.left_out = max(0, source.total - limit)

    def torn(problem: DataFileError) -> None:
        source.torn = True
        source.add_problem(problem)

    episodes = numbered_episodes(
        source.games, on_torn=torn, on_bad=source.skip, after=source.left_out, on_bytes=on_bytes
    )
    for number, episode in episodes:
        try:
            shown = shown_game(episode, source.games, number)
        except DataFileError as error:
            source.skip(error)
            continue
        source.shown += 1
        yield shown


def shown_game(episode: Episode, path: Path, number: int) -> tuple[dict[str, Any], str]:
    """Return the row of a game, and its body: the record without the inputs, which its events repeat.

    Args:
        episode: The record.
        path: Its file.
        number: The number of its line there.

    Raises:
        DataFileError: If a part of the record is not what it must be.
    """
    snapshot = {key: value for key, value in episode.snapshot.items() if key != "inputs"}
    body = {
        "line": number,
        "package": episode.package,
        "game_id": episode.game_id,
        "engine": episode.engine,
        "snapshot": snapshot,
        "events": episode.events,
        "outcome": episode.outcome,
        "extra": episode.extra,
        "scored_by": episode.scored_by,
    }
    try:
        return game_row(number, episode), json.dumps(body, separators=(",", ":"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"expected a whole game, got one without a part that is needed to show it: {error!r}"
        raise DataFileError(problem, path, number) from error


def read_metrics(source: Source) -> Iterator[dict[str, Any]]:
    """Stream the rows of a run's metrics that are whole; others are taken down as problems."""
    if source.metrics is None:
        return
    try:
        for number, line in read_byte_lines(source.metrics):
            if not line.endswith(b"\n"):
                continue
            try:
                yield plain_metrics(line, source.metrics, number)
            except DataFileError as error:
                source.add_problem(error)
    except DataFileError as error:
        source.add_problem(error)


def plain_metrics(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """Read a line of metrics: the stage, and whatever is a finite number.

    Args:
        line: The line.
        path: Its file, for errors.
        number: Its number there, for errors.

    Raises:
        DataFileError: If it is no object in JSON.
    """
    text = decode_line(line, path, number)
    try:
        row = json.loads(text)
        if not isinstance(row, dict):
            raise ValueError(f"got {type(row).__name__}")
    except (ValueError, RecursionError) as error:
        problem = f"expected an object with the metrics of a step: {error}"
        raise DataFileError(problem, path, number) from error
    kept = {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    }
    return {"stage": str(row.get("stage", "")), **kept}


def read_descriptions(source: Source) -> dict[str, Any]:
    """Return the configuration and the summary of a run, those of them that are there and readable."""
    found: dict[str, Any] = {}
    for name in DESCRIPTIONS if source.path.is_dir() else ():
        path = source.path / name
        try:
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            source.add_problem(f"{path}: cannot be read: {error}")
    return found


# -- the list of games: what a page knows of each before it is opened, a few hundred bytes --------------


def game_row(number: int, episode: Episode) -> dict[str, Any]:
    """Make the row of a game.

    Args:
        number: Line of the record in its file, from 1.
        episode: The record.

    Returns:
        By the names of `COLUMNS`: `step` of the run, or None; `label`, whether the asked answer is the only
        right one, or None if nobody knows; `rate`, the solver's success, and `paid`, the proposer's reward,
        or None; `words`, other texts that a search should find; `tokens`, whether the players returned any.
    """
    task, outcome = episode.snapshot["task"], episode.outcome or {}
    metrics, rewards = outcome.get("metrics", {}), outcome.get("rewards", {})
    step = episode.extra.get("step")
    return {
        "line": number,
        "id": episode.game_id,
        "step": step if isinstance(step, int) else None,
        "verdict": str(outcome.get("verdict", UNKNOWN)),
        "reason": str(outcome.get("reason", UNKNOWN)),
        "hops": int(task["hops"]),
        "label": label_truth(episode.extra),
        "rate": outcome.get("success_rate"),
        "paid": rewards.get("proposer_0"),
        "question": str(outcome.get("question") or task["question"]),
        "answer": str(task["answer"]),
        "words": "\n".join(_words(episode)),
        "attempts": int(episode.snapshot["config"]["attempts"]),
        "searches": sum(event.get("type") == "SearchReturned" for event in episode.events),
        "malformed": int(metrics.get("malformed_turns", 0)),
        "forged": int(metrics.get("spoofed_tags", 0)),
        "tokens": any(_has_tokens(event) for event in episode.events),
    }


def label_truth(extra: Mapping[str, Any]) -> bool | None:
    """Return what the writer's audit says about the label of a question; None if it does not know."""
    found = extra.get("audit")
    truth = found.get("label_true") if isinstance(found, Mapping) else None
    return bool(truth) if isinstance(truth, int | float) else None


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into one list for each column, so that no name is repeated."""
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, values in columns.items():
            values.append(row[name])
    return columns


def _words(episode: Episode) -> dict[str, None]:
    """Texts that players wrote as queries and answers, the aliases, and what failed; each once, in order."""
    found = dict.fromkeys(map(str, episode.snapshot["task"]["aliases"]))
    for event in episode.events:
        text = {"SearchReturned": event.get("query"), "AnswerScored": event.get("answer")}.get(event["type"])
        if isinstance(text, str):
            found[text] = None
    if failure := (episode.outcome or {}).get("failure"):
        found[str(failure)] = None
    return found


def _has_tokens(event: Mapping[str, Any]) -> bool:
    reply = event.get("reply")
    return isinstance(reply, Mapping) and bool(reply.get("token_ids"))
