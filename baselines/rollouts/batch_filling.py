"""What takes the place of invalid and repeated questions in the solver's batch (SSP appendix B.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from baselines.config.self_play import REPLAYING, FillingConfig, FillingKind
from baselines.rollouts.rollout import (
    Pairing,
    Rollout,
    Setting,
    is_valid,
    joined,
    play_known,
    play_pairings,
    rollout_metrics,
)
from baselines.seeding import derive_rng
from ssp_env.game import Game, Task
from ssp_env.play import AnyAgent
from ssp_env.scoring import answer_key

Key = tuple[str, str]
"""A question up to case, punctuation and articles, and its corpus."""

LEAST_PRIORITY = 0.05
"""Of questions that were always or never answered: they are asked again only if nothing else is left."""


class Filling:
    """Completes the solver's batch.

    Args:
        config: What it is completed with.

    Attributes:
        pool: Earlier valid questions, if they are asked again.
    """

    def __init__(self, config: FillingConfig) -> None:
        self.config = config
        self.pool = QuestionPool(config) if config.kind in REPLAYING else None

    def complete(self, played: Rollout, setting: Setting, pairing: Pairing) -> Rollout:
        """Return the games of a step with copies of questions dropped and missing questions filled in.

        Args:
            played: The games of the step.
            setting: What they have in common.
            pairing: Who plays what is filled in; its solver is the learner.
        """
        size = len(played.slots)
        played = without_copies(played, drop=self.config.drops_copies)
        missing = size - len(questions(played))
        if self.config.kind == "resample":
            return self._resampled(played, missing, setting, pairing)
        if self.config.kind == "dummy":
            return _with_dummies(played, missing, setting, pairing.solver)
        if self.pool is not None:
            return self._replayed(self.pool, played, missing, setting, pairing.solver)
        return played

    def _resampled(self, played: Rollout, missing: int, setting: Setting, pairing: Pairing) -> Rollout:
        """Ask for further proposals until the batch is full; the proposer learns from all of them."""
        before = len(questions(played))
        for number in range(self.config.rounds):
            wanted = before + missing - len(questions(played))
            if wanted <= 0:
                break
            again = replace(pairing, answers=math.ceil(wanted / setting.proposals))
            more = play_pairings(setting, [again], f"resampled {number}: ")
            metrics = rollout_metrics([*played.games, *more.games], {**played.scenarios, **more.scenarios})
            played = without_copies(joined(played, more, {**played.metrics, **metrics}), drop=True)
        return _with_metrics(played, filled=len(questions(played)) - before)

    def _replayed(
        self, pool: QuestionPool, played: Rollout, missing: int, setting: Setting, player: AnyAgent
    ) -> Rollout:
        """Ask earlier questions again, and remember those of this step and how they went."""
        pool.begin(setting.step)
        fresh = questions(played)
        rng = derive_rng(setting.seed, setting.step, "replayed")
        chosen = pool.draw(missing, rng, without={_key(game) for game in fresh})
        if chosen:
            again = play_known(setting, [question.task() for question in chosen], player, "replayed ")
            played = joined(played, again, played.metrics)
            for game in again.games:
                pool.replayed(game)
        for game in fresh:
            pool.add(game, setting.step)
        return _with_metrics(
            played,
            filled=len(chosen),
            replayed=len(chosen),
            pool_size=len(pool),
            pool_age=pool.mean_age(setting.step),
        )

    # -- checkpoints -----------------------------------------------------------------------------------

    def plain_state(self) -> dict[str, Any]:
        """Return the pool, as plain data for JSON."""
        return {} if self.pool is None else {"pool": self.pool.to_list()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Invert `plain_state`."""
        if self.pool is not None:
            self.pool.load(state.get("pool", []))


# -- the batch ---------------------------------------------------------------------------------------------


def key_of(question: str, corpus: str) -> Key:
    """Return what equal questions have in common."""
    return answer_key(question), corpus


def _key(game: Game) -> Key:
    return key_of(game.question, game.task.corpus)


def questions(played: Rollout) -> list[Game]:
    """Return the games about valid questions that are in the solver's batch."""
    places = set(played.slots)
    return [game for game in played.games if game.id in places and is_valid(game)]


def without_copies(played: Rollout, *, drop: bool) -> Rollout:
    """Count valid questions in the solver's batch that are copies of an earlier one, `duplicate_questions`.

    Args:
        played: The games of the step.
        drop: Whether to drop the attempts at copies; the proposer learns from all its proposals.
    """
    first: dict[Key, str] = {}
    copies = {game.id for game in questions(played) if first.setdefault(_key(game), game.id) != game.id}
    counted = len(copies) + played.metrics.get("duplicate_questions", 0)
    played = _with_metrics(played, duplicate_questions=counted)
    if not drop:
        return played
    kept = [sample for sample in played.samples["solver"] if sample.game_id not in copies]
    slots = [slot for slot in played.slots if slot not in copies]
    return replace(played, samples={**played.samples, "solver": kept}, slots=slots)


def _with_metrics(played: Rollout, **metrics: float) -> Rollout:
    return replace(played, metrics={**played.metrics, **metrics})


def _with_dummies(played: Rollout, missing: int, setting: Setting, player: AnyAgent) -> Rollout:
    """Let the solver play as many questions that it learns nothing from; their tokens count in the loss."""
    if missing == 0:
        return _with_metrics(played, filled=0)
    places = set(played.slots)
    invalid = [game.task for game in played.games if game.id in places and not is_valid(game)]
    # Where copies were dropped there are fewer invalid questions than empty places.
    tasks = [invalid[number % len(invalid)] if invalid else played.games[0].task for number in range(missing)]
    dummies = [replace(task, question=f"{task.answer} ?") for task in tasks]
    more = play_known(setting, dummies, player, "dummy ")
    # A reward that is no number has advantage 0, whatever the algorithm, and changes nobody else's.
    worthless = [replace(sample, reward=math.nan) for sample in more.samples["solver"]]
    more = replace(more, samples={**more.samples, "solver": worthless})
    return joined(played, more, {**played.metrics, "filled": missing})


# -- the pool ----------------------------------------------------------------------------------------------


@dataclass
class PooledQuestion:
    """A valid question of an earlier step.

    Attributes:
        question: The question.
        answer: Its answer.
        aliases: Other spellings of the answer.
        hops: Hops that its task asked for.
        corpus: Key of its corpus.
        step: When it was proposed.
        success: Share of right attempts when it was last played.
        uses: Times that it was asked again.
    """

    question: str
    answer: str
    aliases: tuple[str, ...]
    hops: int
    corpus: str
    step: int
    success: float
    uses: int = 0

    def task(self) -> Task:
        """Return the task of answering it."""
        return Task(self.answer, self.aliases, self.hops, self.question, corpus=self.corpus)


class QuestionPool:
    """Valid questions of earlier steps, no two of them equal.

    Args:
        config: Its size, and which questions are too old or worn out.
    """

    def __init__(self, config: FillingConfig) -> None:
        self._config = config
        self._questions: dict[Key, PooledQuestion] = {}

    def __len__(self) -> int:
        return len(self._questions)

    def begin(self, step: int) -> None:
        """Drop what may not be asked any more in this step."""
        config = self._config
        if config.kind == "replay-reset" and step % config.reset_every == 0:
            self._questions.clear()
        if config.kind == "prioritised":
            self._questions = {
                key: question
                for key, question in self._questions.items()
                if step - question.step <= config.max_age and question.uses < config.max_uses
            }

    def draw(
        self, count: int, rng: np.random.Generator, without: Collection[Key] = ()
    ) -> list[PooledQuestion]:
        """Draw different questions, at most as many as there are besides those left out."""
        allowed = [question for key, question in self._questions.items() if key not in without]
        weights = np.array([PRIORITIES[self._config.kind](question) for question in allowed])
        count = min(count, len(allowed))
        if count <= 0:
            return []
        places = rng.choice(len(allowed), size=count, replace=False, p=weights / weights.sum())
        return [allowed[int(place)] for place in places]

    def add(self, game: Game, step: int) -> None:
        """Put in the question of a game that was valid; an equal one gets its success only."""
        assert game.outcome is not None
        success, key = game.outcome.success_rate or 0.0, _key(game)
        if key in self._questions:
            self._questions[key].success = success
            return
        task = game.task
        self._questions[key] = PooledQuestion(
            game.question, task.answer, task.aliases, task.hops, task.corpus, step, success
        )
        while len(self._questions) > self._config.capacity:
            del self._questions[next(iter(self._questions))]

    def replayed(self, game: Game) -> None:
        """Remember that a question was asked again, and how that went unless the game failed."""
        question = self._questions[_key(game)]
        question.uses += 1
        if game.outcome is not None and game.outcome.success_rate is not None:
            question.success = game.outcome.success_rate

    def mean_age(self, step: int) -> float:
        """Return the mean number of steps since the questions were proposed; 0 for an empty pool."""
        ages = [step - question.step for question in self._questions.values()]
        return sum(ages) / len(ages) if ages else 0.0

    def to_list(self) -> list[dict[str, Any]]:
        """Return plain data for JSON, in the order in which the questions came."""
        found = self._questions.values()
        return [{**asdict(question), "aliases": list(question.aliases)} for question in found]

    def load(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Invert `to_list`."""
        found = [PooledQuestion(**{**item, "aliases": tuple(item["aliases"])}) for item in data]
        self._questions = {key_of(question.question, question.corpus): question for question in found}


def _evenly(question: PooledQuestion) -> float:
    return 1.0


def _near_half(question: PooledQuestion) -> float:
    return 4.0 * question.success * (1.0 - question.success) + LEAST_PRIORITY


PRIORITIES: Mapping[FillingKind, Callable[[PooledQuestion], float]] = {
    "replay": _evenly,
    "replay-reset": _evenly,
    "prioritised": _near_half,
}
"""What questions are drawn by."""
