"""What a run is expected to take: tokens, memory and time, without training."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from agents.tiny_policy import MAX_NEW_TOKENS
from baselines.config import TrainConfig
from baselines.policies.memory import ModelSizes, memory_bytes, model_sizes
from baselines.policies.models import TinyModel, conversations_of, find_model, open_model, policies_of_roles
from baselines.processes import Processes
from baselines.rollouts.tasks import WorldSource, open_source
from baselines.samples import Sample
from baselines.seeding import derive_rng, derive_seed
from baselines.self_play import SelfPlay
from baselines.stages import Stage, WarmStart, warm_start_steps
from baselines.warm_start import demonstrations, demonstrator, oracle_demonstrations
from ssp_env.game import GameConfig
from ssp_env.game.config import MAX_NUMBER
from ssp_env.game.view import PROPOSER_SEAT, READER_SEAT

T = TypeVar("T")

DEMONSTRATED_GAMES = 16
MEASURED_ANSWERS = 8
"""Most answers of the step that is measured."""


@dataclass(frozen=True)
class Tokens:
    """Tokens that are expected.

    Attributes:
        games: Games of a step of self-play.
        sampled: Tokens that all players sample in a step.
        trained: Most tokens that go through the update of a step, every epoch counted: conversations without
            a gradient are left out there.
        most: Tokens that are sampled in a step if every turn runs to its limit.
        evaluated: Tokens that are sampled on held-out and validation questions in the whole run.
    """

    games: int
    sampled: float
    trained: float
    most: int
    evaluated: float


@dataclass(frozen=True)
class Expectation:
    """What a run is expected to take.

    Attributes:
        tokens: Tokens by purpose.
        sizes: Sizes of the model.
        memory: Bytes by what they are for.
        seconds: Seconds of the whole run by stage; empty if nothing could be measured.
        unmeasured: Why not.
    """

    tokens: Tokens
    sizes: ModelSizes
    memory: Mapping[str, int]
    seconds: Mapping[str, float]
    unmeasured: str = ""


@dataclass(frozen=True)
class _Measured:
    """Seconds of the stages before self-play, and what one step of self-play took and sampled."""

    stages: Mapping[str, float]
    answers: int
    seconds: float
    sampled: float
    trained: float


def expect(config: TrainConfig, warm_start: Path | None = None, processes: int = 1) -> Expectation:
    """Work out what a run is expected to take.

    Memory follows from the configuration. Time is that of a step of each stage on this machine, by one
    process, with a model that is thrown away. Tokens are those that the step sampled if the model plays it as
    the run's will, which is warm-started already; else those of a player who knows what the warm start
    teaches.

    Args:
        config: Configuration of the run.
        warm_start: Folder with a warm-started model.
        processes: Number of processes that share the work; only memory depends on it.

    Raises:
        FileNotFoundError: If the model or a file of the configuration is not there.
    """
    sizes = model_sizes(config)
    memory = memory_bytes(config, sizes, processes)
    unmeasured = _why_unmeasured(config, memory)
    measured = None if unmeasured else _measure(config, warm_start)
    tokens = _shown_tokens(config)
    if measured and measured.sampled and (warm_start or not sum(warm_start_steps(config))):
        scale = config.answers / measured.answers
        share = measured.sampled * scale / max(1.0, tokens.sampled)
        tokens = replace(
            tokens,
            sampled=measured.sampled * scale,
            trained=max(measured.trained * scale, tokens.trained * share),
            evaluated=tokens.evaluated * share,
        )
    seconds: dict[str, float] = {}
    if measured:
        per_token = measured.seconds / max(1.0, measured.sampled)
        step = per_token * tokens.sampled
        if not measured.sampled:
            step = measured.seconds * config.answers / measured.answers
        seconds = {
            **measured.stages,
            "self-play": step * config.steps,
            "evaluation": per_token * tokens.evaluated,
        }
    return Expectation(tokens, sizes, memory, seconds, unmeasured)


def _why_unmeasured(config: TrainConfig, memory: Mapping[str, int]) -> str:
    """Return why no step can be measured here; empty if one can."""
    if config.rollout.engine != "transformers":
        return f"{config.rollout.engine} samples, and was not asked"
    if not config.model.is_tiny:
        folder = find_model(config.model.name)
        if not [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
            return f"there are no weights in {folder}"
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if config.model.device in ("auto", "cpu") and sum(memory.values()) > here:
        return f"this machine has {_size(here)} of memory, less than it needs"
    return ""


# -- tokens ----------------------------------------------------------------------------------------------


def _shown_tokens(config: TrainConfig) -> Tokens:
    """Return the tokens of games of a player who knows how to play."""
    games = config.answers * config.proposals
    by_role = _tokens_a_game(config)
    sampled = games * sum(by_role.values())
    trained = games * sum(by_role[role] for role in config.learning) * config.learner.epochs
    attempt = by_role["solver"] / config.game.attempts
    return Tokens(games, sampled, trained, games * _most_a_game(config), attempt * _evaluated(config))


def _tokens_a_game(config: TrainConfig) -> dict[str, float]:
    """Return the mean number of tokens that each role samples in a game."""
    found = dict.fromkeys(("proposer", "solver", "reader"), 0.0)
    rules = config.game if config.model.is_tiny else _lenient(config.game)
    readings: Counter[str] = Counter()
    for sample in _shown(config, rules):
        role = "proposer" if sample.seat == PROPOSER_SEAT else "solver"
        # Whoever solves first reads before that, in the same seat.
        if sample.seat == READER_SEAT and readings[sample.game_id] < len(rules.probes):
            readings[sample.game_id] += 1
            role = "reader"
        found[role] += sample.sampled_count / DEMONSTRATED_GAMES
    found["reader"] *= len(config.game.probes) / max(1, len(rules.probes))
    return found | ({"proposer": 0.0, "reader": 0.0} if config.source.has_questions else {})


def _shown(config: TrainConfig, rules: GameConfig) -> Sequence[Sample]:
    """Return the conversations of demonstrated games, over generated worlds whatever the source is."""
    rng = derive_rng(config.seed, "dry run")
    worlds = WorldSource(config.world, config.source.worlds, config.hops)
    if config.model.is_tiny:
        player = demonstrator(config.warm_start.hops_as_asked, derive_seed(config.seed, "dry run"))
        tokenizer = TinyModel(config).tokenizer
        return demonstrations(worlds, player, rules, tokenizer, rng, games=DEMONSTRATED_GAMES)
    folder = find_model(config.model.name)
    reads: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    window = (
        AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config().max_position_embeddings
    )
    conversations = conversations_of(config, reads, config.rollout.context_window or window)
    return oracle_demonstrations(worlds, rules, conversations, rng, games=DEMONSTRATED_GAMES)


def _lenient(rules: GameConfig) -> GameConfig:
    """Return rules that the questions of generated worlds satisfy, so that they are read and solved."""
    return replace(
        rules, min_searches=0, hop_check="off", min_question_chars=0, max_question_chars=MAX_NUMBER,
        min_question_words=0, leak_forms=(), self_contained=False, answer_in_search=True, max_similarity=None,
        closed_book=False, uniqueness=False,
    )  # fmt: skip


def _most_a_game(config: TrainConfig) -> int:
    """Return the tokens of a game whose turns all run to their limit."""
    rules, longest = config.game, config.rollout.max_new_tokens
    if config.model.is_tiny:
        longest = MAX_NEW_TOKENS
    proposals = 0
    if not config.source.has_questions:
        proposals = _most_of_seat(rules.proposer.max_turns, rules.proposer.max_tokens, longest)
        proposals += len(rules.probes) * longest
    return proposals + rules.attempts * _most_of_seat(
        rules.solver.max_turns, rules.solver.max_tokens, longest
    )


def _most_of_seat(turns: int, limit: int | None, longest: int) -> int:
    return turns * longest if limit is None else min(limit, turns * longest)


def _evaluated(config: TrainConfig) -> int:
    """Return the number of attempts on held-out and validation questions in the whole run."""
    options, source = config.evaluation, config.source
    sets = len(set(config.hops))
    heldout, validation = (
        (sets, sets) if not source.over_corpus else (bool(source.heldout), bool(source.validation))
    )
    curves = config.steps // options.validation_every if options.validation_every else 0
    return 2 * heldout * options.questions + curves * validation * options.validation_questions


# -- time ------------------------------------------------------------------------------------------------


def _measure(config: TrainConfig, warm_start: Path | None) -> _Measured:
    """Take a step of each stage with a model that is thrown away."""
    small = replace(config, answers=min(config.answers, MEASURED_ANSWERS))
    source = open_source(small.source, small.world, small.hops, small.game)
    with TemporaryDirectory() as folder:
        opened = open_model(small, Path(folder))
        stages: dict[str, float] = {}
        if warm_start is None:
            making = WarmStart(small, opened, source, Processes())
            stages = {
                stage.name: stage.steps * _seconds_a_step(stage)
                for stage in (making.lookups(), making.cloning())
                if stage.steps
            }
        else:
            opened.restore(opened.policy, warm_start)
        frozen = opened.policy.duplicate() if small.needs_warm_start else None
        game = SelfPlay(small, policies_of_roles(opened, small, frozen), frozen)
        seconds, (_, metrics) = _timed(lambda: game.step(0))
    return _Measured(
        stages, small.answers, seconds, metrics["sampled_tokens"], metrics.get("trained_tokens", 0.0)
    )


def _seconds_a_step(stage: Stage) -> float:
    """Return the seconds of the middle step; the first one also loads what the others find loaded."""
    if stage.steps > 1:
        stage.step(0)
    return _timed(lambda: stage.step(stage.steps // 2))[0]


def _timed(function: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


# -- what people see -------------------------------------------------------------------------------------


def show(expected: Expectation, config: TrainConfig, console: Console) -> None:
    """Print what a run is expected to take."""
    tokens, steps = expected.tokens, config.steps
    console.print(f"Expected tokens of {steps} steps of {config.mode}:", highlight=False)
    table = Table()
    for heading in ("", "a step", "the run"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {
        "games": tokens.games,
        "sampled tokens": tokens.sampled,
        "  if every turn runs to its limit": tokens.most,
        "trained tokens, at most": tokens.trained,
    }
    for name, number in rows.items():
        table.add_row(name, f"{number:,.0f}", f"{number * steps:,.0f}")
    table.add_row("sampled in evaluations", "", f"{tokens.evaluated:,.0f}")
    console.print(table)
    sizes = expected.sizes
    counted = f"{sizes.parameters:,} parameters, of which {sizes.trained:,} are trained"
    console.print(f"Expected memory of {counted}:", highlight=False, soft_wrap=True)
    memory = Table(show_header=False)
    memory.add_column()
    memory.add_column(justify="right")
    for name, number in expected.memory.items():
        memory.add_row(name, _size(number))
    memory.add_row("together, at most", _size(sum(expected.memory.values())))
    console.print(memory)
    if not expected.seconds:
        elsewhere = "" if config.rollout.engine == "transformers" else " What vLLM holds is not counted."
        console.print(
            f"Expected time: not measured, because {expected.unmeasured}.{elsewhere}", soft_wrap=True
        )
        return
    parts = ", ".join(f"{name} {_duration(seconds)}" for name, seconds in expected.seconds.items())
    console.print(
        f"Expected time: about {_duration(sum(expected.seconds.values()))} ({parts}). This is estimated from "
        "one step of each stage by one process of this machine, as busy as it is; nothing was saved.",
        soft_wrap=True,
        highlight=False,
    )


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> _duration(42.3), _duration(372), _duration(7300)
    ('42 s', '6 min', '2.0 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
