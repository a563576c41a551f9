"""A language model as judge and as reader, compared with the true answers of a fictional world.

Run with `python -m benchmarks.judges --by smollm2`, or any other player that `ssp play` knows and
that is a language model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from agents.judges import JudgeQuestions, JudgeStyle, LLMJudge
from agents.judges_agreement import Agreement
from agents.players import Cast
from baselines.evaluation.agent_figures import Share
from ssp_env.cli.progress import waiting
from ssp_env.game import PROTOCOLS, GameConfig, Judge, View
from ssp_env.game.passage import Passage
from ssp_env.game.prompts import prompt_style
from ssp_env.play import AnyAgent, AnyAsyncAgent, act_all, blocking, is_async_agent
from ssp_env.scoring import exact_match
from ssp_env.worlds import MAX_HOPS, Entity, KnownQuestion, World, world_preset

PROTOCOL = PROTOCOLS["default"]
SENTENCES = ("It was {}.", "The answer is {}, as far as I can tell.", "I found that it is {}.")
KINDS = ("the answer", "an alias", "in a sentence", "another of its kind", "no answer")
EMPTY_HANDED = ("I do not know.", "unknown", "The pages do not say.", "...")


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer that is to be judged, its kind, and whether it is right."""

    asked: Judge
    kind: str
    right: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """The view of a reader, and the answers that are right."""

    view: View
    answers: tuple[str, ...]


def draw_pairs(world: World, questions: Sequence[KnownQuestion], rng: np.random.Generator) -> list[Pair]:
    """Return a right and a wrong answer to every question, their kinds in turn.

    An alias is judged by the name alone, so that the judge has to know that one stands for the other.
    """
    entities = list(world.entities())
    pairs: list[Pair] = []
    for number, known in enumerate(questions):
        answers = (known.answer, *known.aliases)
        right = [("the answer", known.answer, answers)]
        if known.aliases:
            right.append(("an alias", str(rng.choice(known.aliases)), (known.answer,)))
        right.append(("in a sentence", str(rng.choice(SENTENCES)).format(known.answer), answers))
        wrong = [
            ("another of its kind", _namesake(entities, known, rng), answers),
            ("no answer", str(rng.choice(EMPTY_HANDED)), answers),
        ]
        for kinds, is_right in ((right, True), (wrong, False)):
            kind, candidate, told = kinds[number % len(kinds)]
            pairs.append(Pair(Judge(f"{number}/judge", known.question, candidate, told), kind, is_right))
    return pairs


def _namesake(entities: Sequence[Entity], known: KnownQuestion, rng: np.random.Generator) -> str:
    """Return another entity of the answer's type that is not on the path to the answer."""
    kind = next(each.type for each in entities if each.name == known.answer)
    others = [each.name for each in entities if each.type == kind and each.name not in known.entities]
    return str(rng.choice(others))


def draw_readings(
    world: World, questions: Sequence[KnownQuestion], prompts: str, noise: int, rng: np.random.Generator
) -> list[Reading]:
    """Return a reading of every question: its supporting passages among others, shuffled as in a game."""
    pages = {page.id: page for page in world.passages()}
    readings = []
    for number, known in enumerate(questions):
        others = [id_ for id_ in pages if id_ not in known.passage_ids]
        ids = rng.permutation([*known.passage_ids, *rng.choice(others, size=noise, replace=False)])
        shown: list[Passage] = [pages[str(id_)] for id_ in ids]
        messages = prompt_style(prompts).reader(GameConfig(), known.question, shown)
        view = View(f"reading/{number}", "solver_0", "verify", messages, 1, 0, probe="recovery")
        readings.append(Reading(view, (known.answer, *known.aliases)))
    return readings


def judge_figures(
    judge: Callable[[Sequence[Judge]], Sequence[bool | None]], pairs: Sequence[Pair]
) -> dict[str, Agreement]:
    """Ask for all verdicts; return how they agree with the truth, by kind of answer and for `all`."""
    figures = {name: Agreement() for name in (*KINDS, "all")}
    for pair, verdict in zip(pairs, judge([pair.asked for pair in pairs]), strict=True):
        for name in (pair.kind, "all"):
            figures[name].add(verdict, pair.right)
    return figures


def reader_figures(agent: AnyAgent, readings: Sequence[Reading]) -> tuple[Share, Share]:
    """Return how many replies hold an answer, and how many replies match an accepted answer exactly."""
    replies = act_all(agent, [reading.view for reading in readings])
    actions = [PROTOCOL.parse(reply, "answer", has_search_tool=False) for reply in replies]
    said = [action.content if action.kind == "answer" else None for action in actions]
    right = [
        text is not None and exact_match(text, reading.answers)
        for text, reading in zip(said, readings, strict=True)
    ]
    return Share(len(said) - said.count(None), len(said)), Share(sum(right), len(right))


def judge_table(figures: Mapping[str, Agreement]) -> Table:
    """Return a row per kind of answer; kappa needs right and wrong ones."""
    table = Table()
    table.add_column("answer given")
    for heading in ("pairs", "verdicts", "unknown", "agrees with the truth", "kappa"):
        table.add_column(heading, justify="right")
    for kind, each in figures.items():
        pairs, same = sum(each.pairs.values()), each.pairs[True, True] + each.pairs[False, False]
        kappa = "-" if kind != "all" or each.kappa is None else f"{each.kappa:.2f}"
        agrees = str(Share(same, each.decided))
        table.add_row(kind, str(pairs), str(each.decided), str(pairs - each.decided), agrees, kappa)
    return table


def reader_table(answered: Share, right: Share) -> Table:
    """Show how many readings gave an answer, and the right one."""
    table = Table("figure", "readings")
    table.add_row("with an answer", str(answered))
    table.add_row("exact match", str(right))
    return table


def as_blocking(player: AnyAgent | AnyAsyncAgent, stack: ExitStack) -> AnyAgent:
    """Make an asynchronous player blocking, with an event loop that ends with the exit stack."""
    if is_async_agent(player):
        return stack.enter_context(blocking(player))
    return cast("AnyAgent", player)


def main(
    by: Annotated[str, typer.Option(help="Who judges and reads: a language model, named as in `ssp play`.")],
    world: Annotated[str, typer.Option(help="World to draw from, one of prose.")] = "small",
    known: Annotated[
        int, typer.Option(help="Questions with a known answer; two answers to each are judged.", min=1)
    ] = 40,
    hops: Annotated[int, typer.Option(help="Hops of the questions.", min=1, max=MAX_HOPS)] = 1,
    noise: Annotated[int, typer.Option(help="Passages beside those that support the answer.", min=0)] = 4,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of a reply.", min=1)] = 32,
    seed: Annotated[int, typer.Option(help="Fixes the world and what is drawn.", min=0)] = 0,
) -> None:
    """Let a model judge and read with greedy decoding, and print how often it is right."""
    generated = World(world_preset(world, split="heldout", index=seed))
    if generated.config.rendering != "prose":
        raise typer.BadParameter(f"expected a world of prose, got {world!r}", param_hint="--world")
    players = Cast({"reader": by}, seed=seed, temperature=0.0, max_new_tokens=max_new_tokens)
    if players.prompts == "terse":
        raise typer.BadParameter(f"expected a language model, got {by!r}", param_hint="--by")
    rng = np.random.default_rng(seed)
    questions = generated.questions(hops, known, rng)
    pairs, readings = (
        draw_pairs(generated, questions, rng),
        draw_readings(generated, questions, players.prompts, noise, rng),
    )
    console, player = Console(), players.players["reader"]
    with ExitStack() as stack:
        agent = as_blocking(player, stack)
        style: JudgeStyle = "english" if players.prompts == "english" else "few_shot"
        judge = LLMJudge(agent, JudgeQuestions(f"{by} at T=0", style))
        with waiting("judging"):
            figures = judge_figures(judge.judge_batch, pairs)
        with waiting("reading"):
            answered, right = reader_figures(agent, readings)
    what = f"world {generated.id}, {hops} hops; {players.prompts} prompts; seed {seed}"
    console.print(f"{by} as judge; {what}", highlight=False, markup=False)
    console.print(judge_table(figures))
    console.print(f"{by} as reader; {noise} other passages; {what}", highlight=False, markup=False)
    console.print(reader_table(answered, right))


if __name__ == "__main__":
    typer.run(main)
