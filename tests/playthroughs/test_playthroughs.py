"""Golden playthroughs: scripted games come out to the byte as they are on file, and show every way to end."""

import json
import sys
from typing import get_args

import pytest

from ssp_env.game.outcome import REASON_CODES
from ssp_env.game.prompts import PROMPT_STYLES
from ssp_env.game.rewards import REWARD_SHAPES
from ssp_env.game.view import Probe
from ssp_env.records import Episode, first_difference
from tests.playthroughs import regenerate
from tests.playthroughs.regenerate import FOLDER, difference, finished_game, playthrough
from tests.playthroughs.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_game_comes_out_as_it_is_on_file(name):
    found = difference(name)
    assert not found, f"if the change is meant, run: python -m tests.playthroughs.regenerate\n{found}"
    assert (FOLDER / f"{name}.txt").read_bytes() == playthrough(SCENARIOS[name]).encode()


def test_every_file_has_its_scenario():
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCENARIOS)


def test_every_reason_code_phase_and_kind_of_game_is_shown():
    games = [finished_game(scenario) for scenario in SCENARIOS.values()]
    assert {game.outcome.reason for game in games} == set(REASON_CODES)
    texts = "".join((FOLDER / f"{name}.txt").read_text(encoding="utf-8") for name in SCENARIOS)
    assert all(f" ({phase}, turns left" in texts for phase in ("propose", "solve", *get_args(Probe)))
    assert {game.config.prompts for game in games} == set(PROMPT_STYLES)
    assert {game.config.reward for game in games} > {REWARD_SHAPES[0]}
    assert any(game.config.attempts == 5 and game.outcome.success_rate == 0.4 for game in games)
    assert {"judge", "exact_match"} <= {
        event.scorer for game in games for event in game.events if hasattr(event, "scorer")
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_its_record_replays(name):
    line = Episode.of(finished_game(SCENARIOS[name])).to_line()
    assert first_difference(Episode.from_data(json.loads(line))) == ""


def test_the_command_shows_how_a_game_differs_and_writes_it_anew(tmp_path, monkeypatch, capsys):
    def run(*options):
        monkeypatch.setattr(sys, "argv", ["regenerate", *options])
        regenerate.main()

    monkeypatch.setattr(regenerate, "FOLDER", tmp_path)
    run()
    with pytest.raises(SystemExit) as stop:
        run("--check")
    assert stop.value.code == 0 and capsys.readouterr().out == ""
    path = tmp_path / "too_short.txt"
    path.write_bytes(path.read_bytes().replace(b"broken (too_short)", b"kept"))
    with pytest.raises(SystemExit) as stop:
        run("--check")
    printed = capsys.readouterr().out
    assert stop.value.code == f"1 of {len(SCENARIOS)} games differ"
    assert "-rules       kept: " in printed and "+rules       broken (too_short): " in printed
    assert "too_short.txt (on file)" in printed and "solved.txt" not in printed
