"""The probe tasks have one right answer that searches find, can be learnt, and are reported as they went."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import BadParameter

from agents import build_tokenizer
from baselines.comparison.recipes import ALGORITHMS
from baselines.samples import ConversationRecorder, text_sample
from benchmarks import probe_tasks
from ssp_env.game import View
from ssp_env.game.events import TurnTaken


class Perfect:
    """Searches what the question or the last passage names, and answers with the last colour it has read."""

    def act(self, view: View) -> str:
        words = " ".join(message.content for message in view.messages).split()
        colours = [word for word in words if word in probe_tasks.COLOURS]
        if colours:
            return f"<answer> {colours[-1]} </answer>"
        return f"<search> {[word for word in words if word in probe_tasks.NAMES][-1]} </search>"


def searches_of(task: str) -> list[int]:
    games = probe_tasks.play_games(Perfect(), task, np.random.default_rng(0), 16)
    assert all(game.outcome and game.outcome.rewards["solver_0"] == 1.0 for game in games)
    return [sum(isinstance(event, TurnTaken) for event in game.events) - 1 for game in games]


@pytest.mark.parametrize(
    ("task", "searches"), [("answer in prompt", 0), ("one search", 1), ("two searches", 2)]
)
def test_following_the_words_solves_a_task_in_as_many_searches_as_its_name_says(task: str, searches: int):
    assert searches_of(task) == [searches] * 16


def test_the_constant_is_one_colour_and_the_other_answers_are_drawn_anew():
    rng = np.random.default_rng(0)
    assert {probe_tasks.constant_answer(rng)[1] for _ in range(20)} == {probe_tasks.COLOURS[0]}
    for task in (probe_tasks.answer_in_prompt, probe_tasks.one_search, probe_tasks.two_searches):
        assert len({task(rng)[1] for _ in range(200)}) == len(probe_tasks.COLOURS)
    assert len({tuple(probe_tasks.two_searches(rng)[2].values()) for _ in range(20)}) == 20


@pytest.mark.parametrize("task", probe_tasks.TASKS)
def test_a_random_player_is_well_formed_and_seldom_right(task: str):
    rng = np.random.default_rng(0)
    recorder = ConversationRecorder(probe_tasks.RandomPlayer(rng))
    games = probe_tasks.play_games(recorder, task, rng, 64)
    outcomes = [game.outcome for game in games if game.outcome]
    assert len(outcomes) == 64
    assert sum(outcome.metrics["malformed_turns"] for outcome in outcomes) == 0
    assert sum(outcome.rewards["solver_0"] for outcome in outcomes) / 64 < 0.65
    tokenizer = build_tokenizer(vocabulary=probe_tasks.VOCABULARY)
    for messages in recorder.conversations.values():
        for segment in text_sample(messages, tokenizer).segments:
            assert tokenizer.unk_token_id not in segment.token_ids


@pytest.fixture(scope="module")
def cloned():
    return probe_tasks.warm_start(0, steps=40)


@pytest.fixture
def short(monkeypatch):
    """Runs of one update, measured in few games."""
    monkeypatch.setattr(probe_tasks, "LIMIT", 1)
    monkeypatch.setattr(probe_tasks, "EVALUATED", 16)
    monkeypatch.setattr(probe_tasks, "DECIDING", 32)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_learns_the_constant_answer(cloned, short, algorithm: str):
    policy = probe_tasks.new_policy(0, cloned)
    figures = probe_tasks.run_one(policy, "constant answer", algorithm, seed=0, limit=8)
    assert figures["curve"][0] < 0.4
    assert figures["success"] > 0.6


def report(folder: Path, **options: Any) -> dict[str, Any]:
    chosen = {"tasks": ["answer in prompt"], "algorithms": ["grpo"], "seeds": [0, 1], "run": False, **options}
    probe_tasks.main(**chosen, processes=1, out=folder, results=folder / "results.json")
    return json.loads((folder / "results.json").read_text())


def test_a_seed_goes_on_where_it_was_stopped_and_its_runs_are_reported(cloned, short, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_tasks, "warm_start", lambda seed: cloned)
    probe_tasks.run_seed(tmp_path, 0, ["answer in prompt"], ["grpo"])
    file = probe_tasks.run_file(tmp_path, "answer in prompt", "grpo", 0)
    first = file.read_text()
    probe_tasks.run_seed(tmp_path, 0, ["answer in prompt"], ["grpo", "ppo"])
    assert file.read_text() == first
    written = report(tmp_path, algorithms=["grpo", "ppo"])
    assert [(run["algorithm"], run["seed"]) for run in written["runs"]] == [("grpo", 0), ("ppo", 0)]
    assert written["limit"] == 1


def test_the_report_counts_seeds_and_gives_the_lowest(tmp_path, capsys):
    ends: list[tuple[int | None, float, list[float]]] = [
        (10, 0.97, [0.3]),
        (20, 0.955, [0.5]),
        (None, 0.941, [0.1]),
    ]
    for seed, (updates, success, curve) in enumerate(ends):
        run = {"task": "answer in prompt", "algorithm": "grpo", "seed": seed, "updates": updates}
        content = {**run, "success": success, "curve": curve, "cpu_seconds": 7.0}
        file = probe_tasks.run_file(tmp_path, "answer in prompt", "grpo", seed)
        file.write_text(json.dumps({"settings": probe_tasks.settings(), **content}))
    # With every run finished the command has nothing left to run.
    written = report(tmp_path, seeds=[0, 1, 2], run=True)
    assert [run["updates"] for run in written["runs"]] == [10, 20, None]
    shown = capsys.readouterr().out
    for cell in ("0.30", "2 of 3", "0.941", "15 (10-20)", "7"):
        assert f" {cell} " in shown


def test_what_cannot_be_reported_is_refused(tmp_path):
    with pytest.raises(BadParameter, match=r"expected one of constant answer, .*got 'three searches'"):
        report(tmp_path, tasks=["three searches"])
    with pytest.raises(BadParameter, match=r"expected one of grpo, .*got 'sac'"):
        report(tmp_path, algorithms=["sac"])
    with pytest.raises(BadParameter, match=r"no run in .* is finished"):
        report(tmp_path)
    file = probe_tasks.run_file(tmp_path, "answer in prompt", "grpo", 0)
    file.write_text(json.dumps({"settings": {**probe_tasks.settings(), "limit": 7}}))
    with pytest.raises(BadParameter, match="other settings: remove it"):
        report(tmp_path)
