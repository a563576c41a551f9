"""One update by however many processes there are; `torchrun ... -m tests.baselines.two_processes FILE`."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from baselines.algorithms import build_algorithm
from baselines.config import LearnerConfig, RoleConfig
from baselines.learner import Learner
from baselines.processes import join
from tests.baselines.conftest import policy_of
from tests.baselines.test_algorithms import SAMPLES, fresh_model


def main(path: Path, algorithm: str) -> None:
    torch.set_num_threads(1)
    processes = join()
    policy = policy_of(fresh_model())
    # 12 tokens are one sample a micro-batch; of five, one process has three and the other two.
    config = LearnerConfig(
        learning_rate=0.1, micro_batch_tokens=12, minibatches=2, epochs=2, old_logprobs="recomputed"
    )
    learner = Learner(policy, config, processes)
    # AdamW's first steps have the size of the learning rate, even where the gradient is a rounding error.
    learner.optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=1.0)
    role = RoleConfig(algorithm, options={"kl_coefficient": 0.01})
    samples = [*SAMPLES, replace(SAMPLES[0], game_id="last", reward=0.5)]
    metrics = dict(build_algorithm(role, learner).update(samples))
    shares = processes.gather(processes.share(list(range(7))))
    weights = {name: weight.tolist() for name, weight in policy.state_dict().items()}
    if processes.is_main:
        path.write_text(
            json.dumps({"size": processes.size, "shares": shares, "metrics": metrics, "weights": weights})
        )
    processes.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
