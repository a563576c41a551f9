"""What processes that train together do: updates, a run with shared-out weights, and how that is resumed."""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing
from torch.distributed.tensor import DTensor

from baselines.algorithms import build_algorithm
from baselines.config import RoleConfig, preset
from baselines.config.learner import LearnerConfig
from baselines.learner import Learner
from baselines.policies.sharding import ShardedPolicy
from baselines.processes import Processes, join
from baselines.runs.directory import RunDirectory
from baselines.train import Training
from baselines.update_trace import UpdateTrace
from tests.baselines.conftest import policy_of
from tests.baselines.short_runs import Watcher
from tests.baselines.test_algorithms import SAMPLES, fresh_model

ALGORITHMS = ("grpo", "ppo")
COUNT = 2
QUICK = preset("smoke").changed(
    {
        "hops": [1, 2],
        "rules": {"max_tokens": 8},
        "evaluation": {"questions": 2, "validation_questions": 1},
    }
)
OPTIONS = (
    *("--preset", "smoke", "--set", "hops=[1, 2]", "--rule", "max_tokens=8"),
    *("--set", "evaluation.questions=2", "--set", "evaluation.validation_questions=1"),
)
"""What makes it on a command line."""
SHARED_OUT = "shared-out"
"""Name of the folder of the run of several processes."""


def together(task: Callable[..., None], *arguments: object) -> None:
    """Run a function in as many processes, as `torchrun` would, without loading torch in each of them."""
    context = torch.multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.baselines.two_processes", "baselines.watched_run", "baselines.runs.curves"]
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    processes = [context.Process(target=_begin, args=(rank, port, task, arguments)) for rank in range(COUNT)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * COUNT


def _begin(rank: int, port: int, task: Callable[..., None], arguments: tuple[object, ...]) -> None:
    size = str(COUNT)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    task(*arguments)


def command(*arguments: str) -> None:
    """Run `ssp` in this process, which `torchrun` would have started."""
    from ssp_env.cli import main as ssp

    sys.argv = ["ssp", *arguments]
    try:
        ssp()
    finally:
        assert not torch.distributed.is_initialized(), "it ends without having left the others"


def main(path: Path) -> None:
    """Write the weights and metrics after an update of each algorithm, and how a list was shared out.

    Several processes train a run as well.
    """
    torch.set_num_threads(1)
    processes = join()
    updates = {algorithm: update(algorithm, processes) for algorithm in ALGORITHMS}
    sharded = {}
    if processes.size > 1:
        sharded = {algorithm: update(algorithm, processes, sharded=True) for algorithm in ALGORITHMS}
    shares = processes.gather(processes.share(list(range(7))))
    if processes.is_main:
        found = {"size": processes.size, "shares": shares, "updates": updates, "sharded": sharded}
        path.write_text(json.dumps(found))
    if processes.size > 1:
        train(path.with_name(SHARED_OUT), processes)
    processes.wait()


def train(folder: Path, processes: Processes) -> None:
    """Train a run whose weights are shared out among the processes."""
    config = QUICK.changed({"model": {"sharding": "fsdp2"}})
    if processes.is_main:
        RunDirectory.create(folder, config)
    processes.wait()
    run = RunDirectory(folder, writes=processes.is_main)
    Training(config, run, Watcher(), processes=processes).train()


def update(algorithm: str, processes: Processes, *, sharded: bool = False) -> dict[str, Any]:
    """Update a fresh model, whose weights may be shared out; return its weights and the metrics."""
    policy = policy_of(fresh_model())
    if sharded:
        policy = ShardedPolicy(policy, processes)
    # 12 tokens are one sample a micro-batch; of five, one process has three and the other two.
    config = LearnerConfig(
        learning_rate=0.1, micro_batch_tokens=12, minibatches=2, epochs=2, old_logprobs="recomputed"
    )
    learner = Learner(policy, config, processes)
    # AdamW's first steps have the size of the learning rate, even where the gradient is a rounding error.
    learner.optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=1.0)
    role = RoleConfig(algorithm, options={"kl_coefficient": 0.01})
    samples = [*SAMPLES, replace(SAMPLES[0], game_id="last", reward=0.5)]
    learner.trace = UpdateTrace()
    metrics = dict(build_algorithm(role, learner).update(samples))
    weights = list(policy.trainable_parameters())
    own = sum(w.to_local().numel() if isinstance(w, DTensor) else w.numel() for w in weights)
    return {
        "metrics": metrics,
        "trace": learner.trace.by_game({samples[0].role: samples}),
        "share": own / sum(weight.numel() for weight in weights),
        "weights": {name: weight.tolist() for name, weight in policy.state_dict().items()},
    }
