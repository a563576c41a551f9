"""The benchmark of attacks: nothing pays that did not, and faults are counted where there are some."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.attacks import __main__ as attacks
from benchmarks.attacks.files import KINDS, tampered
from benchmarks.attacks.processes import killed_servers
from benchmarks.attacks.rewards import FORMS, OPTIONS, measured
from benchmarks.attacks.vanishing import WAYS, vanishing
from tests.fuzz import targets

REPORT = Path(__file__).parents[2] / "results" / "attacks.json"


@pytest.mark.parametrize(("column", "rules"), [(1, {}), (2, OPTIONS), (3, FORMS), (4, {**OPTIONS, **FORMS})])
def test_no_attack_pays_more_than_in_the_report(column, rules):
    reported = json.loads(REPORT.read_text())["pays"]
    pays = measured(rules)
    assert len(pays) > 100 and not any(pay != pay for pay in pays.values())
    assert {name for name, pay in pays.items() if pay > reported.get(name, [0] * 5)[column]} == set()


def test_an_attack_that_worked_before_is_one_that_could_work():
    before = [pays[0] for pays in json.loads(REPORT.read_text())["pays"].values()]
    assert sum(pay is not None and pay > 0 for pay in before) > 50


def test_forms_of_an_answer_are_paid_where_the_rules_do_not_want_them_and_nowhere_else():
    pays = json.loads(REPORT.read_text())["pays"]
    refused = {name for name, (_, plain, _, formed, _) in pays.items() if plain > 0 and formed == 0}
    assert refused == {
        "leak: backwards", "leak: rot13", "leak: base64", "leak: plural", "leak: surname alone",
        "leak: initial and surname", "leak: names the other way round", "leak: number in other digits",
        "leak: number in words", "leak: number in Roman digits", "leak: adjective", "leak: in syllables",
        "leak: digits for letters", "leak: hexadecimal digits", "leak: Morse", "leak: spelling alphabet",
        "leak: first letters",
    }  # fmt: skip


def test_what_pays_under_all_options_is_what_the_pages_name():
    pays = json.loads(REPORT.read_text())["pays"]
    assert {name for name, row in pays.items() if row[4] > 0} == {
        "leak: translation",
        "reader: a reader that answers by the order of the passages",
        "reader: a reader that answers by the noise",
    }


def test_rewards_that_want_a_solver_leave_the_translation_alone():
    rules = {**OPTIONS, **FORMS, "reward": "1-acc-if-solved", "attempts": 4}
    assert {name for name, pay in measured(rules).items() if pay > 0} == {"leak: translation"}


@pytest.mark.parametrize("kind", KINDS)
def test_tampered_files_do_no_harm(kind):
    assert tampered(kind, 12, seed=5) == (12, [])


def test_a_reader_that_fails_is_counted(monkeypatch):
    def fail(data):
        raise KeyError("x")

    broken = {"data": targets.Target(fail, (b"a",))}
    monkeypatch.setattr("benchmarks.attacks.files.targets", lambda: broken)
    given, faults = tampered("data", 8, seed=0)
    assert given == 8 and len(faults) == 8 and faults[0].startswith("data: KeyError")


def test_clients_that_vanish_do_no_harm():
    sent, faults, figures = vanishing(150, seed=1)
    assert (sent, faults) == (150, [])
    assert sum(figures[f"clients: {way}"] for way in WAYS) == 150


def test_servers_that_are_killed_do_no_harm(tmp_path):
    assert killed_servers(tmp_path, 1, seed=0) == (1, [])


def test_faults_are_shown_written_and_end_with_status_1(monkeypatch, tmp_path):
    monkeypatch.setattr(
        attacks, "rewards", lambda before: ([attacks.Row("reward", 2, 1, faults=["a"])], {"a": [1, 1, 1]})
    )
    monkeypatch.setattr(attacks, "files", lambda sizes, seed: [attacks.Row("files", 9, 9)])
    monkeypatch.setattr(attacks, "clients", lambda sizes, seed: [attacks.Row("clients", 5, 5)])
    for faults in ([], ["lost a reply"]):
        row = attacks.Row("kills", 3, 3 - len(faults), faults=faults)
        monkeypatch.setattr(attacks, "processes", lambda sizes, seed, row=row: [row])
        app = attacks.typer.Typer()
        app.command()(attacks.main)
        done = CliRunner().invoke(app, ["--out", str(tmp_path / "report.json")])
        assert done.exit_code == len(faults), done.output
        assert ("lost a reply" in done.output) == bool(faults)
        report = json.loads((tmp_path / "report.json").read_text())
        assert [row["survived"] for row in report["rows"]] == [1, 9, 5, 3 - len(faults)]


def test_one_part_alone_keeps_what_the_report_has_of_the_others(monkeypatch, tmp_path):
    report = tmp_path / "report.json"
    rows = [{"name": "reward", "tried": 1, "survived": 1}, {"name": "kills", "tried": 7, "survived": 7}]
    kept = {"seed": 3, "sizes": {"files": 9}, "rows": rows, "pays": {"a": [1, 1, 1], "b": [0.5, 0, 0]}}
    report.write_text(json.dumps(kept))

    def rewards(before):
        return [attacks.Row("reward", 2, 2)], {"a": [before["a"], 0, 0, 0]}

    monkeypatch.setattr(attacks, "rewards", rewards)
    app = attacks.typer.Typer()
    app.command()(attacks.main)
    done = CliRunner().invoke(app, ["--only", "rewards", "--out", str(report)])
    assert done.exit_code == 0, done.output
    written = json.loads(report.read_text())
    assert [(row["name"], row["tried"]) for row in written["rows"]] == [("reward", 2), ("kills", 7)]
    assert written["pays"] == {"a": [1, 0, 0, 0], "b": [0.5, 0, 0]}
    assert (written["seed"], written["sizes"]) == (3, {"files": 9})
