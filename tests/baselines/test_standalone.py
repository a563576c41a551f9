"""`python -m baselines.ppo`: which command it becomes."""

import sys

import pytest

from baselines import standalone


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            ["--role", "solver", "--preset", "tiny"],
            ["--solver", "ppo", "--proposer", "frozen", "--preset", "tiny"],
        ),
        (["--seed", "1", "--role", "proposer"], ["--solver", "frozen", "--proposer", "ppo", "--seed", "1"]),
        (["--steps", "3"], ["--solver", "ppo", "--proposer", "ppo", "--steps", "3"]),
    ],
)
def test_one_role_learns_and_the_other_is_frozen(
    given: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
):
    ran: list[list[str]] = []
    monkeypatch.setattr("ssp_env.cli.main", lambda: ran.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["ppo.py", *given])
    standalone.main("ppo")
    assert ran == [["ssp", "train", *expected]]


@pytest.mark.parametrize("given", [["--role", "judge"], ["--role"]])
def test_another_role_is_refused(given: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["ppo.py", *given])
    with pytest.raises(SystemExit, match="--role must be solver or proposer"):
        standalone.main("ppo")
