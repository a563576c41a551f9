"""verl's agent loop worker with a reward and a group for every seat, and the manager of such workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
import transfer_queue
from verl.experimental.agent_loop import AgentLoopWorker
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ, AgentLoopWorkerTQ
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from baselines.verl import check_registered
from baselines.verl.options import GameOptions

MOST_SEATS = 1024
"""Outputs of one game; each is a session of its own for verl."""

# What verl decorated is the handle of an actor, and the class is behind it. Its methods are borrowed one by
# one, since in an actor of a subclass of it (Ray 2.60) its constructor's `super()` raises a TypeError.
_Stock: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class.__ray_actor_class__


class GameAgentLoopWorker(AgentLoopWorker):
    """Stores every output of a game as a session of its own, which keeps its reward, and its group.

    verl's own worker overwrites the rewards of all outputs of a loop with that of the last one, and compares
    what belongs to one row.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        AgentLoopWorker.__init__(self, *arguments, **options)
        transfer_queue.init()
        self.background_tasks: set[Any] = set()

    generate_sequences = _Stock.generate_sequences
    _run_prompt = _Stock._run_prompt

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **row: Any) -> None:
        outputs: Sequence[Any] = output if isinstance(output, list) else [output]
        if not outputs:
            await _Stock._agent_loop_postprocess(self, [], validate, **row)
        for place, one in enumerate(outputs):
            session = int(row["session_id"]) * MOST_SEATS + place
            await _Stock._agent_loop_postprocess(self, [one], validate, **{**row, "session_id": session})
            if (group := one.extra_fields.get("group")) is not None:
                await transfer_queue.async_kv_batch_put(
                    keys=[f"{row['uid']}_{session}_0"],
                    fields=list_of_dict_to_tensordict([{"uid": group}]),
                    partition_id="val" if validate else "train",
                )


class GameAgentLoopManager(AgentLoopManagerTQ):
    """Name it as `actor_rollout_ref.rollout.agent.agent_loop_manager_class`.

    Raises:
        RuntimeError: If verl does not know the agent loop or the estimator.
        ValueError: If `data.ssp` is missing, malformed or names nothing to play over.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        check_registered()
        GameOptions.of(self.config.data)
        self.agent_loop_workers_class = ray.remote(GameAgentLoopWorker)
