"""What models need before they play in an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from agents.player_names import is_local_model
from ssp_env.cli.progress import waiting


def prepare_models(players: Sequence[str], threads: int) -> None:
    """Set up torch and transformers, but only if a player needs them, because they take seconds to load."""
    if not any(map(is_local_model, players)):
        return
    with waiting("loading torch"):
        import torch
        import transformers

    torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()
