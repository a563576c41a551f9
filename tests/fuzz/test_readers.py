"""Readers of foreign data stand generated inputs and what was found before; the search notices a fault."""

import pytest

from tests.fuzz import readers
from tests.fuzz.inputs import inputs
from tests.fuzz.search import FINDINGS, Finding, kept, search, tried
from tests.fuzz.targets import Target, targets

EXAMPLES = {"records": 60, "index": 60, "pages": 100, "data": 100}


@pytest.mark.parametrize("name", sorted(targets()))
def test_a_reader_stands_generated_inputs(name):
    search(targets()[name], EXAMPLES.get(name, 200), seed=0)


@pytest.mark.parametrize("name", sorted(targets()))
def test_a_reader_stands_what_was_found_before(name):
    for data in (*targets()[name].seeds, *kept(name)):
        tried(targets()[name], data)


def test_findings_are_of_targets_there_are():
    assert {path.name for path in FINDINGS.iterdir() if path.is_dir()} <= {*targets()}


def test_a_fault_is_found_and_made_small():
    def check(data):
        assert b"\xff" not in data

    with pytest.raises(Finding) as found:
        search(Target(check, (b"valid",)), 2000, seed=0)
    assert b"\xff" in found.value.data and len(found.value.data) < 10


def test_what_a_run_finds_is_kept_and_told(tmp_path, monkeypatch):
    def check(data):
        assert b"\xff" not in data

    monkeypatch.setattr(readers, "targets", lambda: {"pages": Target(check, (b"valid",))})
    monkeypatch.setattr("tests.fuzz.search.FINDINGS", tmp_path)
    stands, report = readers.run_target("pages", seconds=20.0, seed=0)
    (finding,) = (tmp_path / "pages").iterdir()
    assert (
        not stands
        and str(finding) in report
        and "AssertionError" in report
        and b"\xff" in finding.read_bytes()
    )
    monkeypatch.setattr(readers, "targets", lambda: {"pages": Target(lambda data: None, (b"valid",))})
    assert readers.run_target("pages", seconds=0.1, seed=0)[0]


def test_the_same_seed_tries_the_same_inputs():
    def of(seed):
        seen = []
        search(Target(seen.append, (b"valid", b"{}"), ({"a": 1},)), 50, seed)
        return seen

    assert of(1) == of(1) != of(2)
    assert inputs([b"a"]).validate() is None
