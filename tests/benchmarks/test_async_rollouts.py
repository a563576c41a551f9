"""The benchmark of games played ahead: it measures old samples, and slows players only while it measures."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from agents.tiny_policy import TinyPolicy
from baselines.config import preset
from baselines.policies.models import open_model
from benchmarks import async_rollouts
from benchmarks.async_rollouts import Figures, measure, table
from tests.baselines.short_runs import SHORT


def test_samples_that_are_an_update_old_have_another_ratio(tmp_path: Path):
    # Untrained attempts are all wrong: the entropy bonus moves the weights at every step.
    entropy = {"entropy_coefficient": 0.1}
    config = SHORT.changed({"steps": 5, "solver": entropy, "proposer": entropy})
    open_model(config, tmp_path).save(tmp_path)
    before = TinyPolicy.act_batch
    in_turn, ahead = (measure(config, tmp_path, staleness, 0.001) for staleness in (0, 1))
    assert TinyPolicy.act_batch is before
    assert in_turn.mismatch_max < 1e-4 < ahead.mismatch_max
    assert ahead.mismatch_mean < ahead.mismatch_max and ahead.step_seconds > 0


def test_the_command_prints_and_writes_every_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def instead(base: object, folder: Path, staleness: int, delay: float) -> Figures:
        return Figures(staleness, delay, 1.0 / (1 + staleness), 0.01, 0.5)

    monkeypatch.setattr(async_rollouts, "measure", instead)
    (tmp_path / "warm-start").mkdir()
    (tmp_path / "warm-start" / "config.json").write_text("{}")
    async_rollouts.main(tmp_path, steps=12, out=tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert [one["staleness"] for one in written["variants"]] == [0, 1, 2, 4] * 2
    assert written["preset"] == preset("tiny").preset
    assert "Games played ahead of updates" in capsys.readouterr().out


def test_gains_are_against_the_same_players_in_turn():
    console = Console(width=80, record=True)
    console.print(table([Figures(0, 0.1, 3.0, 0.0, 0.0), Figures(1, 0.1, 2.0, 0.02, 0.7)]))
    lines = [line.split("│")[1:-1] for line in console.export_text().splitlines() if "0.10 s" in line]
    assert [[cell.strip() for cell in line][3:] for line in lines] == [
        ["1.00", "0.0e+00", "0.0e+00"],
        ["1.50", "2.0e-02", "7.0e-01"],
    ]
