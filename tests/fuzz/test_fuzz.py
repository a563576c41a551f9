"""The fuzzer itself: it is clean on the game as it is, repeats itself, and notices what breaks."""

from io import StringIO

from rich.console import Console

from ssp_env.game import PROTOCOLS, Protocol
from tests.fuzz.__main__ import fuzz


def run(turns=1500, seed=0):
    console = Console(file=StringIO(), width=110)
    return *fuzz(turns, seed, 2000, console), console


def test_generated_turns_raise_nothing_in_any_protocol():
    tally, exceptions, _ = run()
    assert exceptions == 0
    assert {protocol for protocol, _ in tally.actions} == set(PROTOCOLS)
    assert tally.turns >= 1500


def test_a_seed_repeats_itself():
    assert run(300, seed=1)[0] == run(300, seed=1)[0] != run(300, seed=2)[0]


def test_a_parser_that_keeps_tags_in_contents_is_caught(monkeypatch):
    monkeypatch.setattr(Protocol, "accept", lambda self, content, code="", bounded=True: (content, code))
    _, exceptions, console = run(3000)
    assert exceptions > 0
    assert "AssertionError" in console.file.getvalue()
