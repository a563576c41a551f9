"""The recipe for one node, with stand-ins for vLLM and our commands: what it starts, waits for and ends."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.markdown import ROOT, parse_ssp

with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    # Tests run side by side, and each worker needs ports of its own.
    PORT = found.getsockname()[1] - 200
SCRIPT = ROOT / "examples" / "one_node.sh"
STAND_IN = """#!{python}
import http.server, json, os, sys
name = os.path.basename(sys.argv[0])
with open(os.environ["LOG"], "a") as log:
    log.write(json.dumps([name, os.environ.get("CUDA_VISIBLE_DEVICES", ""), sys.argv[1:]]) + "\\n")
if sys.argv[1] == "train":
    sys.exit(int(os.environ.get("TRAINED", "0")))
if os.environ.get("BROKEN") == name:
    sys.exit(3)


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *rest):
        pass


port = int(sys.argv[sys.argv.index("--port") + 1])
with open(os.environ["LOG"] + ".pids", "a") as pids:
    pids.write(f"{{os.getpid()}}\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Healthy).serve_forever()
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)


def run(folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[Any]]:
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    for name in ("ssp", "vllm"):
        (commands / name).write_text(STAND_IN.format(python=sys.executable))
        (commands / name).chmod(0o755)
    log = folder / "log"
    given = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "LOG": str(log),
        "MODEL": "a model",
        "INDEX": "an index",
        "ANSWERS": "answers.jsonl",
        "GPUS": "3",
        "PORT": str(PORT),
        **environment,
    }
    done = subprocess.run(
        ["bash", SCRIPT], cwd=folder, env=given, capture_output=True, text=True, timeout=120
    )
    lines = log.read_text().splitlines() if log.exists() else []
    return done, [json.loads(line) for line in lines]


def ended(folder: Path) -> bool:
    pids = [int(line) for line in (folder / "log.pids").read_text().split()]
    for _ in range(100):
        alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        if not alive:
            return True
        time.sleep(0.1)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    return False


def test_servers_are_started_waited_for_and_ended(tmp_path: Path):
    done, calls = run(tmp_path)
    assert done.returncode == 0, done.stderr
    served = sorted(call for call in calls if call[0] == "vllm")
    assert [gpu for _, gpu, _ in served] == ["1", "2"]
    assert all(arguments[:2] == ["serve", "a model"] for _, _, arguments in served)
    (name, gpu, arguments) = calls[-1]
    assert (name, gpu, arguments[0]) == ("ssp", "0", "train")
    assert (
        arguments[arguments.index("--servers") + 1]
        == f"http://127.0.0.1:{PORT + 101},http://127.0.0.1:{PORT + 102}"
    )
    for _, _, ours in [call for call in calls if call[0] == "ssp"]:
        parse_ssp(ours)
    assert ended(tmp_path)


def test_the_configuration_is_one_that_trains(tmp_path: Path):
    from baselines.config import preset
    from ssp_env.cli.rules import read_assignments

    _, calls = run(tmp_path)
    words = calls[-1][2]
    options = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    config = preset("qwen2.5-7b-paper").changed(read_assignments("--set", options, {}, ""))
    assert config.model.lora_rank == 32 and config.rollout.staleness == 1 and config.source.answers


def test_given_again_it_resumes_and_a_failed_training_is_said(tmp_path: Path):
    (tmp_path / "runs" / "one-node").mkdir(parents=True)
    (tmp_path / "runs" / "one-node" / "config.json").write_text("{}")
    done, calls = run(tmp_path, TRAINED="4")
    assert done.returncode == 4
    assert calls[-1][2][:3] == ["train", "--resume", "runs/one-node"]
    assert ended(tmp_path)


def test_a_server_that_ends_before_it_answers_stops_everything(tmp_path: Path):
    done, calls = run(tmp_path, BROKEN="vllm")
    assert done.returncode == 1 and "a server ended before" in done.stderr
    assert not any(arguments[0] == "train" for _, _, arguments in calls)
    assert ended(tmp_path)


def test_what_is_missing_is_named(tmp_path: Path):
    done, calls = run(tmp_path, MODEL="")
    assert done.returncode != 0 and "folder of the model" in done.stderr and not calls


def test_the_line_at_its_top_is_the_command():
    line = SCRIPT.read_text().splitlines()[2].lstrip("# ")
    words = shlex.split(line)
    assert words[-2:] == ["bash", "examples/one_node.sh"] and words[0].startswith("MODEL=")
