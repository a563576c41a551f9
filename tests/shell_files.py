"""Files that readers of the pages have of their own: small ones that stand in for them in the tests."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from baselines.config import EvaluationConfig
from ssp_env import open_scenario
from ssp_env.scenario import Scenario
from tests.agents import chatty
from tests.baselines.short_runs import SHORT, train
from tests.markdown import ROOT, blocks

BRIEFEST = replace(
    SHORT,
    warm_start=replace(
        SHORT.warm_start, lookup_steps=1, lookup_sequences=1, cloning_steps=1, cloning_games=1
    ),
    steps=1,
    evaluation=EvaluationConfig(questions=2, validation_every=1, validation_questions=1),
)
SUPPLIED: Mapping[str, Mapping[str, str]] = {
    "README.md": {"Qwen2.5-7B-Instruct": "model", "answers.jsonl": "answers"},
    "agents.md": {"my_agents.py": "block: class Mine"},
    "agents_readers.md": {
        "path/to/model": "model",
        "pages.jsonl": "passages",
        "questions.jsonl": "questions",
    },
    "engines.md": {
        "wiki_31k.jsonl.gz": "passages",
        "hotpotqa_dev_200.jsonl": "questions",
        "nq_dev_300.jsonl": "questions",
    },
    "evaluation.md": {
        "CORPUS.jsonl.gz": "passages",
        "hotpotqa_dev_200.jsonl": "questions",
        "nq_dev_300.jsonl": "questions",
        "hotpotqa.jsonl": "questions",
        "nq.jsonl": "questions",
        "pages.jsonl": "passages",
        "my_agents.py": "block: class Mine",
        "pages-index": "command: ssp index build pages.jsonl --out pages-index",
        **dict.fromkeys(("evals/first.answers.jsonl", "evals/second.answers.jsonl"), "saved"),
        **{
            f"runs/{name}": f"run: {seed}"
            for seed, name in enumerate(("mine", "g0", "g1", "p0", "p1", "tiny"))
        },
    },
    "getting-started.md": {
        "nq.jsonl": "questions",
        "answers.txt": "answers",
        "my_agents.py": "block: class Mine",
        "rules.toml": "block: max_searches = 5",
        "wiki_31k.jsonl.gz": "passages",
    },
    "league.md": {"runs/second": "run: 1", "my_agents.py": "block: class Mine"},
    "serve.md": {
        "corpus.jsonl.gz": "passages",
        "index": "command: ssp index build corpus.jsonl.gz --out index",
    },
    "training.md": {
        "mine.toml": "block: moving",
        "two.toml": "block: policies",
        "files.toml": "block: heldout",
        "short.toml": "block: cloning_steps",
        "known.toml": "block: importance_cap",
        "my_algorithms.py": "block: def advantages",
        "path/to/model": "model",
        "Qwen2.5-7B-Instruct": "model",
        "answers.jsonl": "answers",
        "answers.txt": "answers",
        "corpus.jsonl": "passages",
        "runs/tiny-self-play-seed0": "run",
        **dict.fromkeys(("train.jsonl", "dev.jsonl", "test.jsonl"), "questions"),
    },
    "viewer.md": {
        "runs/first": "run",
        "runs/second": "run: 1",
        "games.jsonl": "command: ssp play --games 9 --quiet --out games.jsonl",
        "games.jsonl.gz": "command: ssp play --games 9 --quiet --out games.jsonl.gz",
    },
}
"""What a reader of a page must have beside what the page makes, as the page itself says."""


def supply(page: Path, folder: Path, shell: Callable[[str], object]) -> None:
    """Put the files that a page takes for granted into a folder."""
    for name, what in SUPPLIED.get(page.name, {}).items():
        kind, _, detail = what.partition(": ")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "command":
            assert shell(detail) == 0
        elif kind == "saved":
            aside = folder / f"{name}.aside"
            played = "ssp eval my_agents:Mine --questions nq.jsonl --corpus pages.jsonl --out"
            assert shell(f"{played} {aside}") == 0
            (kept,) = aside.glob("*.answers.jsonl")
            kept.rename(target)
        elif kind == "block":
            target.write_text(block(page, detail))
        else:
            MAKERS[kind](target, int(detail or 0))


def block(page: Path, words: str) -> str:
    """The only block of Python or TOML with these words, on the page or else in README."""
    for place in (page, ROOT / "README.md"):
        both = [*blocks(place, "python"), *blocks(place, "toml")]
        if found := [text for text in both if words in text]:
            (only,) = found
            return only
    raise AssertionError(f"{page.name} has no block with {words!r}")


@cache
def library() -> Scenario:
    """Pages of an invented library in English, with questions about them."""
    return open_scenario("prose_full_200x3-train-0")


def passages(target: Path, number: int) -> None:
    write_lines(
        target, [{"id": one.id, "title": one.title, "text": one.text} for one in library().world.passages()]
    )


def questions(target: Path, number: int) -> None:
    asked = library().questions[:3]
    titles = [one.title for one in library().world.passages()]
    write_lines(
        target,
        [
            {
                "id": str(place),
                "question": one.question,
                "golden_answers": [one.answer],
                "metadata": {"type": "bridge", "supporting_titles": [titles[place]]},
            }
            for place, one in enumerate(asked)
        ],
    )


def answers(target: Path, number: int) -> None:
    golds = [task.answer for task in library().questions[:4]]
    if target.suffix == ".txt":
        target.write_text("\n".join(golds))
    else:
        write_lines(target, [{"answer": gold, "hops": 1} for gold in golds])


def language_model(target: Path, number: int = 0) -> None:
    """A model that babbles, and its tokenizer."""
    chatty.babbler().save_pretrained(target)
    chatty.build_tokenizer(words=chatty.TAGS).save_pretrained(target)


def run(target: Path, seed: int) -> None:
    train(replace(BRIEFEST, seed=seed), target)


def write_lines(target: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if target.suffix == ".gz":
        target.write_bytes(gzip.compress(text.encode()))
    else:
        target.write_text(text)


MAKERS: Mapping[str, Callable[[Path, int], None]] = {
    "answers": answers,
    "model": language_model,
    "passages": passages,
    "questions": questions,
    "run": run,
}
