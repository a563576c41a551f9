"""Probe tasks: four small tasks that REINFORCE, GRPO and PPO should each solve with the usual pieces.

Run with `python -m benchmarks.probe_tasks`; it needs `ssp-env[train]`. The same command goes on where it was
stopped: finished runs are kept. A run is one algorithm on one task from one seed. It ends as solved when
`GOAL` of `DECIDING` fresh games are solved, or as unsolved after `LIMIT` updates. Games are played as in
training, at temperature 1.

Names, colours and owners are drawn anew for every game, so that nothing but the constant can be memorised.
All runs of a seed start from one warm start: the clone of a player who searches and answers with random words
and knows no answer. The model is a small `agents.build_model`, which is made to be able to copy. The options
of the algorithms are those of `baselines.comparison.recipes`; learning rates are in `RATES`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
import typer
from filelock import FileLock
from rich.console import Console
from rich.table import Table

from agents import TinyPolicy, build_model, build_tokenizer
from baselines import CausalLMPolicy, Learner, LearnerConfig, game_samples
from baselines.algorithms import build_algorithm
from baselines.comparison.recipes import ALGORITHMS
from baselines.config import RoleConfig
from baselines.runs.jobs import Job, run_jobs
from baselines.samples import ConversationRecorder, text_sample
from baselines.warm_start import clone
from ssp_env.game import Game, Passage, Task, View
from ssp_env.game.config import TERSE_RULES
from ssp_env.play import AnyAgent, play
from ssp_env.search.bm25 import BM25Engine

NAMES = ("alba", "brin", "corun", "dova", "elim", "farun", "gorm", "hesta", "ilen", "jorun", "kalva", "loth")
COLOURS = (
    *("amber", "black", "copper", "denim", "ebony", "fawn"),
    *("green", "henna", "ivory", "jade", "khaki", "lilac"),
)
OWNED = len(NAMES) // 2
"""Names that have an owner in a game of two searches; the others are the owners and have a colour."""
VOCABULARY = (*NAMES, *COLOURS, "colour", "owner", "say", "of", "?")
RULES = replace(TERSE_RULES, top_k=1).with_budget(max_searches=2, max_turns=3, retries=0)

GOAL, LIMIT = 0.95, 150
QUESTIONS, ATTEMPTS = 8, 8
"""Questions of an update, and attempts at each of them."""
EVERY, EVALUATED, DECIDING = 5, 64, 400
"""Updates between two points of the learning curve; games of a point; and fresh games that decide whether a
run has ended, played when a point is at the goal and after the last update."""
CLONING_STEPS, CLONING_GAMES = 400, 32
SIZES = {"hidden_size": 64, "layers": 2, "heads": 4, "intermediate_size": 128, "context": 128}
RATES = {"cloning": 2e-3, "reinforce": 3e-3, "grpo": 3e-3, "ppo": 3e-3}
"""Learning rates by what learns."""

Figures: TypeAlias = dict[str, Any]
Weights: TypeAlias = Mapping[str, torch.Tensor]
Drawn: TypeAlias = tuple[str, str, dict[str, str]]
"""A question, its answer, and the passages by title."""


# -- the tasks ---------------------------------------------------------------------------------------------


def constant_answer(rng: np.random.Generator) -> Drawn:
    """Whatever is asked, the first colour is right."""
    return f"colour of {rng.choice(NAMES)} ?", COLOURS[0], _coloured(NAMES, rng)


def answer_in_prompt(rng: np.random.Generator) -> Drawn:
    """The question says the answer."""
    colour = str(rng.choice(COLOURS))
    return f"say {colour} ?", colour, _coloured(NAMES, rng)


def one_search(rng: np.random.Generator) -> Drawn:
    """The passage of the name in the question says the answer."""
    name, texts = str(rng.choice(NAMES)), _coloured(NAMES, rng)
    return f"colour of {name} ?", texts[name].split()[-1], texts


def two_searches(rng: np.random.Generator) -> Drawn:
    """The passage of the name in the question says whose passage says the answer."""
    names: list[str] = rng.permutation(NAMES).tolist()
    owned, owners = names[:OWNED], names[OWNED:]
    owner_of = {name: f"{name} owner {owner}" for name, owner in zip(owned, owners, strict=True)}
    colours = _coloured(owners, rng)
    return f"colour of owner of {owned[0]} ?", colours[owners[0]].split()[-1], {**owner_of, **colours}


def _coloured(names: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    return {name: f"{name} colour {rng.choice(COLOURS)}" for name in names}


TASKS: Mapping[str, Callable[[np.random.Generator], Drawn]] = {
    function.__name__.replace("_", " "): function
    for function in (constant_answer, answer_in_prompt, one_search, two_searches)
}


def play_games(
    player: AnyAgent, task: str, rng: np.random.Generator, count: int, attempts: int = 1
) -> list[Game]:
    """Play fresh games of a task, each over a corpus of its own, to their end."""
    games, engines = [], {}
    for number in range(count):
        question, answer, texts = TASKS[task](rng)
        key = f"{task}/{number}"
        passages = [Passage(title, title, text) for title, text in texts.items()]
        engines[key] = BM25Engine(passages, stem=False, drop_stop_words=False)
        asked = Task(answer, question=question, id=key, corpus=key)
        games.append(Game(asked, replace(RULES, attempts=attempts), rng))
    play(games, solver=player, search=engines, on_player_error="raise")
    return games


def success(player: AnyAgent, task: str, rng: np.random.Generator, count: int) -> float:
    """Return the share of fresh games, with one attempt each, that a player solves."""
    games = play_games(player, task, rng, count)
    return fmean(game.outcome.rewards["solver_0"] for game in games if game.outcome)


# -- a run -------------------------------------------------------------------------------------------------


class RandomPlayer:
    """Makes well-formed turns of random words: two in three are searches, as long as it may search.

    Three in four of its words, if there are any, are drawn from those of the conversation: without an example
    of a word that stood there before, no tiny model happens upon copying one.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def act(self, view: View) -> str:
        """Search for a random name, or answer with a random colour."""
        read = " ".join(message.content for message in view.messages).split()
        if view.searches_left and self._rng.random() < 2 / 3:
            return f"<search> {self._word(NAMES, read)} </search>"
        return f"<answer> {self._word(COLOURS, read)} </answer>"

    def _word(self, words: Sequence[str], read: Sequence[str]) -> str:
        seen = [word for word in words if word in read]
        return str(self._rng.choice(seen if seen and self._rng.random() < 0.75 else words))


def new_policy(seed: int, weights: Weights | None = None) -> CausalLMPolicy:
    """Return a policy with the weights given, or the untrained ones of a seed."""
    tokenizer = build_tokenizer(vocabulary=VOCABULARY)
    policy = CausalLMPolicy(
        build_model(len(tokenizer), **SIZES, seed=seed),
        lambda model, seed, _: TinyPolicy(model, tokenizer, seed=seed, max_new_tokens=6),
    )
    if weights is not None:
        policy.load_state_dict(weights)
    return policy


def warm_start(seed: int, steps: int = CLONING_STEPS) -> Weights:
    """Clone the random player on games of all tasks; return the weights."""
    policy, rng = new_policy(seed), np.random.default_rng((seed, 0))
    learner = Learner(policy, LearnerConfig(learning_rate=RATES["cloning"], warmup_steps=5))
    tokenizer = build_tokenizer(vocabulary=VOCABULARY)
    for step in range(steps):
        recorder = ConversationRecorder(RandomPlayer(rng))
        play_games(recorder, list(TASKS)[step % len(TASKS)], rng, CLONING_GAMES)
        clone(learner, [text_sample(said, tokenizer) for said in recorder.conversations.values()])
    return policy.state_dict()


def run_one(policy: CausalLMPolicy, task: str, algorithm: str, seed: int, limit: int) -> Figures:
    """Train a policy on fresh games of a task until others are solved, for `limit` updates at most.

    Returns:
        What was run; `updates`, how many it took, None if the task was not solved; `success`, the share of
        `DECIDING` games at the end; `curve`, the success before the first update and every `EVERY` updates;
        and `cpu_seconds`, without the warm start.
    """
    began = time.process_time()
    learner = Learner(policy, LearnerConfig(learning_rate=RATES[algorithm], betas=(0.9, 0.98), seed=seed))
    trainer = build_algorithm(RoleConfig(algorithm, options=ALGORITHMS[algorithm]), learner)
    training, testing = (np.random.default_rng((seed, stream)) for stream in (1, 2))

    def player(rng: np.random.Generator) -> AnyAgent:
        return policy.agent(int(rng.integers(2**31)))

    curve: list[float] = []
    for update in range(limit + 1):
        if update % EVERY == 0:
            curve.append(success(player(testing), task, testing, EVALUATED))
            print(f"{task}, {algorithm}, seed {seed}: update {update}, success {curve[-1]:.2f}")
        if update == limit or (update % EVERY == 0 and curve[-1] >= GOAL):
            end = success(player(testing), task, testing, DECIDING)
            if end >= GOAL or update == limit:
                break
        games = play_games(player(training), task, training, QUESTIONS, ATTEMPTS)
        trainer.update([sample for game in games for sample in game_samples(game)])
    return {
        "task": task,
        "algorithm": algorithm,
        "seed": seed,
        "updates": update if end >= GOAL else None,
        "success": round(end, 4),
        "cpu_seconds": round(time.process_time() - began, 1),
        "curve": [round(value, 3) for value in curve],
    }


def run_seed(folder: Path, seed: int, tasks: Sequence[str], algorithms: Sequence[str]) -> None:
    """Make the warm start of a seed, and all its runs that are not finished, with one thread."""
    torch.set_num_threads(1)
    with FileLock(folder / f"seed{seed}.lock", timeout=0):
        cloned = warm_start(seed)
        for task, algorithm in product(tasks, algorithms):
            file = run_file(folder, task, algorithm, seed)
            if not file.exists():
                figures = run_one(new_policy(seed, cloned), task, algorithm, seed, LIMIT)
                # Renamed when it is whole, so that a run that was killed is not taken for a finished one.
                partial = file.with_suffix(".partial")
                partial.write_text(json.dumps({"settings": settings(), **figures}))
                os.replace(partial, file)


def run_file(folder: Path, task: str, algorithm: str, seed: int) -> Path:
    """Return the file that holds the figures of a finished run."""
    return folder / f"{task.replace(' ', '-')}-{algorithm}-seed{seed}.json"


def settings() -> Figures:
    """Return what all runs have in common, as JSON holds it."""
    return {
        "goal": GOAL,
        "limit": LIMIT,
        "samples_per_update": QUESTIONS * ATTEMPTS,
        "deciding_games": DECIDING,
        "curve_every": EVERY,
        "curve_games": EVALUATED,
        "cloning_steps": CLONING_STEPS,
        "learning_rates": dict(RATES),
        "options": {name: dict(options) for name, options in ALGORITHMS.items()},
    }


# -- all runs ----------------------------------------------------------------------------------------------


def main(
    tasks: Annotated[list[str], typer.Option("--task", help="Repeat the option for more.")] = [*TASKS],  # noqa: B006
    algorithms: Annotated[list[str], typer.Option("--algorithm", help="Repeat the option for more.")] = [  # noqa: B006
        *ALGORITHMS
    ],
    seeds: Annotated[list[int], typer.Option("--seed", help="Repeat the option for more.")] = [0, 1, 2, 3, 4],  # noqa: B006
    processes: Annotated[int, typer.Option(help="Seeds at a time, of one torch thread each.", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs/probe_tasks"),
    results: Annotated[Path, typer.Option(help="JSON file of the figures.")] = Path(
        "results/probe_tasks.json"
    ),
    run: Annotated[bool, typer.Option(help="Without: report the runs that are finished.")] = True,
) -> None:
    """Run every algorithm on every task from every seed, then print and write what came of it."""
    for names, known, option in ((tasks, TASKS, "--task"), (algorithms, ALGORITHMS, "--algorithm")):
        for name in names:
            if name not in known:
                expected = f"expected one of {', '.join(known)}"
                raise typer.BadParameter(f"{expected}; got {name!r}", param_hint=option)
    files = [run_file(out, *named, seed) for named in product(tasks, algorithms) for seed in seeds]
    # Finished runs of other settings are refused before hours are spent on the rest.
    runs = list(_finished(files))
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    if run:
        run_jobs(_jobs(out, seeds, tasks, algorithms), processes, console, _progress)
        runs = list(_finished(files))
    if not runs:
        raise typer.BadParameter(f"no run in {out} is finished", param_hint="--no-run")
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(as_json(runs))
    console.print(table(runs))
    console.print(f"figures: {results}", highlight=False)


def _jobs(out: Path, seeds: Sequence[int], tasks: Sequence[str], algorithms: Sequence[str]) -> list[Job]:
    """Return a job for every seed with an unfinished run."""
    return [
        Job(f"seed {seed}", run_seed, (out, seed, tasks, algorithms), out / f"seed{seed}.log")
        for seed in seeds
        if not all(run_file(out, *named, seed).exists() for named in product(tasks, algorithms))
    ]


def _finished(files: Sequence[Path]) -> Iterator[Figures]:
    """Yield the figures of finished runs.

    Raises:
        typer.BadParameter: If one had other settings.
    """
    for file in files:
        if file.exists():
            figures = json.loads(file.read_text())
            if figures.pop("settings") != settings():
                raise typer.BadParameter(
                    f"{file} was run with other settings: remove it, or give another folder",
                    param_hint="--out",
                )
            yield figures


def as_json(runs: Sequence[Figures]) -> str:
    """Return the settings and the runs, one run a line."""
    lines = ",\n".join(f"  {json.dumps(run)}" for run in runs)
    return json.dumps(settings(), indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n'


def _progress(job: Job) -> str:
    lines = job.log.read_text().splitlines() if job.log.exists() else []
    return lines[-1] if lines else f"{job.name} begins"


def table(runs: Sequence[Figures]) -> Table:
    """Return, by task and algorithm, where runs began and ended and what they took."""
    columns = ("task", "algorithm", "before", "solved", "lowest", "updates", "CPU s")
    shown = Table(*columns, show_edge=False, pad_edge=False)
    for task, algorithm in dict.fromkeys((run["task"], run["algorithm"]) for run in runs):
        chosen = [run for run in runs if (run["task"], run["algorithm"]) == (task, algorithm)]
        updates = [run["updates"] for run in chosen if run["updates"] is not None]
        shown.add_row(
            task,
            algorithm,
            f"{fmean(run['curve'][0] for run in chosen):.2f}",
            f"{len(updates)} of {len(chosen)}",
            f"{min(run['success'] for run in chosen):.3f}",
            f"{median(updates):g} ({min(updates)}-{max(updates)})" if updates else "-",
            f"{median(run['cpu_seconds'] for run in chosen):.0f}",
        )
    return shown


if __name__ == "__main__":
    typer.run(main)
