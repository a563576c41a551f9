"""The stages of a run, each a number of steps; those of the warm start are made here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from baselines.config import TrainConfig
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.policies.models import LanguageModel, TinyModel
from baselines.processes import Processes
from baselines.rollouts.tasks import Source, WorldSource
from baselines.samples import Sample
from baselines.seeding import derive_rng, derive_seed
from baselines.warm_start import (
    clone,
    demonstrations,
    demonstrator,
    lookup_samples,
    oracle_demonstrations,
    pages_shown,
)
from ssp_env.game import PROTOCOLS


@dataclass(frozen=True)
class Stage:
    """A stage of a run: a number of steps with one learner, or with one for each role.

    Attributes:
        name: As people read it.
        steps: Number of its steps.
        learners: Their policies and optimisers are part of checkpoints; see `baselines.by_role.distinct`.
        step: Takes the step of a number and returns its metrics.
        tokens: It ends earlier, once this many tokens have been sampled and trained; None for no limit.
        state: Returns what else is part of checkpoints, as tensors.
        plain_state: Returns the rest of it, as plain data for JSON.
        restore: Inverts `state` and `plain_state`.
    """

    name: str
    steps: int
    learners: Mapping[str, Learner]
    step: Callable[[int], dict[str, float]]
    tokens: int | None = None
    state: Callable[[], Mapping[str, Tensor]] = dict
    plain_state: Callable[[], Mapping[str, Any]] = dict
    restore: Callable[[Mapping[str, Tensor], Mapping[str, Any]], None] = lambda state, plain: None


def warm_start_steps(config: TrainConfig) -> tuple[int, int]:
    """Return the steps of look-ups, which only the tiny model practises, and those of cloning."""
    options = config.warm_start
    return options.lookup_steps if config.model.is_tiny else 0, options.cloning_steps


@dataclass(frozen=True)
class WarmStart:
    """Makes the two stages before self-play.

    Attributes:
        config: Configuration of the run.
        opened: The model that learns.
        source: Draws the tasks of demonstrations for a tiny model.
        processes: Those that train together.
    """

    config: TrainConfig
    opened: TinyModel | LanguageModel
    source: Source
    processes: Processes

    def lookups(self) -> Stage:
        """Return the stage in which a tiny model practises look-ups."""
        steps = warm_start_steps(self.config)[0]
        learner = self._supervised(steps)

        def step(number: int) -> dict[str, float]:
            rng = derive_rng(self.config.seed, "lookup", number)
            pages = pages_shown(number / steps)
            return clone(learner, self._lookups(rng, self.config.warm_start.lookup_sequences, pages))

        return Stage("look-ups", steps, {"": learner}, step)

    def cloning(self) -> Stage:
        """Return the stage in which the model imitates scripted play."""
        steps = warm_start_steps(self.config)[1]
        learner = self._supervised(steps)

        def step(number: int) -> dict[str, float]:
            return clone(learner, self._shown(number))

        return Stage("cloning", steps, {"": learner}, step)

    def _shown(self, number: int) -> list[Sample]:
        """Return the demonstrations of a step of cloning."""
        options, seed = self.config.warm_start, self.config.seed
        # A second reading teaches what the first one teaches.
        game = replace(self.config.game, attempts=options.cloning_attempts, second_reading=False)
        rng = derive_rng(seed, "cloning", number)
        if isinstance(self.opened, TinyModel):
            player = demonstrator(options.hops_as_asked, derive_seed(seed, "cloning", number))
            shown = demonstrations(
                self.source, player, game, self.opened.tokenizer, rng, games=options.cloning_games
            )
            return [*shown, *self._lookups(rng, options.rehearsed_sequences, pages_shown(1.0))]
        # Demonstrations come from generated worlds, whatever is played over later.
        worlds = WorldSource(self.config.world, self.config.source.worlds, self.config.hops)
        conversations = self.opened.conversations()
        return oracle_demonstrations(worlds, game, conversations, rng, games=options.cloning_games)

    def _lookups(self, rng: np.random.Generator, sequences: int, pages: int) -> list[Sample]:
        assert isinstance(self.opened, TinyModel)
        return lookup_samples(
            self.config.world,
            PROTOCOLS[self.config.game.protocol],
            self.opened.tokenizer,
            rng,
            worlds=sequences // 4,
            per_world=4,
            pages=pages,
        )

    def _supervised(self, steps: int) -> Learner:
        options = LearnerConfig(
            optimizer=self.config.warm_start.optimizer,
            learning_rate=self.config.warm_start.learning_rate,
            betas=self.config.learner.betas,
            weight_decay=0.01,
            warmup_steps=max(1, steps // 20),
            schedule="cosine",
            floor=0.1,
            total_steps=max(1, steps),
            micro_batch_tokens=self.config.learner.micro_batch_tokens,
        )
        return Learner(self.opened.policy, options, self.processes)
