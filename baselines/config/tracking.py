"""Where the metrics of a run are shown besides its own files: the options."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from ssp_env.game.config import check_names
from ssp_env.objects import missing_extra

TRACKERS = ("tensorboard", "wandb", "csv")


@dataclass(frozen=True)
class TrackingConfig:
    """What follows `metrics.jsonl`.

    Attributes:
        trackers: Any of `tensorboard`, `wandb` (Weights & Biases) and `csv`.
        project: Project that the run belongs to on Weights & Biases.
    """

    trackers: tuple[str, ...] = ()
    project: str = "ssp-env"

    def __post_init__(self) -> None:
        check_names(self.trackers, TRACKERS, "tracker")
        if len(set(self.trackers)) < len(self.trackers):
            raise ValueError(f"expected every tracker once, got {', '.join(self.trackers)}")
        if not self.project:
            raise ValueError("tracking.project must be a name, got an empty text")


def check_trackers(config: TrackingConfig) -> None:
    """Check that the libraries of trackers are installed.

    Raises:
        ModuleNotFoundError: If one is not; the message names the extra to install.
    """
    for name in config.trackers:
        if name != "csv" and find_spec(name) is None:
            raise missing_extra(name, name)
