"""Two processes take the same optimiser steps as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.baselines.two_processes import main


@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_two_processes_and_one_take_the_same_steps(tmp_path: Path, algorithm: str):
    main(tmp_path / "one.json", algorithm)
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    script = ["-m", "tests.baselines.two_processes", str(tmp_path / "two.json"), algorithm]
    command = [sys.executable, "-m", *launcher, *script]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "two.json"))
    assert (one["size"], two["size"]) == (1, 2)
    assert one["shares"] == two["shares"] == list(range(7))
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, abs=1e-5), name
    for name, weights in one["weights"].items():
        assert torch.allclose(torch.tensor(two["weights"][name]), torch.tensor(weights), atol=1e-6), name
