"""The configuration of a training run: read from TOML, checked, and written to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import dacite

from baselines.by_role import LEARNING_ROLES
from baselines.config.learner import LearnerConfig, Optimizer
from baselines.config.model import ModelConfig, RolloutConfig
from baselines.config.policies import Policies, check_policies
from baselines.config.self_play import (
    CURRENT,
    FROZEN,
    READ_BY_THE_WARM_START,
    FillingConfig,
    OpponentsConfig,
)
from baselines.config.source import SourceConfig
from baselines.config.tracking import TrackingConfig
from ssp_env.cli.rules import read_toml
from ssp_env.game import GameConfig, Role
from ssp_env.game.config import TERSE_RULES, check_names
from ssp_env.game.rewards import NEED_ATTEMPTS
from ssp_env.objects import check_least, is_object_name

T = TypeVar("T")
Mode = Literal["self-play", "solver-only", "proposer-only"]
MODES: tuple[Mode, ...] = ("self-play", "solver-only", "proposer-only")
ALGORITHM_NAMES = ("reinforce", "grpo", "ppo")

TERSE_GAME = replace(TERSE_RULES, attempts=8, reward="4p(1-p)")
"""The game for tiny models. A reward of 1 - p pays most for the questions nobody can answer that slip through
the RAG check of a tiny policy, so here both extremes pay nothing."""


@dataclass(frozen=True)
class WarmStartConfig:
    """The warm start: reading practice, then cloning of scripted play.

    The tiny model practises look-ups and clones weak players; a language model clones a player who knows the
    answers to questions of generated worlds.

    Attributes:
        lookup_steps: Optimiser steps on dense look-ups; only the tiny model takes any.
        lookup_sequences: Sequences per look-up step, a multiple of 4.
        rehearsed_sequences: Look-up sequences added to every cloning step, a multiple of 4.
        cloning_steps: Optimiser steps on demonstrations.
        cloning_games: Scripted games per cloning step.
        cloning_attempts: Demonstrated solver attempts per game.
        hops_as_asked: Share of the weak player's proposals that have as many hops as the task asks for; the
            others are of any number, one as a rule, so that only a few go beyond.
        optimizer: Of each stage; see `LearnerConfig.optimizer`.
        learning_rate: Peak learning rate of each stage.
    """

    lookup_steps: int = 320
    lookup_sequences: int = 40
    rehearsed_sequences: int = 4
    cloning_steps: int = 280
    cloning_games: int = 56
    cloning_attempts: int = 1
    hops_as_asked: float = 0.0
    optimizer: Optimizer = "adamw"
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        if not 0.0 <= self.hops_as_asked <= 1.0:
            raise ValueError(f"hops_as_asked is a share from 0 to 1, got {self.hops_as_asked}")


@dataclass(frozen=True)
class RoleConfig:
    """How one role learns.

    Attributes:
        algorithm: `reinforce`, `grpo`, `ppo`; `module:object` with an algorithm or an advantage function of
            one's own; or `frozen`, which plays as the warm start does and learns nothing.
        weight: Factor on the role's loss where both roles are updated together.
        options: Options of the algorithm by name.
    """

    algorithm: str = "grpo"
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_object_name(self.algorithm):
            check_names([self.algorithm], [*ALGORITHM_NAMES, FROZEN], "algorithm")
        if not self.weight >= 0:
            raise ValueError(f"the weight of a role must not be negative, got {self.weight}")

    @property
    def learns(self) -> bool:
        """Whether the role is updated."""
        return self.algorithm != FROZEN


@dataclass(frozen=True)
class EvaluationConfig:
    """When the solver is measured, and on how many questions.

    Attributes:
        questions: Held-out questions per hop count, before and after.
        validation_every: Steps between points of the learning curve; 0 for none.
        validation_questions: Questions per hop count and point, from worlds of their own.
    """

    questions: int = 240
    validation_every: int = 20
    validation_questions: int = 80


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        preset: Name of the preset that this configuration started from.
        seed: Fixes every random choice of the run.
        world: Name in `WORLD_PRESETS`, unless `source` names a corpus.
        hops: Numbers of hops that are asked for.
        hop_mixture: `equal` asks for each of them equally often, `adaptive` most often for those at which the
            solver is right about half of the time (see `hop_mixture.HopMixture`). It is for generated worlds;
            answers of a corpus come as they are drawn.
        steps: Self-play steps.
        tokens: Self-play ends after the step in which this many tokens have been sampled and trained, counted
            together; None for no limit. Comparisons of algorithms give each the same number.
        answers: Answers drawn per step.
        proposals: Proposals per answer; a group of the proposer's GRPO.
        temperature: Sampling temperature in training and evaluation.
        policies: `shared` trains one policy for both roles; `adapters` a LoRA adapter for each role on one
            model; `models` a model for each role. Both start from the same warm start.
        updates: `combined` takes one optimiser step for both roles if they share a policy and their
            algorithms are ours; `separate` updates the solver, then the proposer.
        solver_only_steps: First steps in which the solver alone learns, from questions of a proposer that has
            the same weights.
        proposer_only_steps: First steps in which the proposer alone learns.
        checkpoint_every: Steps between checkpoints.
        checkpoints_kept: Newest checkpoints that are kept; a damaged one needs the one before.
        models_every: Self-play steps between models that are kept in `RUN/models/STEP`, for a league; 0 for
            none. Each can be named as a player.
        game: Rules of the game.
        source: Where tasks come from.
        defences: What refuses valid questions, or pays less for them, before anybody learns from them: names
            in `baselines.rollouts.defences.DEFENCES`, or `module:function`.
        model: The policy.
        rollout: What samples its games.
        warm_start: The stages before self-play.
        learner: How the policy is updated.
        opponents: Who plays a role against the one that learns.
        filling: What takes the place of invalid questions in the solver's batch.
        solver: How the solver learns.
        proposer: How the proposer learns.
        evaluation: When and how the solver is measured.
        tracking: Where metrics are shown besides the files of the run.
    """

    preset: str = "tiny"
    seed: int = 0
    world: str = "tiny"
    hops: tuple[int, ...] = (1, 2, 3)
    hop_mixture: Literal["equal", "adaptive"] = "equal"
    steps: int = 220
    tokens: int | None = None
    answers: int = 32
    proposals: int = 1
    temperature: float = 1.0
    policies: Policies = "shared"
    updates: Literal["combined", "separate"] = "combined"
    solver_only_steps: int = 0
    proposer_only_steps: int = 0
    checkpoint_every: int = 20
    checkpoints_kept: int = 2
    models_every: int = 0
    game: GameConfig = TERSE_GAME
    source: SourceConfig = field(default_factory=SourceConfig)
    defences: tuple[str, ...] = ()
    model: ModelConfig = field(default_factory=ModelConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    warm_start: WarmStartConfig = WarmStartConfig()
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    opponents: OpponentsConfig = field(default_factory=OpponentsConfig)
    filling: FillingConfig = field(default_factory=FillingConfig)
    solver: RoleConfig = RoleConfig()
    proposer: RoleConfig = RoleConfig("reinforce")
    evaluation: EvaluationConfig = EvaluationConfig()
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        if self.game.reward in NEED_ATTEMPTS and self.game.attempts < 2:
            raise ValueError(
                f"reward {self.game.reward!r} pays nothing with one attempt; set attempts to 2 or more, got 1"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if not (self.solver.learns or self.proposer.learns):
            raise ValueError("somebody must learn, but solver and proposer are both frozen")
        if self.source.has_questions and (self.proposer.learns or not self.solver.learns):
            raise ValueError(
                "tasks with questions are for the solver alone: set proposer to 'frozen' (--mode solver-only)"
            )
        if self.model.is_tiny and (self.source.over_corpus or self.game.prompts != "terse"):
            raise ValueError(
                "the tiny model reads terse worlds only: set model.name to smollm2 or the folder of a "
                "model, or leave out source.corpus, source.search and rules.prompts"
            )
        if self.model.is_tiny and self.rollout.engine != "transformers":
            raise ValueError(
                f"the tiny model plays in a process of its own, not with {self.rollout.engine}: leave out "
                "rollout.engine and --servers, or set model.name to smollm2 or the folder of a model"
            )
        counts = ("steps", "answers", "proposals", "checkpoint_every", "checkpoints_kept")
        check_least(1, **{name: getattr(self, name) for name in counts})
        check_least(0, models_every=self.models_every)
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens must be at least 1, or None for no limit, got {self.tokens}")
        check_least(1, **{"evaluation.questions": self.evaluation.questions})
        self._check_self_play()
        if not self.hops or min(self.hops) < 1:
            raise ValueError(f"hops must be numbers from 1 up, at least one of them, got {list(self.hops)}")

    def _check_self_play(self) -> None:
        if len(set(self.defences)) < len(self.defences):
            raise ValueError(f"defences must name each defence once, got {', '.join(self.defences)}")
        if self.defences and self.filling.kind == "resample":
            raise ValueError(
                "filling.kind 'resample' asks for proposals that no defence would judge: leave out defences, "
                "or choose another filling"
            )
        names = self.opponents.resolved(self.learning)
        check_policies(self.policies, self.learning, self.updates, self.model, self.rollout, names)
        if self.answers < 2 and len(self.learning) > 1 and set(names.values()) != {CURRENT}:
            raise ValueError("opponents take some of the answers of a step: set answers to 2 or more, got 1")
        if self.filling != FillingConfig() and not self.solver.learns:
            raise ValueError(
                f"filling.kind {self.filling.kind!r} completes the solver's batch, and the solver does not "
                "learn: leave out the table filling, or let the solver learn"
            )
        steps = (self.solver_only_steps, self.proposer_only_steps)
        if min(steps) < 0 or (max(steps) and (min(steps) or len(self.learning) < 2)):
            raise ValueError(
                "where both roles learn, one of solver_only_steps and proposer_only_steps may be above 0; "
                f"got {steps[0]} and {steps[1]} in mode {self.mode}"
            )

    @property
    def learning(self) -> tuple[Role, ...]:
        """Roles that learn, in the order of `LEARNING_ROLES`."""
        return tuple(role for role in LEARNING_ROLES if getattr(self, role).learns)

    @property
    def needs_warm_start(self) -> bool:
        """Whether the warm start plays on in self-play, beside what is trained."""
        alone = self.policies != "shared" and len(self.learning) < 2
        reads = any(name in READ_BY_THE_WARM_START or ":" in name for name in self.defences)
        return alone or reads or FROZEN in self.opponents.resolved(self.learning).values()

    def learning_at(self, step: int) -> tuple[Role, ...]:
        """Roles that learn in a step of self-play."""
        if step < self.solver_only_steps:
            return ("solver",)
        return ("proposer",) if step < self.proposer_only_steps else self.learning

    @property
    def mode(self) -> Mode:
        """Who learns, in a word."""
        if not self.proposer.learns:
            return "solver-only"
        return "self-play" if self.solver.learns else "proposer-only"

    def in_mode(self, mode: str) -> TrainConfig:
        """Return the configuration with one of the roles frozen, or as it is for `self-play`.

        Raises:
            ValueError: If there is no such mode.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        if mode == "self-play":
            return self
        frozen = RoleConfig(FROZEN)
        return replace(self, proposer=frozen) if mode == "solver-only" else replace(self, solver=frozen)

    def changed(self, *changes: Mapping[str, Any]) -> TrainConfig:
        """Return the configuration with the values of nested mappings, as TOML or a command line gives them.

        Later mappings change what earlier ones give, and options are checked together when all are applied.
        `rules` holds rules of the game, see `GameConfig.changed`. In `solver` and `proposer`, names other
        than `algorithm` and `weight` are options of the algorithm; another algorithm starts without options.
        Where `rules.prompts` leaves the terse prompts, or turns to them, all other rules start from the usual
        ones of the new style.

        Raises:
            ValueError: If a name is unknown (the nearest one is named), or a value is of another kind than
                expected or out of its range.
        """
        data, game = _plain(self), self.game
        for given in changes:
            values = dict(given)
            rules = values.pop("rules", {})
            game = _usual_rules(game, rules).changed(rules)
            for role in ("solver", "proposer"):
                if isinstance(values.get(role), str):
                    values[role] = {"algorithm": values[role]}
                if role in values:
                    values[role] = _role(data[role], values[role])
            data = _merged(data, values, "")
        return _from_plain({**data, "game": game})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**_plain(self), "game": self.game.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Invert `to_dict`.

        Raises:
            ValueError: If a key is missing or unknown.
        """
        known = {item.name for item in fields(cls)}
        if set(data) != known:
            wrong = ", ".join(sorted(set(data) ^ known))
            raise ValueError(f"expected a configuration of this version, got one with other keys: {wrong}")
        return _from_plain({**data, "game": GameConfig.from_dict(data["game"])})


def _usual_rules(game: GameConfig, changes: Mapping[str, Any]) -> GameConfig:
    """Return the rules that changes start from: tiny models and language models play under others."""
    prompts = changes.get("prompts", game.prompts)
    if (prompts == "terse") == (game.prompts == "terse"):
        return game
    return TERSE_GAME if prompts == "terse" else GameConfig(prompts=prompts)


def _plain(config: TrainConfig) -> dict[str, Any]:
    """Return the configuration as nested plain data, without the rules of the game."""
    values = {item.name: getattr(config, item.name) for item in fields(config) if item.name != "game"}
    return {
        name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, value in values.items()
    }


def _role(role: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a role's configuration as plain data; names that are not its own are the algorithm's."""
    values = dict(changes)
    algorithm = values.pop("algorithm", role["algorithm"])
    kept = role["options"] if algorithm == role["algorithm"] else {}
    return {
        "algorithm": algorithm,
        "weight": values.pop("weight", role["weight"]),
        "options": {**kept, **values.pop("options", {}), **values},
    }


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return nested plain data with changes; options of algorithms are checked by the algorithm."""
    check_names(changes, [*base], f"option{where}")
    result = dict(base)
    for name, value in changes.items():
        nested = isinstance(base[name], Mapping) and name not in ("solver", "proposer")
        if nested and not isinstance(value, Mapping):
            raise ValueError(f"{name} is a table of options, expected a mapping, got {value!r}")
        result[name] = _merged(base[name], value, f" of {name}") if nested else value
    return result


def _from_plain(data: Mapping[str, Any]) -> TrainConfig:
    return _built(TrainConfig, data, "the configuration does")


def _built(kind: type[T], data: Mapping[str, Any], what: str) -> T:
    settings = dacite.Config(strict=True, cast=[tuple], type_hooks={float: _number})
    try:
        return dacite.from_dict(kind, data, settings)
    except dacite.DaciteError as error:
        raise ValueError(f"{what} not fit: {error}") from error


def _number(value: Any) -> Any:
    """Take whole numbers where a number is expected, as TOML and JSON write them."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def algorithm_options(config_class: type[T], options: Mapping[str, Any], what: str) -> T:
    """Build the options of an algorithm from a mapping.

    Raises:
        ValueError: If a name is unknown (the nearest one is named), or a value of another kind than expected.
    """
    check_names(options, [*get_type_hints(config_class)], f"option of {what}")
    return _built(config_class, options, f"the options of {what} do")


# -- presets -----------------------------------------------------------------------------------------------

_FOLDER = Path(__file__).parents[1] / "presets"
PRESETS: tuple[str, ...] = tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


@cache
def preset(name: str) -> TrainConfig:
    """Return the preset called `name`, a file in `baselines/presets`.

    Raises:
        ValueError: If there is none; the message lists them.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are: {', '.join(PRESETS)}")
    return TrainConfig(preset=name).changed(read_toml(_FOLDER / f"{name}.toml", "the preset"))
