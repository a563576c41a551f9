"""Attempts are told apart by where they left the path of their question."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.scripted import scripted
from baselines.config import preset
from baselines.policies.models import open_model
from baselines.rollouts.tasks import open_source
from baselines.runs.directory import RunDirectory
from benchmarks.solver_errors import KINDS, MISREAD, OTHER, REPEATED, RIGHT, STOPPED, attempts, kind_of, main
from ssp_env.play import play


def ended(strength: str, hops: int = 3) -> Counter[str]:
    config = preset("tiny")
    counts: Counter[str] = Counter()
    for asked in open_source(config.source, "tiny", [hops], config.game).heldout(
        config.game, 8, validation=True
    ):
        search = {key: scenario.engine for key, scenario in asked.scenarios.items()}
        play(asked.games, solver=scripted("solver", strength), search=search)
        counts.update(kind for game in asked.games for kind in attempts(game))
    return counts


@pytest.mark.parametrize(("strength", "kind"), [("perfect", RIGHT), ("hopeless", "no fact")])
def test_scripted_solvers_end_as_they_are_made(strength: str, kind: str):
    assert ended(strength) == {kind: 8 * preset("tiny").game.attempts}


def test_a_solver_of_one_hop_follows_the_last_relation_that_is_named():
    counts = ended("one_hop", hops=2)
    assert counts[RIGHT] == 0 and counts.total() == 8 * preset("tiny").game.attempts
    assert counts[STOPPED] + counts["skipped"] + counts[MISREAD] + counts[OTHER] == counts.total()


@given(st.lists(st.sampled_from("abc"), max_size=4))
def test_every_way_has_one_kind(followed: list[str]):
    wanted = ["a", "b", "c"]
    kind = kind_of(wanted, followed)
    assert kind in KINDS and kind != RIGHT
    assert (kind == MISREAD) == (followed[:3] == wanted)
    assert (kind == STOPPED) == (0 < len(followed) < 3 and wanted[: len(followed)] == followed)
    assert kind != OTHER or "x" in followed
    assert kind != REPEATED or followed != wanted


def test_the_command_counts_the_attempts_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = preset("smoke").changed({"rules": {"max_tokens": 6}})
    run = RunDirectory.create(tmp_path / "run", config)
    open_model(config, tmp_path).save(run.path / "final")
    main([run.path], hops=2, questions=2, out=tmp_path / "out.json")
    counts = json.loads((tmp_path / "out.json").read_text())["runs"]["run"]
    assert sum(counts.values()) == 2 * config.game.attempts and set(counts) <= {*KINDS}
    assert "Attempts at held-out questions of 2 hops" in capsys.readouterr().out
