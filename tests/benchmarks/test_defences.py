"""The table of defences: which true and false questions each keeps, and at what price."""

import json
import math

import numpy as np
import typer
from typer.testing import CliRunner

from agents.scripted import ScriptedPlayer
from baselines.config import preset
from baselines.rollouts import defences as plugins
from baselines.runs.directory import RunDirectory
from benchmarks import defences
from benchmarks.defences import Again, Judgement, checked_again, figures
from ssp_env.game import Game, Task
from ssp_env.play import play
from tests.game.doubles import PROPOSAL, Script, Shelf, answer, rules

FACTS = [
    {"true": True, "hops": 1},
    {"true": True, "hops": 3},
    {"true": False, "hops": 3},
    {"true": False, "hops": None},
]


def test_figures_count_what_is_kept():
    found = {
        "knowing": Judgement([1.0, 1.0, 0.0, 0.0], 8),
        "unsure": Judgement([1.0, 0.5, 0.5, 0.0], 0),
        "refusing": Judgement([0.0] * 4, 4),
    }
    table = figures(FACTS, found)
    assert table["plain RAG check"]["label_truth"] == 0.5
    assert table["knowing"] == {
        "true_kept": 1.0, "false_kept": 0.0, "three_hop_kept": 1.0, "label_truth": 1.0, "tokens": 2.0
    }  # fmt: skip
    assert table["unsure"]["true_kept"] == 0.75 and table["unsure"]["label_truth"] == 0.75
    assert table["unsure"]["three_hop_kept"] == 0.5
    assert math.isnan(table["refusing"]["label_truth"]) and table["refusing"]["tokens"] == 1.0


class OneReading:
    """A played step as far as checking again needs it."""

    engines = Shelf()


def test_the_same_proposals_are_checked_under_other_rules():
    games = []
    for number in range(2):
        task = Task("Tavor", hops=2 + 2 * number, id=str(number))
        game = Game(task, rules(), np.random.default_rng(number))
        play([game], proposer=Script(*PROPOSAL), solver=Script(answer()), search=Shelf(), seed=0)
        games.append(game)
    assert [game.outcome.verdict for game in games] == ["valid", "valid"]
    # Three searches are enough for two hops, and not for four.
    judgement = checked_again(OneReading(), games, {"hop_check": "at_least"}, Script(answer()))
    assert judgement.weights == [1.0, 0.0]
    assert checked_again(OneReading(), games, {}, Script(answer())).weights == [1.0, 1.0]
    assert checked_again(OneReading(), games, {}, Script(answer("Nobody"))).weights == [0.0, 0.0]


def test_the_solver_of_a_repetition_gives_up():
    game = Game(Task("Tavor", hops=2, id="t"), rules(attempts=1), np.random.default_rng(0))
    play([game], proposer=Script(*PROPOSAL), solver=Script(answer()), search=Shelf())
    new = Game(game.task, game.config, np.random.default_rng(0), game_id=game.id)
    again = Again([new], [game])
    play([new], proposer=again, solver=again, reader=Script(answer()), search=Shelf())
    assert new.question == game.question and new.outcome.success_rate == 0.0


class Opened:
    """Stands in for the model of a run: a scripted player plays every role."""

    def __init__(self, config, workspace):
        self.policy = self

    def restore(self, policy, folder):
        assert folder.name in ("final", "warm-start")

    def published(self, version):
        pass

    def agent(self, seed):
        return ScriptedPlayer(proposer="strong", solver="perfect", seed=seed)


def test_the_command_judges_a_run(tmp_path, monkeypatch):
    RunDirectory.create(tmp_path / "run", preset("tiny"))
    monkeypatch.setattr(defences, "open_model", Opened)
    app = typer.Typer()
    app.command()(defences.main)
    path = tmp_path / "results" / "defences.json"
    command = [str(tmp_path / "run"), "--answers", "32", "--results", str(path)]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    written = json.loads(path.read_text())
    assert written["true"] > 10 and written["runs"] == 1
    rows = written["defences"]
    assert set(rows) == {"plain RAG check", *plugins.DEFENCES, *defences.RULES}
    # A faultless reader confirms what is true, and knows nothing without passages.
    for name in ("votes", "frozen_reader", "closed_book", "rule: second_reading", "rule: quote_check any"):
        assert rows[name]["true_kept"] == 1.0, name
    first = path.read_bytes()
    assert CliRunner().invoke(app, command).exit_code == 0 and path.read_bytes() == first
