"""The agent executor of OpenRLHF: every sample is one seat of a game that is played on the vLLM engine."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any, ClassVar

from openrlhf.utils.agent import AgentExecutorBase

from agents.vllm.turn import Completion
from baselines.hosted_options import HostedOptions
from baselines.hosted_player import Complete, HostedPlayer
from baselines.openrlhf.rows import read_label
from ssp_env.game import PROTOCOLS, Game, Task
from ssp_env.game.trajectory import Trajectory, seat_trajectories
from ssp_env.game.view import PROPOSER_SEAT
from ssp_env.play import play_async


def game_executor(scenario: Mapping[str, Any], **options: Any) -> type[GameExecutor]:
    """Return the class that the file of `--train.agent_func_path` must hold as `AgentExecutor`.

    Args:
        scenario: What games are played in, as `Scenario.from_dict` takes it.
        options: The other options of `HostedOptions`: `max_new_tokens`, `rendering`, `reader`, `judge`.

    Raises:
        ValueError: If no corpus is named, or an option is out of its range.
        TypeError: If an option is unknown.
    """
    made = HostedOptions(scenario=scenario, **options)
    made.check()
    return type("AgentExecutor", (GameExecutor,), {"options": made, "__module__": __name__})


@dataclass
class _SharedGame:
    """One game whose attempts are the samples of one prompt."""

    sampling_params: Any  # kept, so that no other object gets its id
    playing: asyncio.Task[Game]
    claimed: int = 0


class GameExecutor(AgentExecutorBase):
    """Plays the games of rows of `game_rows`; all seats are sampled by the engine, one of them is trained.

    A sample of a proposer's row is a game of its own, whose proposal is paid by the attempts at it. A sample
    of a solver's row is an attempt at the known question; where there is none, all samples of the row are
    the attempts at one question, which is proposed first. If that question is invalid, all of them are its
    proposal, paid alike, so that nothing is learnt from them where samples of a prompt are compared.

    Make subclasses of it by `game_executor`.
    """

    options: ClassVar[HostedOptions]

    def __init__(self) -> None:
        self._numbers = count()
        self._shared: dict[tuple[int, str], _SharedGame] = {}

    async def execute(
        self,
        prompt: Any,
        label: Any,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """Play a game, and return the seat that is trained as OpenRLHF's own executors do.

        Raises:
            ValueError: If the row is not one of `game_rows`, the prompt is too long, or the samples of a row
                are not as many as the rules have attempts.
            RuntimeError: If a search, a judge or the engine broke down: nobody is paid for such a game.
        """
        task, role = read_label(label)
        player = self._player(sampling_params, max_length, hf_tokenizer, llm_engine)
        seat = PROPOSER_SEAT if role == "proposer" else "solver_0"
        if role == "solver" and not task.question:
            game, seat = await self._join((id(sampling_params), str(label)), sampling_params, task, player)
        else:
            game = await self._play(task, player)
        return {
            "prompt": prompt,
            "label": label,
            "images": images,
            "mm_train_inputs": None,
            **_sample(game, seat, with_logprobs=sampling_params.logprobs is not None),
        }

    async def _join(
        self, key: tuple[int, str], sampling_params: Any, task: Task, player: HostedPlayer
    ) -> tuple[Game, str]:
        """Take the next attempt of the game of a prompt; samples of one prompt come with one object."""
        shared = self._shared.get(key)
        if shared is None:
            playing = asyncio.create_task(self._play(task, player))
            shared = self._shared[key] = _SharedGame(sampling_params, playing)
        seat = f"solver_{shared.claimed}"
        shared.claimed += 1
        try:
            game = await asyncio.shield(shared.playing)
        finally:
            self._shared.pop(key, None)
        if shared.claimed != game.config.attempts:
            raise ValueError(
                "the samples of a prompt are the attempts at one question: rules.attempts must be "
                f"--rollout.n_samples_per_prompt, got {game.config.attempts} and {shared.claimed}"
            )
        return game, seat

    async def _play(self, task: Task, player: HostedPlayer) -> Game:
        rules = self.options.opened.rules
        if task.question:
            rules = rules.changed({"attempts": 1})
        name = f"{task.id or task.answer}/{next(self._numbers)}"
        game = Game(task, rules, zlib.crc32(name.encode()), name)
        await play_async(
            [game],
            proposer=player,
            solver=player,
            reader=self.options.load("reader"),
            search=self.options.engines,
            judge=self.options.load("judge"),
            on_player_error="raise",
        )
        assert game.outcome is not None
        if game.outcome.verdict == "error":
            raise RuntimeError(f"the game failed: {game.outcome.failure}")
        return game

    def _player(self, sampling_params: Any, max_length: int, tokenizer: Any, engine: Any) -> HostedPlayer:
        most = min(self.options.max_new_tokens, sampling_params.max_tokens or max_length)
        return HostedPlayer(
            completions(engine, sampling_params),
            tokenizer,
            PROTOCOLS[self.options.opened.rules.protocol],
            prompt_length=max_length - 1,
            response_length=max_length,
            context_window=max_length,
            max_new_tokens=most,
            prompt_option="--data.max_len",
            rendering=self.options.rendering,
        )


def completions(engine: Any, sampling_params: Any) -> Complete:
    """Return what asks OpenRLHF's engine, with its sampling parameters but for where a turn ends."""

    async def complete(conversation: str, asked: Mapping[str, Any]) -> Completion:
        params = deepcopy(sampling_params)
        for name in ("max_tokens", "stop", "stop_token_ids", "include_stop_str_in_output"):
            setattr(params, name, asked[name])
        (sampled,) = (await engine.generate(asked["prompt"], params)).outputs
        if sampled.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"the engine gave a turn of {conversation} up: {sampled.finish_reason}")
        ids = tuple(sampled.token_ids)
        reported = zip(ids, sampled.logprobs or (), strict=bool(sampled.logprobs))
        return Completion(ids, tuple(each[id_].logprob for id_, each in reported))

    return complete


def _sample(game: Game, seat: str, *, with_logprobs: bool) -> dict[str, Any]:
    """What OpenRLHF trains on: the tokens of a seat, who wrote them, and what it is paid."""
    outcome = game.outcome
    assert outcome is not None
    played = {each.seat: each for each in seat_trajectories(game) if each.sampled_count}
    found = played.get(seat, played.get(PROPOSER_SEAT))
    assert found is not None
    tokens = [*found.prompt_ids, *found.response_ids]
    return {
        "reward": found.reward,
        "scores": found.reward,
        "observation_tokens": tokens,
        "action_ranges": _action_ranges(found),
        "rollout_log_probs": _logprobs(found) if with_logprobs else None,
        "truncated": found.truncated,
        "extra_logs": {
            "valid": float(outcome.verdict == "valid"),
            "proposer": float(found.role == "proposer"),
        },
    }


def _action_ranges(found: Trajectory) -> list[tuple[int, int]]:
    """Where the policy sampled, as half-open ranges over prompt and response."""
    ranges, start = [], len(found.prompt_ids)
    for sampled, run in groupby(found.response_mask):
        end = start + len(list(run))
        if sampled:
            ranges.append((start, end))
        start = end
    return ranges


def _logprobs(found: Trajectory) -> list[float]:
    if not found.response_logprobs:
        raise ValueError(f"the engine gave no log-probabilities for {found.seat}")
    return [0.0] * len(found.prompt_ids) + list(found.response_logprobs)
