"""The configuration of a training run: its parts, one a module, and the whole, `TrainConfig`."""

from baselines.config.learner import LearnerConfig
from baselines.config.model import ModelConfig, RolloutConfig
from baselines.config.self_play import FillingConfig, OpponentsConfig
from baselines.config.source import SourceConfig
from baselines.config.tracking import TrackingConfig
from baselines.config.train import (
    ALGORITHM_NAMES,
    MODES,
    PRESETS,
    TERSE_GAME,
    EvaluationConfig,
    Mode,
    RoleConfig,
    TrainConfig,
    WarmStartConfig,
    algorithm_options,
    preset,
)

__all__ = [
    "ALGORITHM_NAMES",
    "MODES",
    "PRESETS",
    "TERSE_GAME",
    "EvaluationConfig",
    "FillingConfig",
    "LearnerConfig",
    "Mode",
    "ModelConfig",
    "OpponentsConfig",
    "RoleConfig",
    "RolloutConfig",
    "SourceConfig",
    "TrackingConfig",
    "TrainConfig",
    "WarmStartConfig",
    "algorithm_options",
    "preset",
]
