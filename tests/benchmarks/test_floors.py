"""The floors of the environments: the players are in their order, and their actions have the right form."""

import json

import numpy as np
import pytest

from benchmarks.floors import (
    IDS,
    NUMERIC_IDS,
    main,
    measured,
    numeric_policies,
    numeric_rewards,
    players,
    rewards,
)


@pytest.mark.parametrize("name", [IDS[0], IDS[2]])
def test_the_players_are_in_their_order_and_repeat_themselves(name):
    means = [np.mean(rewards(name, player, 15, seed=1)) for player in players(1).values()]
    assert means[0] < 0.2 and means[0] <= means[1] < means[2]
    again = rewards(name, players(1)["random"], 15, seed=1)
    assert np.mean(again) == means[0]


@pytest.mark.parametrize("name", [NUMERIC_IDS[0], NUMERIC_IDS[2]])
def test_the_players_in_numbers_are_in_their_order_and_repeat_themselves(name):
    paid = [numeric_rewards(name, policy, 60, seed=1) for policy in numeric_policies(name, 1).values()]
    assert np.mean(paid[0]) + 0.2 < np.mean(paid[1])
    assert paid[0] == numeric_rewards(name, numeric_policies(name, 1)["random"], 60, seed=1)


def test_intervals_are_those_of_a_share():
    assert measured([0.0] * 40)["high"] == pytest.approx(0.088, abs=1e-3)
    row = measured([1.0, 0.0] * 20)
    assert row["low"] < row["mean"] == 0.5 < row["high"]


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    main(episodes=2, seed=0, results=tmp_path / "floors.json")
    found = json.loads((tmp_path / "floors.json").read_text())
    assert list(found["rewards"]) == [*IDS, *NUMERIC_IDS]
    assert "SolverHeldout-v1" in capsys.readouterr().out
