"""The agent loop `ssp_game` of verl: an answer or a question is a whole game, and every seat an output."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput

from baselines.hosted_player import HostedPlayer
from baselines.verl import MANAGER
from baselines.verl.dataset import task_of
from baselines.verl.options import GameOptions
from baselines.verl.servers import completions
from ssp_env.game import PROTOCOLS, Game
from ssp_env.game.trajectory import Trajectory, seat_trajectories
from ssp_env.play import play_async


class GameLoop(AgentLoopBase):
    """Plays one game: proposer, rules, RAG check and all attempts of the solver, or the attempts alone.

    `rollout.n` games are played for one row: as many proposals for an answer. How many attempts a question
    gets is a rule of the game. A game that failed gives no output.

    Raises:
        ValueError: If `data.ssp` is missing or malformed, or the worker would pay all seats alike.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.options = GameOptions.of(self.data_config)
        manager = self.rollout_config.get("agent", {}).get("agent_loop_manager_class")
        if manager != MANAGER:
            raise ValueError(
                "verl's own worker pays every seat of a game the reward of the last one: set "
                f"actor_rollout_ref.rollout.agent.agent_loop_manager_class={MANAGER}, got {manager}"
            )

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> list[AgentLoopOutput]:
        """Play the game of a row, and return the seats that sampled something."""
        started = time.perf_counter()
        game = self.game_of(row)
        player = self._player(sampling_params)
        reader = self.options.load("reader")
        await play_async(
            [game],
            proposer=player,
            solver=player,
            reader=reader,
            search=self.options.engines,
            judge=self.options.load("judge"),
            on_player_error="raise",
        )
        if game.outcome is None or game.outcome.verdict == "error":
            return []
        metrics = AgentLoopMetrics(generate_sequences=time.perf_counter() - started)
        found = [each for each in seat_trajectories(game) if each.sampled_count]
        return [_output(game, each, metrics) for each in found]

    def game_of(self, row: Mapping[str, Any]) -> Game:
        """Open the game of a row; the number of the session makes it another one than its siblings."""
        uid, session = str(row["uid"]), str(row.get("session_id", 0))
        task = replace(task_of(row), id=uid)
        name = f"{uid}/{session}"
        return Game(task, self.options.opened.rules, zlib.crc32(name.encode()), name)

    def _player(self, sampling_params: Mapping[str, Any]) -> HostedPlayer:
        rollout = self.rollout_config
        return HostedPlayer(
            completions(self.server_manager, sampling_params, rollout.get("name", "vllm")),
            self.tokenizer,
            PROTOCOLS[self.options.opened.rules.protocol],
            prompt_length=rollout.prompt_length,
            response_length=rollout.response_length,
            context_window=rollout.prompt_length + rollout.response_length,
            max_new_tokens=min(self.options.max_new_tokens, rollout.response_length),
            prompt_option="data.max_prompt_length",
            rendering=self.options.rendering,
        )


def _output(game: Game, found: Trajectory, metrics: AgentLoopMetrics) -> AgentLoopOutput:
    assert game.outcome is not None
    versions = [int(version) for version in found.weights_versions if version.isdecimal()]
    valid = float(game.outcome.verdict == "valid")
    return AgentLoopOutput(
        prompt_ids=list(found.prompt_ids),
        response_ids=list(found.response_ids),
        response_mask=list(found.response_mask),
        response_logprobs=list(found.response_logprobs) or None,
        reward_score=found.reward,
        num_turns=2 * len(found.weights_versions),
        metrics=metrics,
        extra_fields={
            "group": found.group,
            "seat": found.seat,
            "role": found.role,
            "game_id": found.game_id,
            "reason": game.outcome.reason,
            "min_global_steps": min(versions, default=None),
            "max_global_steps": max(versions, default=None),
            "reward_extra_info": {"valid": valid, "proposer": float(found.role == "proposer")},
        },
    )
