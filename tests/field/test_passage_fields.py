"""Passages of an engine of one's own, with what JSON and NumPy give in place of text and numbers."""

import numpy as np
import pytest

from ssp_env.game import Game, Task
from ssp_env.game.passage import Passage
from ssp_env.play import play
from ssp_env.records import EpisodeWriter


class Engine:
    def __init__(self, odd):
        self.odd = odd

    def search(self, queries, top_k):
        return [[self.odd if "odd" in query else Passage("1", "t", "x")] for query in queries]

    def fingerprint(self):
        return "x"


def solver(view):
    asked = "odd" if "odd" in str(view.messages) else "even"
    return f"<search> {asked} </search>" if view.searches_left == 10 else "<answer> Paris </answer>"


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (Passage(7, "t", "x"), "solved"),
        (Passage("7", "t", "x", np.float32(0.5)), "solved"),
        (Passage("7", None, "x"), "error"),
        (Passage("7", "t", "x", float("nan")), "error"),
    ],
)
def test_one_passage_neither_ends_other_games_nor_makes_its_own_unwritable(tmp_path, odd, reason):
    games = [Game(Task("Paris", question=f"Which {kind} city?"), game_id=kind) for kind in ("odd", "even")]
    play(games, proposer=solver, solver=solver, search=Engine(odd))
    with EpisodeWriter(tmp_path / "games.jsonl") as writer:
        for game in games:
            writer.write(game)
    assert [game.outcome.reason for game in games] == [reason, "solved"]
    assert len((tmp_path / "games.jsonl").read_text("utf-8").splitlines()) == 2
