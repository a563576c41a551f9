"""Sets of questions with known answers: published files as they are, and held-out generated worlds."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from baselines.rollouts.tasks import heldout_questions
from ssp_env.data.fields import (
    ANSWER_KEYS,
    QUESTION_ID_KEYS,
    QUESTION_KEYS,
    REWARD_KEYS,
    TASK_KEYS,
    parse_golds,
    parse_id,
    parse_metadata,
    parse_question,
)
from ssp_env.data.lines import DataFileError
from ssp_env.data.records import read_records
from ssp_env.game import Task
from ssp_env.game.passage import Passage
from ssp_env.scenario import Scenario

SUPPORT_KEYS = ("supporting_titles", "supporting_facts", "supporting_ids", "context", "paragraphs")
_FIELD_COLUMNS = ("data_source", "type", "level", "category", "prop", "answer_type", "question_decomposition")
_KEYS = frozenset({*TASK_KEYS, *SUPPORT_KEYS, *_FIELD_COLUMNS, "extra_info"})
_LONGEST_FIELD = 100
_HOPS_IN_ID = re.compile(r"([1-9])hop")


@dataclass(frozen=True)
class Question:
    """A question with a known answer, and what its source tells about it.

    Attributes:
        task: Question, answers and key of the corpus; its id is unique within the set.
        fields: Metadata by which figures can be broken down, such as `hops`, `type` and `level`.
        titles: Titles of the passages that the answer follows from; empty if the source names none.
        ids: Their ids, where the source has ids in place of titles.
        passages: The passages themselves, where the source has them.
    """

    task: Task
    fields: Mapping[str, Any] = field(default_factory=dict)
    titles: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class QuestionSet:
    """Questions that are reported together.

    Attributes:
        name: Name of the set, unique within an evaluation.
        questions: The questions, in the order of their source.
    """

    name: str
    questions: tuple[Question, ...]

    def digest(self) -> str:
        """Return a hash of questions, answers and supporting passages; equal sets have equal ones."""
        digest = hashlib.sha256()
        for question in self.questions:
            digest.update(json.dumps(asdict(question), sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    def draw(self, count: int | None, seed: int) -> QuestionSet:
        """Return the set with `count` of its questions, drawn by the seed; all of them if it has no more."""
        if count is None or count >= len(self.questions):
            return self
        places = np.random.default_rng(seed).permutation(len(self.questions))[:count]
        return replace(self, questions=tuple(self.questions[place] for place in sorted(places.tolist())))


# -- files -----------------------------------------------------------------------------------------------


def read_question_sets(path: str | os.PathLike[str]) -> list[QuestionSet]:
    """Read a question file as one set, or as one for each `data_source` that its records name.

    Records are read as `ssp_env.data.read_questions` reads them. A question may also stand in `extra_info`,
    as in rows of verl, and ids need to be unique within a set only. Metadata and other single values of a
    record become fields. Supporting passages are read from `supporting_titles` or `supporting_ids`, from
    `supporting_facts` and `context` (HotpotQA, 2WikiMultihopQA) or from `paragraphs` (MuSiQue), in the record
    or in its metadata.

    Raises:
        DataFileError: If the file cannot be read or has no question, a record is malformed, or two questions
            of a set share an id.
        ModuleNotFoundError: If the file is Parquet and pyarrow is not installed.
    """
    sets: dict[str, dict[str, Question]] = {}
    needed = [(*QUESTION_KEYS, "extra_info"), (*ANSWER_KEYS, *REWARD_KEYS)]
    for number, (source, question) in read_records(path, _parsed, _KEYS, needed):
        found = sets.setdefault(source, {})
        if question.task.id in found:
            raise DataFileError(f"expected unique ids, got {question.task.id!r} again", path, number)
        found[question.task.id] = question
    if not sets:
        raise DataFileError("expected at least one question, got an empty file", path)
    stem = Path(path).name.partition(".")[0]
    return [
        QuestionSet(known_set(source) or source or stem, tuple(found.values()))
        for source, found in sets.items()
    ]


def _parsed(record: dict[str, Any], number: int) -> tuple[str, Question]:
    inner = record.get("extra_info")
    if isinstance(inner, dict):
        # Rows of verl keep there what others have at the top.
        record = {**{key: inner[key] for key in QUESTION_KEYS if inner.get(key)}, **record}
    metadata = parse_metadata(record)
    answer, *aliases = parse_golds(record)
    has_id = any(key in record for key in QUESTION_ID_KEYS)
    identifier = parse_id(record, QUESTION_ID_KEYS) if has_id else str(number)
    task = Task(
        answer, tuple(aliases), question=parse_question(record), id=identifier, provenance=dict(metadata)
    )
    known = {**record, **metadata}
    titles, passages = _support(known)
    source = record.get("data_source")
    ids = known.get("supporting_ids")
    return (
        source if isinstance(source, str) else "",
        Question(
            task,
            _fields(known, identifier),
            titles,
            tuple(map(str, ids)) if isinstance(ids, list) else (),
            passages,
        ),
    )


def _fields(known: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    """Return the single values of a record, without those that make up the task."""
    fields = {
        key: value
        for key, value in known.items()
        if isinstance(value, str | int | float)
        and (key not in TASK_KEYS or key == "hops")
        and len(str(value)) <= _LONGEST_FIELD
    }
    steps = known.get("question_decomposition")
    if "hops" not in fields and isinstance(steps, list) and steps:
        fields["hops"] = len(steps)
    elif "hops" not in fields and (named := _HOPS_IN_ID.match(identifier)):
        fields["hops"] = int(named[1])
    return fields


def _support(known: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[Passage, ...]]:
    """Return titles of the supporting passages, and the passages where their texts are there too."""
    paragraphs = known.get("paragraphs")
    if isinstance(paragraphs, list) and any(
        isinstance(one, dict) and one.get("is_supporting") for one in paragraphs
    ):
        marked = [one for one in paragraphs if one.get("is_supporting")]
        pairs = [(str(one.get("title", "")), str(one.get("paragraph_text", ""))) for one in marked]
        return _unique(title for title, _ in pairs), _passages(pairs)
    listed = known.get("supporting_titles")
    facts = known.get("supporting_facts")
    if isinstance(facts, dict):
        facts = [[title] for title in facts.get("title", [])]
    named = listed if isinstance(listed, list) else [fact[0] for fact in facts or () if fact]
    titles = _unique(map(str, named))
    texts = _context(known.get("context"))
    return titles, _passages([(title, texts[title]) for title in titles if title in texts])


def _context(context: Any) -> dict[str, str]:
    """Return the paragraphs of HotpotQA's `context` by title, in either of its two published forms."""
    if isinstance(context, dict):
        sentences = context.get("sentences") or context.get("content") or []
        context = list(zip(context.get("title") or [], sentences))
    if not isinstance(context, list):
        return {}
    return {
        str(entry[0]): "".join(entry[1]) if isinstance(entry[1], list) else str(entry[1])
        for entry in context
        if isinstance(entry, list | tuple) and len(entry) == 2
    }


def _passages(pairs: Iterable[tuple[str, str]]) -> tuple[Passage, ...]:
    return tuple(
        Passage(f"gold/{number}", title, text) for number, (title, text) in enumerate(pairs) if text.strip()
    )


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


# -- the seven sets --------------------------------------------------------------------------------------

SEVEN_SETS: Mapping[str, tuple[str, ...]] = {
    "NQ": ("nq",),
    "TriviaQA": ("triviaqa",),
    "PopQA": ("popqa",),
    "HotpotQA": ("hotpotqa",),
    "2Wiki": ("2wikimultihopqa", "2wiki"),
    "MuSiQue": ("musique",),
    "Bamboogle": ("bamboogle",),
}
"""The sets that search agents are compared on, with the names that files and `data_source` give them."""
AVERAGES: Mapping[str, tuple[str, ...]] = {
    "general": ("NQ", "TriviaQA", "PopQA"),
    "multi-hop": ("HotpotQA", "2Wiki", "MuSiQue", "Bamboogle"),
    "all seven": tuple(SEVEN_SETS),
}
"""Unweighted means over sets that published tables give; a mean is reported where all of its sets are."""
_SUFFIXES = (".jsonl", ".json", ".parquet", ".tsv", ".csv", ".jsonl.gz", ".json.gz", ".tsv.gz", ".csv.gz")
_SPLITS = ("test", "dev", "validation")


def known_set(name: str) -> str:
    """Return the set of `SEVEN_SETS` that a file or `data_source` means; empty if it is none of them.

    >>> known_set("searchR1_2wikimultihopqa"), known_set("nq_dev_300"), known_set("nqx")
    ('2Wiki', 'NQ', '')
    """
    plain = name.lower().removeprefix("searchr1_")
    for known, names in SEVEN_SETS.items():
        if any(re.fullmatch(rf"{re.escape(one)}([_\-.].*)?", plain) for one in names):
            return known
    return ""


@dataclass(frozen=True)
class FoundSets:
    """What a folder holds of the seven sets.

    Attributes:
        sets: Those that were found, in the order of `SEVEN_SETS`.
        missing: The names of the others.
        folder: The folder.
    """

    sets: tuple[QuestionSet, ...]
    missing: tuple[str, ...]
    folder: Path

    def complaint(self) -> str:
        """Say which sets are missing and where each is expected; empty if none is."""
        if not self.missing:
            return ""
        lines = [
            f"  {name}: {self.folder / SEVEN_SETS[name][0]}.jsonl, or "
            f"{self.folder / SEVEN_SETS[name][0] / 'test.jsonl'} (or dev.jsonl)"
            for name in self.missing
        ]
        head = f"{len(self.missing)} of the seven question sets are not in {self.folder}; expected are"
        tail = "or one file with all of them, told apart by data_source; .json, .tsv, .parquet and .gz do too"
        return "\n".join([head, *lines, f"  {tail}"])


def read_seven_sets(folder: Path) -> FoundSets:
    """Read what a folder holds of the seven sets: `nq.jsonl`, `nq/test.jsonl`, or one file with all of them.

    Raises:
        ValueError: If there is no such folder, none of the sets is in it, or two files hold the same set.
        DataFileError: If a file is malformed.
    """
    if not folder.is_dir():
        raise ValueError(f"--sets expects a folder with question files, got {folder}, which is no folder")
    found: dict[str, QuestionSet] = {}
    origin: dict[str, Path] = {}
    for path in _candidates(folder):
        for one in read_question_sets(path):
            name = one.name if one.name in SEVEN_SETS else known_set(_named_by(path, folder))
            if not name:
                continue
            if name in origin:
                raise ValueError(f"{origin[name]} and {path} both hold {name}: leave one of them")
            found[name], origin[name] = replace(one, name=name), path
    sets = tuple(found[name] for name in SEVEN_SETS if name in found)
    result = FoundSets(sets, tuple(name for name in SEVEN_SETS if name not in found), folder)
    if not sets:
        raise ValueError(result.complaint())
    return result


def _named_by(path: Path, folder: Path) -> str:
    stem = path.name.partition(".")[0]
    return stem if path.parent == folder else path.parent.name


def _candidates(folder: Path) -> list[Path]:
    """Return the files that may hold a set: by their names, and the best split in a set's own folder."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name.endswith(_SUFFIXES)]
    chosen = [
        path for path in files if known_set(_named_by(path, folder)) or path.name.partition(".")[0] in _SPLITS
    ]
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and known_set(path.name)):
        by_split = {path.name.partition(".")[0]: path for path in inner.iterdir() if path.is_file()}
        chosen += [by_split[split] for split in _SPLITS if split in by_split][:1]
    return chosen


# -- generated worlds ------------------------------------------------------------------------------------


def world_set(
    preset: str,
    *,
    hops: Sequence[int] = (1, 2, 3),
    count: int = 240,
    per_world: int = 4,
    first_world: int = 0,
) -> tuple[QuestionSet, dict[str, Scenario]]:
    """Draw questions from held-out worlds; return them, and the scenarios by `Task.corpus`.

    They are the questions on which `ssp train` measures a solver before and after training.

    Args:
        preset: Name in `WORLD_PRESETS`.
        hops: Numbers of hops.
        count: Questions for each number of hops.
        per_world: Questions from each world and number of hops.
        first_world: Index of the first held-out world.

    Raises:
        ValueError: If there is no such preset.
    """
    questions: list[Question] = []
    scenarios: dict[str, Scenario] = {}
    for number in hops:
        for known, task, scenario in heldout_questions(
            preset, number, count, per_world=per_world, first_world=first_world
        ):
            scenarios[task.corpus] = scenario
            questions.append(Question(task, {"hops": number, "world": task.corpus}, ids=known.passage_ids))
    return QuestionSet(f"held-out {preset}", tuple(questions)), scenarios
