"""Golden playthroughs: scripted games must come out to the byte as they are on file."""

import pytest

from tests.playthroughs.regenerate import FOLDER, SCENARIOS, playthrough


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_game_comes_out_as_it_is_on_file(name):
    on_file = (FOLDER / f"{name}.txt").read_bytes()
    assert playthrough(SCENARIOS[name]).encode() == on_file, (
        "if the change is meant, run: python -m tests.playthroughs.regenerate"
    )


def test_every_file_has_its_scenario():
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCENARIOS)
