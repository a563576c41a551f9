"""The answers of one player as data, and the file in which an evaluation keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import ssp_env
from baselines.evaluation.question_sets import Question
from ssp_env.data.lines import DataFileError, decode_line, read_byte_lines, shown
from ssp_env.game import Game
from ssp_env.game.events import AnswerScored, PageOpened, SearchReturned, SeatForfeited, TurnTaken

FORMAT = 1
"""Version of the file of answers, increased when readers of the old one would misread the new one."""
SUFFIX = ".answers.jsonl"
QUOTATION_FAULTS = ("unquoted", "misquoted")
_LISTED = 5


@dataclass(frozen=True)
class Answer:
    """What a player answered in one attempt at one question.

    Attributes:
        set: Name of the question set.
        question_id: Id of the question within the set.
        attempt: Number of the attempt, from 0.
        question: The question.
        golds: The accepted answers.
        answer: What was answered; empty if the attempt ended without an answer.
        ended: `answered`, or why there is no answer: `malformed`, `turn_limit` or `token_limit`; under rules
            that want quotations also `unquoted` or `misquoted`; `failed` if something broke.
        failure: What broke, if infrastructure or the player did; nothing is known about such an attempt.
        searches: Searches that were executed.
        turns: Turns taken.
        tokens: Tokens sampled; 0 if the player does not report them.
        found: Ids and titles of the passages that were found, each once, in order.
        supporting: Titles of the passages that the answer follows from, or their ids if `by_id`.
        by_id: Whether supporting passages are named by ids.
        world: Key of the corpus, which is the world's id in generated worlds.
        fields: Metadata of the question.
    """

    set: str
    question_id: str
    attempt: int
    question: str
    golds: Sequence[str]
    answer: str
    ended: str
    failure: str | None
    searches: int
    turns: int
    tokens: int
    found: Sequence[Sequence[str]]
    supporting: Sequence[str]
    by_id: bool
    world: str
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, game: Game, question: Question, set_name: str, attempt: int) -> Answer:
        """Read a finished game of one attempt.

        Raises:
            ValueError: If it is not over.
        """
        if game.outcome is None:
            raise ValueError(f"game {game.id!r} is not over: it is in phase {game.phase}")
        scored = [event for event in game.events if isinstance(event, AnswerScored)]
        # By the rules an answer whose quotations do not count is wrong, whatever it says.
        refused = [event.scorer for event in scored if event.scorer in QUOTATION_FAULTS]
        given = [event.answer for event in scored if event.scorer not in QUOTATION_FAULTS]
        forfeits = [event.code for event in game.events if isinstance(event, SeatForfeited)]
        turns = [event for event in game.events if isinstance(event, TurnTaken)]
        shown_passages = [
            (passage.id, passage.title)
            for event in game.events
            if isinstance(event, SearchReturned | PageOpened)
            for passage in event.passages
        ]
        return cls(
            set=set_name,
            question_id=question.task.id,
            attempt=attempt,
            question=question.task.question,
            golds=game.golds,
            answer=given[-1] if given else "",
            ended=next(iter([*refused, *forfeits, *["answered"] * len(given)]), "failed"),
            failure=game.outcome.failure,
            searches=sum(isinstance(event, SearchReturned) for event in game.events),
            turns=len(turns),
            tokens=sum(len(event.reply.token_ids) for event in turns),
            found=list(dict.fromkeys(shown_passages)),
            supporting=question.ids or question.titles,
            by_id=bool(question.ids),
            world=question.task.corpus,
            fields=question.fields,
        )

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells the answer from all others of a player."""
        return self.set, self.question_id, self.attempt

    @property
    def question_key(self) -> tuple[str, str]:
        """What tells the question from all others."""
        return self.set, self.question_id


@dataclass(frozen=True)
class SavedAnswers:
    """A file of answers that was read.

    Attributes:
        header: What was played: player, options, sets and engine.
        answers: The answers, in the order in which they came.
    """

    header: Mapping[str, Any]
    answers: tuple[Answer, ...]


def header(player: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first line of a file of answers."""
    return {"evaluation": FORMAT, "package": ssp_env.__version__, "player": player, **options}


def read_answers(path: str | os.PathLike[str]) -> SavedAnswers:
    """Read a file of answers; a torn last line, which a kill leaves, is dropped.

    Raises:
        DataFileError: If it cannot be read, is empty, is of another version, or is something else.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataFileError("expected the answers of an evaluation, got an empty file", path)
    (_, first), *rest = rows
    if "evaluation" not in first:
        raise DataFileError(
            "expected a file that `ssp eval --out` wrote, whose first line names the evaluation, got the "
            f"keys {sorted(first)[:_LISTED]}",
            path,
            1,
        )
    if first["evaluation"] != FORMAT:
        raise DataFileError(
            f"expected answers of version {FORMAT}, got version {shown(first['evaluation'])}, written by "
            f"ssp-env {first.get('package', '(unknown)')}: evaluate again, or read them with that version",
            path,
            1,
        )
    return SavedAnswers(first, tuple(_answer(row, path, number) for number, row in rest))


def _rows(path: str | os.PathLike[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    torn: DataFileError | None = None
    for number, line in read_byte_lines(path):
        if torn is not None:
            raise torn
        text = decode_line(line, path, number).strip()
        if not text:
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            torn = DataFileError(f"expected one JSON object a line, got invalid JSON: {error}", path, number)
            continue
        if not isinstance(row, dict):
            raise DataFileError(f"expected one JSON object a line, got {shown(row)}", path, number)
        yield number, row


def _answer(row: Mapping[str, Any], path: str | os.PathLike[str], number: int) -> Answer:
    names = {option.name for option in fields(Answer)}
    if missing := sorted(names - row.keys()):
        raise DataFileError(
            f"expected an answer with the keys {', '.join(sorted(names))}; {', '.join(missing)} are missing",
            path,
            number,
        )
    return Answer(**{name: row[name] for name in names})


class AnswerFile:
    """A file to which answers are appended line by line, so that a kill loses none that was written.

    Args:
        path: The file; a new one begins with the header.
        first: The header, with which a file that exists must have been begun.

    Attributes:
        kept: Answers that the file held; attempts that failed are left out of it and played again.

    Raises:
        ValueError: If the file was begun with other options; the message names the first that differs.
        DataFileError: If there is another file of this name.
    """

    def __init__(self, path: Path, first: Mapping[str, Any]) -> None:
        self.path = path
        self.kept: tuple[Answer, ...] = ()
        plain = json.loads(json.dumps(first))
        if path.exists() and path.stat().st_size and _has_header(path):
            saved = read_answers(path)
            _check_same(path, saved.header, plain)
            self.kept = tuple(answer for answer in saved.answers if answer.failure is None)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(path.name + ".part")
        lines = [plain, *(asdict(answer) for answer in self.kept)]
        aside.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
        aside.replace(path)
        self._file: TextIO = path.open("a", encoding="ascii", buffering=1)

    def write(self, answer: Answer) -> None:
        """Append an answer."""
        self._file.write(json.dumps(asdict(answer)) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _has_header(path: Path) -> bool:
    """Whether the first line is whole; a kill may have left a part of it, and then nothing else."""
    with path.open("rb") as file:
        return file.readline().endswith(b"\n")


def _check_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in [*now, *(name for name in before if name not in now)]:
        if before.get(name) != now.get(name):
            raise ValueError(
                f"{path} was begun with another {name}: {shown(before.get(name))}, not "
                f"{shown(now.get(name))}; repeat the options it was begun with, or choose another folder"
            )
