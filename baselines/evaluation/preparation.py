"""What players need before the first game of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from agents.player_names import holds_weights, is_local_model
from ssp_env.cli.progress import waiting

Made = TypeVar("Made")


def prepare_models(players: Sequence[str], threads: int) -> None:
    """Set up torch and transformers, but only if a player needs them, because they take seconds to load."""
    if not any(map(is_local_model, players)):
        return
    with waiting("loading torch"):
        import torch
        import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()


def make_players(names: Sequence[str], make: Callable[[str], Made]) -> dict[str, Made]:
    """Make every player once, so that one that cannot be made is refused before the first game.

    The first player is kept, and so are all that hold no weights. Other models are let go again and made
    anew when it is their turn, because together they may not fit into memory. An engine of vLLM in this
    process would not give its memory back: unless it comes first, it is made in its turn alone.

    Args:
        names: Names of the players, in the order in which they play.
        make: Makes a player of a name.

    Returns:
        The players that were kept, by name.

    Raises:
        ValueError: If a player is unknown, or cannot be made.
    """
    kept = {}
    # The first comes last, and stays in memory alone.
    for name in reversed(names):
        if name != names[0] and name.startswith("vllm:") and holds_weights(name):
            continue
        made = make(name)
        if name == names[0] or not holds_weights(name):
            kept[name] = made
    return kept
