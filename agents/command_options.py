"""Options that several commands state alike: each is a type for the parameter of a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agents.player_names import PlayerOptions, Prompts
from agents.sampling_params import ENDPOINT_MAX_NEW_TOKENS, LOCAL_MAX_NEW_TOKENS
from agents.scripted import SCRIPTED
from ssp_env.cli.options import search_option
from ssp_env.cli.progress import waiting
from ssp_env.game.prompts import PROMPT_STYLES
from ssp_env.scenario import Scenario, open_scenario
from ssp_env.search.opening import needs_passages
from ssp_env.worlds import MAX_HOPS, WORLD_PRESETS
from ssp_env.worlds.config import Split

DEFAULT_WORLD = "tiny"
OPTION_OF_ROLE = {role: f"--{role}" for role in (*SCRIPTED, "judge")}
"""The options that name players and the judge, as error messages call them."""

WorldPreset = Annotated[
    str | None,
    typer.Option(
        help=f"World to search in: {', '.join(WORLD_PRESETS)}; {DEFAULT_WORLD} if there is nothing else to "
        "search in."
    ),
]
WorldIndex = Annotated[
    int | None, typer.Option(help="Number of the world; by default that of the seed.", min=0)
]
Answers = Annotated[
    Path | None,
    typer.Option(
        help="Answers to ask questions about; by default names in the world, or short passage titles of the "
        "corpus. An index and an engine of your own have no default."
    ),
]
JudgeName = Annotated[
    str | None,
    typer.Option(
        "--judge",
        help="Who decides answers that fail exact match: module:object, or a language model named as players "
        "are. Without it exact match decides alone.",
    ),
]
Hops = Annotated[int, typer.Option(help="Number of hops of the questions.", min=1, max=MAX_HOPS)]
APIKeyVariable = Annotated[str, typer.Option(help="Environment variable with the key of chat endpoints.")]
Concurrency = Annotated[int, typer.Option(help="Most requests to an endpoint in flight.", min=1)]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(
        help=f"Most tokens of a turn of a language model; by default {LOCAL_MAX_NEW_TOKENS}, and "
        f"{ENDPOINT_MAX_NEW_TOKENS} of one behind an endpoint or vLLM.",
        min=1,
    ),
]
PromptStyle = Annotated[
    str,
    typer.Option(
        help="Prompt style of language models and of players of your own: "
        f"{', '.join(PROMPT_STYLES)}; by default what suits each of them."
    ),
]
Seed = Annotated[int, typer.Option(help="Fixes the world, the tasks and every choice.", min=0)]


def player_options(
    prompts: str, rules: Mapping[str, Any], api_key_variable: str, concurrency: int, **others: Any
) -> PlayerOptions:
    """Return how the players of a command are opened.

    Args:
        prompts: The value of `--prompts`; empty if it was left out.
        rules: The rules that the command was given.
        api_key_variable: As for `PlayerOptions`.
        concurrency: As for `PlayerOptions`.
        **others: Further arguments of `PlayerOptions`.

    Raises:
        ValueError: If there is no such style of prompts.
    """
    if prompts and prompts not in PROMPT_STYLES:
        raise ValueError(f"--prompts must be one of {', '.join(PROMPT_STYLES)}, got {prompts!r}")
    return PlayerOptions(
        prompts=cast("Prompts", prompts) if prompts else None, protocol=rules.get("protocol"),
        api_key_variable=api_key_variable, concurrency=concurrency, **{"labels": OPTION_OF_ROLE, **others},
    )  # fmt: skip


def open_from_options(
    *,
    world: str | None,
    split: Split,
    world_index: int | None,
    corpus: Path | None,
    index: Path | None,
    search: str | None,
    answers: Path | None,
    hops: Sequence[int],
    seed: int,
    rules: Mapping[str, Any],
    questions: Path | None = None,
) -> Scenario:
    """Open the scenario that a command's options name, while a line on stderr says so.

    Raises:
        ValueError: If options exclude each other or name nothing that can be opened.
    """
    if (answers or questions) and not (corpus or index or search):
        raise ValueError("--answers and --questions need something to search in: add --corpus or --index")
    # An index and an engine of the user's own bring their passages, but no answers.
    searcher = None if needs_passages(search) else search
    if (index or searcher) and not any((world, corpus, answers, questions)):
        raise ValueError(
            f"{'--index' if index else '--search'} {index or search} says what is searched, but not what is "
            "asked for: add --answers FILE, or --corpus FILE or --world NAME for the answers of these"
        )
    own = any((corpus, index, searcher, answers, questions))
    world = world or (None if own else DEFAULT_WORLD)
    with waiting(f"opening {corpus or index or searcher or f'the world {world}'}"):
        return open_scenario(
            world,
            split=split if world else "train",
            index=0 if not world else seed if world_index is None else world_index,
            corpus=corpus,
            search=search_option(index, search),
            answers=answers,
            questions=questions,
            hops=hops,
            rules=rules,
        )
