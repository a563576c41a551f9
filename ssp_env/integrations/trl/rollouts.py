"""Whole games as a `rollout_func` of TRL's GRPOTrainer, which trains proposer and solver in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ssp_env.game import Game, Role, Task
from ssp_env.game.trajectory import Trajectory, seat_trajectories
from ssp_env.integrations.configured import configured_scenario
from ssp_env.integrations.trl.environments import check_trl
from ssp_env.objects import check_least
from ssp_env.play import AnyPlayer, JudgeFunction, play
from ssp_env.scenario import Scenario

PlayerMaker = Callable[[Any, Any, float], Any]
"""Makes a player that returns tokens, of the model, its tokenizer and the temperature of the trainer."""


class GameRollouts:
    """Plays games with the model that is trained: `GRPOTrainer(model, **rollouts.arguments)`.

    The trainer asks for completions in groups of `num_generations` with one prompt each. In a phase of the
    proposer a group is so many games about one answer, and the completions are their proposals, paid by the
    attempts at them. In a phase of the solver it is one game about the answer, and the completions are so
    many attempts at its question. Where there is no valid question the completions are empty and unpaid, and
    the trainer learns nothing from them. All seats of all games are played together.

    Args:
        scenario: What is played in, or its plain data (`Scenario.from_dict`).
        player: Makes a player of the model in training; it must return tokens and log-probabilities.
        phases: Who is trained, in turns; one role alone for a single phase.
        steps_per_phase: Optimiser steps of a phase.
        reader: Answers the RAG check; the model in training if None.
        judge: Judges answers, where the rules say so.
        tasks: Answers to ask for, or questions (then only the solver is trained); those of the scenario if
            None.
        seed: Fixes shuffles and noise.

    Attributes:
        games: Games of the last batch.

    Raises:
        UnsupportedVersionError: If TRL is of another version.
        ValueError: If the scenario names no corpus, there is nothing to ask for, no player is given, or
            `phases` or `steps_per_phase` is out of range.
    """

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any],
        player: PlayerMaker,
        *,
        phases: Sequence[Role] = ("proposer", "solver"),
        steps_per_phase: int = 1,
        reader: AnyPlayer | None = None,
        judge: JudgeFunction | None = None,
        tasks: Sequence[Task] | None = None,
        seed: int = 0,
    ) -> None:
        check_trl()
        check_least(1, steps_per_phase=steps_per_phase)
        if not callable(player):
            raise ValueError(
                "nobody plays: player must make a player of (model, tokenizer, temperature), "
                f"got {type(player).__name__}"
            )
        if not phases or set(phases) - {"proposer", "solver"}:
            raise ValueError(f"phases must be of proposer and solver, got {', '.join(phases) or 'none'}")
        self.scenario = configured_scenario(scenario, "the scenario")
        self.games: list[Game] = []
        self._player, self._phases, self._steps = player, tuple(phases), steps_per_phase
        self._reader, self._judge, self._seed = reader, judge, seed
        given = self.scenario.tasks if tasks is None else tasks
        self._tasks = {self._prompt(task): task for task in given}
        if not self._tasks:
            raise ValueError("there is nothing to ask for: give the scenario answers, or tasks=")
        if "proposer" in phases and any(task.question for task in given):
            raise ValueError("questions are known: train the solver on them, phases=('solver',)")
        self._batches = 0

    @property
    def arguments(self) -> dict[str, Any]:
        """What to pass to `GRPOTrainer` beside the model and its configuration."""
        return {
            "train_dataset": self.train_dataset(),
            "rollout_func": self.rollout_func,
            "reward_funcs": self.game_reward,
        }

    def train_dataset(self) -> Any:
        """Return the answers as a `datasets.Dataset`; a prompt is what the first seat of the game is told."""
        from datasets import Dataset

        return Dataset.from_list([{"prompt": prompt} for prompt in self._tasks])

    def phase(self, step: int) -> Role:
        """Return who is trained at a step of the optimiser."""
        return self._phases[step // self._steps % len(self._phases)]

    def rollout_func(self, prompts: list[Any], trainer: Any) -> dict[str, list[Any]]:
        """Play the games of a batch, and return one completion for each prompt.

        Raises:
            ValueError: If a prompt is none of `train_dataset`, groups are torn, or the player gives no
                log-probabilities.
        """
        role = self.phase(trainer.state.global_step)
        count = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
        tasks = [self._task(prompt) for prompt in prompts]
        _check_groups(prompts, count)
        self._batches += 1
        opened = tasks if role == "proposer" else tasks[::count]
        rules = (
            self.scenario.rules if role == "proposer" else self.scenario.rules.changed({"attempts": count})
        )
        self.games = [
            Game(task, rules, self._seed + 1009 * self._batches + place, f"{self._batches}/{place}")
            for place, task in enumerate(opened)
        ]
        with _evaluating(trainer) as model:
            player = self._player(model, trainer.processing_class, trainer.args.temperature)
            play(
                self.games,
                proposer=player,
                solver=player,
                reader=self._reader,
                search=self.scenario.search,
                judge=self._judge,
                seed=self._seed + self._batches,
                on_player_error="raise",
            )
        found = [
            each for game in self.games for each in _of_role(game, role, 1 if role == "proposer" else count)
        ]
        return self._columns(found, trainer.processing_class, role)

    def game_reward(
        self, completions: Sequence[Any], game_paid: Sequence[float | None], **_: Any
    ) -> list[Any]:
        """Return what the games paid; None where nothing was to be learnt."""
        return list(game_paid)

    def _columns(
        self, found: Sequence[Trajectory | None], tokenizer: Any, role: Role
    ) -> dict[str, list[Any]]:
        end = tokenizer.eos_token_id
        end = tokenizer.pad_token_id if end is None else end
        columns: dict[str, list[Any]] = {
            name: [] for name in ("prompt_ids", "completion_ids", "logprobs", "env_mask", "game_paid", "role")
        }
        for each in found:
            if each is None:
                row: tuple[Any, ...] = ([end], [end], [0.0], [0], None)
            else:
                if not each.response_logprobs:
                    raise ValueError(
                        f"{each.seat} came without log-probabilities: the player must return `Reply.logprobs`"
                    )
                row = (
                    list(each.prompt_ids),
                    list(each.response_ids),
                    list(each.response_logprobs),
                    list(each.response_mask),
                    each.reward,
                )
            for name, value in zip(columns, (*row, role), strict=True):
                columns[name].append(value)
        return columns

    def _prompt(self, task: Task) -> str:
        (request,) = Game(task, self.scenario.rules.changed({"attempts": 1})).requests()
        view: Any = getattr(request, "view", None)
        return "\n".join(message.content for message in view.messages)

    def _task(self, prompt: Any) -> Task:
        if prompt not in self._tasks:
            raise ValueError(f"expected prompts of GameRollouts.train_dataset(), got {prompt!s:.80}")
        return self._tasks[prompt]


def _check_groups(prompts: Sequence[Any], count: int) -> None:
    groups = [prompts[start : start + count] for start in range(0, len(prompts), count)]
    if any(len(group) != count or any(prompt != group[0] for prompt in group) for group in groups):
        raise ValueError(
            f"a process must get whole groups of num_generations={count} equal prompts, got {len(prompts)}: "
            "make per_device_train_batch_size a multiple of num_generations"
        )


def _of_role(game: Game, role: Role, count: int) -> list[Trajectory | None]:
    """The conversations of a role whose tokens are all known; None for those that there are not."""
    failed = game.outcome is None or game.outcome.verdict == "error"
    played = [] if failed else [each for each in seat_trajectories(game) if each.role == role]
    kept: list[Trajectory | None] = [each if each.complete else None for each in played]
    return kept + [None] * (count - len(kept))


@contextmanager
def _evaluating(trainer: Any) -> Iterator[Any]:
    """The bare model of a trainer, without dropout."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    training = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(training)
