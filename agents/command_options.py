"""Options that several commands state alike: each is a type for the parameter of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from agents.player_names import Prompts
from agents.sampling_params import ENDPOINT_MAX_NEW_TOKENS, LOCAL_MAX_NEW_TOKENS
from ssp_env.game.prompts import PROMPT_STYLES

Corpus = Annotated[
    Path | None, typer.Option(help="Search this corpus (JSONL or JSONL.gz) instead of a world.")
]
Answers = Annotated[
    Path | None,
    typer.Option(help="Answers to ask questions about; by default short passage titles of the corpus."),
]
Attempts = Annotated[int, typer.Option(help="Solver attempts per question.", min=1)]
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


def checked_prompts(prompts: str) -> Prompts | None:
    """Return the value of `--prompts`; None if it was left out.

    Raises:
        ValueError: If there is no such style.
    """
    if prompts and prompts not in PROMPT_STYLES:
        raise ValueError(f"--prompts must be one of {', '.join(PROMPT_STYLES)}, got {prompts!r}")
    return cast("Prompts", prompts) if prompts else None
