"""The bar of an evaluation, and what models need before they play."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from agents.player_names import is_local_model
from ssp_env.cli.options import progress_bar


@contextmanager
def bar(player: str, games: int) -> Iterator[Callable[[], None]]:
    """Show how many games a player has played; the yielded function counts one more."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # The bar goes to stderr, so that stdout holds the table alone.
    with progress_bar(Console(stderr=True), *columns) as shown:
        task = shown.add_task(player, total=games)
        yield lambda: shown.advance(task)


def prepare_models(players: Sequence[str], threads: int) -> None:
    """Set up torch and transformers, but only if a player needs them, because they take seconds to load."""
    if not any(map(is_local_model, players)):
        return
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
