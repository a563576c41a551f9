"""SSP-Bench: entries that are read, results that are verified, a leaderboard that ranks fairly."""

import hashlib
import json
from dataclasses import asdict
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from baselines.runs import jobs
from baselines.runs.jobs import Job, JobFailed, run_jobs
from baselines.suite.entries import OURS, Entry, read_entry
from baselines.suite.leaderboard import _curve, draw, markdown, rows
from baselines.suite.lessons import Lesson
from baselines.suite.results import (
    BadResult,
    checksum,
    differences,
    file_of,
    read_result,
    read_results,
    result,
    write_result,
)
from baselines.suite.runs import config_of, learn, play, run_folder
from baselines.suite.tasks import (
    BUDGET,
    LEARN,
    PLAY,
    QUICK_BUDGET,
    QUICK_WARM_START,
    SEEDS,
    SUITE_VERSION,
    PlayTask,
    warm_start_folder,
)
from ssp_env.cli.rules import read_toml
from tests.baselines.suite.jobs import fails, writes
from tests.markdown import ROOT

OWN = """
from agents.scripted import ScriptedPlayer

class Mine(ScriptedPlayer):
    pass

mine = Mine()
"""


def entry_folder(folder, text='player = "mine_of_bench:mine"\n', code=OWN):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "entry.toml").write_text(text)
    (folder / "mine_of_bench.py").write_text(code)
    return folder


def learnt(name="a", task="two-hops", seed=0, score=0.5, **changes):
    entry = Entry(name, "an entry", solver={"algorithm": "grpo"})
    data = result(
        entry, "learn", task, seed, 1000, score, {"curve": [[10, 0.1], [900, score]], "weights": "x"}
    )
    data |= changes
    return {**data, "checksum": checksum(data)}


def grid(name, scores):
    return [
        learnt(name, task, seed, score)
        for seed, row in enumerate(scores)
        for task, score in zip(LEARN, row, strict=True)
    ]


# -- entries -------------------------------------------------------------------------------------------


def test_an_entry_is_its_file_and_the_code_beside_it(tmp_path):
    folder = entry_folder(tmp_path / "mine", '[solver]\nalgorithm = "grpo"\nestimator = "rloo"\n')
    entry = read_entry(folder)
    assert entry.name == "mine" and entry.solver == {"algorithm": "grpo", "estimator": "rloo"}
    before = entry.digest()
    (folder / "mine_of_bench.py").write_text("changed = 1\n")
    assert read_entry(folder).digest() != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither learns nor plays"),
        ('palyer = "weak"', "did you mean 'player'"),
        ('player = "weak"\nrequires = "numpy"', "requires must be a list of requirements of pip"),
        ('name = "a/b"\nplayer = "weak"', "one line without slashes and bars"),
        ('[solver]\nalgorithm = "gpro"', "did you mean 'grpo'"),
        ("player = ", "entry.toml"),
        ('solver = "grpo"', "solver must be a table with an algorithm and its options, got 'grpo'"),
        ("player = 3", "player must be a text, got 3"),
        ("trainer = 3", "trainer must be a text, got 3"),
        ('player = "weak"\ntasks = "two-hops"', "tasks must be a list of names of tasks, got 'two-hops'"),
        ('player = "weak"\ntasks = ["two-hop"]', "tasks are among two-hops, .*got 'two-hop'"),
        ('trainer = "mine:train"\n[solver]\nalgorithm = "grpo"', r"by \[solver\] or by trainer, not both"),
    ],
)
def test_a_bad_entry_is_refused_with_its_file_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_entry(entry_folder(tmp_path, text))
    assert "entry.toml" in str(caught.value)


def test_a_changed_entry_does_not_take_up_the_runs_of_its_earlier_state(tmp_path):
    folder = entry_folder(tmp_path / "mine")
    where = tmp_path, read_entry(folder), "two-hops", 0, 1000
    before = run_folder(*where)
    assert run_folder(*where) == before
    (folder / "mine_of_bench.py").write_text("changed = 1\n")
    assert run_folder(tmp_path, read_entry(folder), "two-hops", 0, 1000) != before


def test_results_of_a_reference_entry_are_found_by_the_name_of_their_folder(tmp_path):
    pytest.importorskip("typer")
    from baselines.suite.command import entry_of

    assert entry_of(tmp_path / "grpo") is OURS["grpo"]
    assert entry_of(entry_folder(tmp_path / "rloo")).player == "mine_of_bench:mine"
    with pytest.raises(FileNotFoundError, match=r"there is no entry\.toml in"):
        entry_of(tmp_path / "mine")


def test_a_folder_without_an_entry_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no entry\.toml in"):
        read_entry(tmp_path)


@pytest.mark.parametrize(
    ("name", "task"),
    [(entry.name, task) for entry in OURS.values() for task in LEARN if entry.takes_part("learn", task)],
)
def test_our_entries_have_a_run_for_each_of_their_tasks(name, task):
    config = config_of(OURS[name], LEARN[task], 3, 1000)
    assert (config.seed, config.tokens) == (3, 1000)
    learns = LEARN[task].both and name != "grpo-frozen-proposer", name != "frozen-solver"
    assert (config.proposer.learns, config.solver.learns) == learns
    assert config.source.drop == (0.2 if task == "lossy-search" else 0.0)


def test_an_entry_takes_part_in_the_tasks_that_it_names(tmp_path):
    text = 'player = "weak"\ntasks = ["self-play", "both-roles"]\n[solver]\nalgorithm = "grpo"\n'
    entry = read_entry(entry_folder(tmp_path, text.replace("self-play", "three-hops")))
    assert [task for task in LEARN if entry.takes_part("learn", task)] == ["three-hops"]
    assert entry.takes_part("play", "both-roles")
    for half in (OURS["grpo-frozen-proposer"], OURS["frozen-solver"]):
        assert [task for task in LEARN if half.takes_part("learn", task)] == ["self-play"]


def test_the_floor_answers_at_random_whatever_the_lesson(tmp_path):
    scores = [learn(OURS["scripted-guess"], task, 0, 100, tmp_path)["score"] for task in ("two-hops",)]
    assert 0 < scores[0] < 0.3


FIXED = {"0.1": "b377ba58df437f67"}
"""Version of the suite -> hash of its tasks: whoever changes them gives the suite a new version."""


def test_what_the_tasks_are_changes_only_with_the_version_of_the_suite():
    tiny = read_toml(ROOT / "baselines/presets/tiny.toml", "the preset")
    tasks = {name: asdict(task) for name, task in {**LEARN, **PLAY}.items()}
    said = json.dumps([tiny, tasks, SEEDS, BUDGET, QUICK_BUDGET, QUICK_WARM_START], sort_keys=True)
    assert hashlib.sha256(said.encode()).hexdigest()[:16] == FIXED[SUITE_VERSION]


def test_a_quick_run_has_a_shorter_warm_start_in_a_folder_of_its_own(tmp_path):
    quick, whole = (LEARN["self-play"].config(0, budget).warm_start for budget in (QUICK_BUDGET, BUDGET))
    assert quick.lookup_steps < whole.lookup_steps and quick.cloning_steps < whole.cloning_steps
    assert warm_start_folder(0, QUICK_BUDGET, tmp_path) != warm_start_folder(0, BUDGET, tmp_path)


# -- results -------------------------------------------------------------------------------------------


def test_a_result_that_was_changed_by_hand_or_is_of_another_version_is_refused(tmp_path):
    path = tmp_path / "results" / "one.json"
    write_result(path, learnt())
    assert read_result(path)["score"] == 0.5
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "score": 0.9}))
    with pytest.raises(BadResult, match="was changed after it was written"):
        read_result(path)
    write_result(path, learnt(suite="0.0"))
    with pytest.raises(BadResult, match=f"of suite 0.0 and worlds 1, expected {SUITE_VERSION}"):
        read_result(path)
    path.write_text("{")
    with pytest.raises(BadResult, match="cannot be read as JSON"):
        read_result(path)
    path.write_text("{}")
    with pytest.raises(BadResult, match="it lacks suite, worlds"):
        read_result(path)
    with pytest.raises(BadResult, match="there are no results yet"):
        read_results([tmp_path / "elsewhere"])


def test_a_result_says_where_it_was_computed():
    where = learnt()["where"]
    assert where["cores"] >= 1 and where["torch"] and where["package"]


def test_differences_are_named_to_the_last_digit():
    first = learnt()
    assert differences(first, learnt()) == []
    found = differences(first, learnt(score=0.5000001))
    assert [line.partition(":")[0] for line in found] == ["score", "outcome.curve"]


# -- the leaderboard -----------------------------------------------------------------------------------


def test_entries_are_ranked_by_the_interquartile_mean_over_tasks_and_seeds():
    scores = np.linspace(0.2, 0.9, 8).reshape(2, 4)
    ranked = rows([*grid("low", scores - 0.1), *grid("high", scores)], "learn", 1000)
    assert [row.name for row in ranked] == ["high", "low"]
    assert ranked[0].mean == pytest.approx(np.sort(scores.ravel())[2:-2].mean())
    assert ranked[0].seeds == (0, 1)
    assert ranked[0].gap == pytest.approx(1 - scores.mean())
    low, high = ranked[0].interval
    assert low <= ranked[0].mean <= high


def test_an_entry_that_lacks_a_task_is_not_ranked_but_named():
    results = [*grid("whole", [[0.5] * 4]), *grid("part", [[0.9] * 4])[:3]]
    ranked = rows(results, "learn", 1000)
    assert [row.name for row in ranked] == ["whole"]
    page = markdown(results)
    assert "| whole | 0.500 |" in page and "| part | 0.900 | 0.900 | 0.900 | – | 0 | an entry |" in page


def test_the_warm_start_stands_below_the_entries_that_began_from_it():
    results = grid("one", [[0.5] * 4, [0.6] * 4])
    assert "*the warm start*" not in markdown(results)
    for one in results:
        one["outcome"]["before"] = {"1": 0.4, "2": 0.1 * one["seed"]}
    row = "| *the warm start* | 0.225 | 0.225 | 0.225 | 0.225 | 0, 1 | What learners begin from |"
    assert row in markdown(results).splitlines()


def test_the_leaderboard_is_what_the_committed_results_say():
    results = read_results([ROOT / "results/bench", ROOT / "examples/bench_sb3_ppo"])
    assert (ROOT / "LEADERBOARD.md").read_text(encoding="utf-8") == markdown(results)
    kept = {one["entry"]["name"]: one["entry"]["digest"] for one in results}
    assert {name: entry.digest() for name, entry in OURS.items()}.items() <= kept.items()


def test_two_results_of_one_run_and_two_states_of_an_entry_are_refused():
    with pytest.raises(BadResult, match="there are two results of a on two-hops with seed 0"):
        rows([learnt(), learnt()], "learn", 1000)
    other = learnt(seed=1)
    other["entry"] = {**other["entry"], "digest": "other"}
    with pytest.raises(BadResult, match="the results of a are of 2 states of its code"):
        rows([learnt(), other], "learn", 1000)


def test_curves_and_profiles_are_drawn(tmp_path):
    draw(grid("one", [[0.5] * 4, [0.6] * 4]), tmp_path / "bench", 1000)
    assert (tmp_path / "bench.png").stat().st_size > 10_000 and (tmp_path / "bench.svg").exists()


def test_a_curve_begins_at_the_warm_start_and_ends_at_the_score():
    one = learnt(score=0.8)
    one["outcome"] |= {"before": {"1": 0.2, "2": 0.4}, "tokens": 1010.0, "curve": [[500, 0.5], [1010, 0.9]]}
    assert _curve(one) == ([0.0, 500, 1010], [pytest.approx(0.3), 0.5, 0.8])


def test_a_picture_of_nothing_is_refused_and_bars_do_not_break_the_table(tmp_path):
    with pytest.raises(BadResult, match=r"with 40,000 tokens, so that .* there are results with 1,000"):
        draw(grid("one", [[0.5] * 4]), tmp_path / "bench", 40_000)
    results = grid("one", [[0.5] * 4])
    for one in results:
        one["entry"]["about"] = "a | b\nc"
    assert "| a \\| b c |" in markdown(results)


# -- running -------------------------------------------------------------------------------------------


@pytest.fixture
def few_questions(monkeypatch):
    few = PlayTask("Few questions.", proposers=("weak",), solvers=("weak",), hops=(1,), questions=10)
    monkeypatch.setitem(PLAY, "both-roles", few)


TRAINER = """
from benchmarks.by_the_numbers import SolverByTheNumbers
from baselines.suite.lessons import BudgetSpent
from ssp_env.envs import NumericPlayer

def train(lesson):
    env = lesson.environment(passes=3)
    choose, over = SolverByTheNumbers(env.unwrapped.rules), True
    try:
        while True:
            observation, info = env.reset() if over else (observation, info)
            observation, _, over, _, info = env.step(choose(observation, info["action_mask"]))
    except BudgetSpent:
        return NumericPlayer(choose)
"""


def test_a_trainer_of_its_own_has_the_budget_and_is_measured_as_the_others_are(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = entry_folder(tmp_path / "own", 'trainer = "trainer_of_bench:train"\n')
    (folder / "trainer_of_bench.py").write_text(TRAINER)
    entry = read_entry(folder)
    before = entry.digest()
    found = learn(entry, "two-hops", 0, 100, tmp_path)
    assert found["score"] == 1.0 and found["outcome"]["after"] == {"1": 1.0, "2": 1.0}
    assert 100 <= found["outcome"]["tokens"] <= 100 + 3 * 4
    assert differences(found, learn(entry, "two-hops", 0, 100, tmp_path)) == []
    assert [task for task in LEARN if entry.takes_part("learn", task)] == list(LEARN)[:3]
    assert not entry.takes_part("play", "both-roles")
    with pytest.raises(ValueError, match="does not learn self-play"):
        learn(entry, "self-play", 0, 100, tmp_path)
    (folder / "entry.toml").write_text('trainer = "trainer_of_bench:other"\n')
    assert read_entry(folder).digest() != before


def test_a_lesson_counts_what_its_environments_say_and_how_often_it_is_trained_on():
    lesson = Lesson((1,), seed=0, budget=40)
    envs = [lesson.environment(passes=passes) for passes in (1, 4)]
    for env in envs:
        env.reset(seed=0)
    envs[0].step(0)
    assert lesson.tokens == 3 * 2
    envs[1].step(0)
    assert lesson.tokens == 3 * 2 + 3 * 5
    envs[0].step(23)  # an entity that has not appeared: an empty turn
    assert lesson.tokens == 3 * 2 + 3 * 5 + 2
    with pytest.raises(ValueError, match="passes must be at least 1, got 0"):
        lesson.environment(passes=0)


@pytest.mark.usefixtures("few_questions")
def test_an_entry_plays_both_roles_and_again_to_the_last_digit(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = read_entry(entry_folder(tmp_path / "mine"))
    first = play(entry, "both-roles", 0)
    assert 0 < first["outcome"]["solver"] < 1 and first["outcome"]["failed"] == 0
    assert first["score"] == pytest.approx((first["outcome"]["solver"] + first["outcome"]["proposer"]) / 2)
    assert differences(first, play(entry, "both-roles", 0)) == []


@pytest.mark.usefixtures("few_questions")
def test_the_command_verifies_results_of_others_and_notices_what_differs(tmp_path, capsys):
    typer = pytest.importorskip("typer")
    from baselines.suite.command import app

    folder = entry_folder(tmp_path / "mine", 'player = "perfect"\n')
    path = file_of(folder, "play", "both-roles", 0, 0)
    right = play(read_entry(folder), "both-roles", 0)
    write_result(path, right)
    command = typer.main.get_command(app)
    command.main(["verify", str(folder)], standalone_mode=False)
    assert "equal to the last digit" in capsys.readouterr().out
    wrong = {**right, "score": 0.99}
    write_result(path, {**wrong, "checksum": checksum(wrong)})
    assert command.main(["verify", str(folder)], standalone_mode=False) == 1
    assert "score: 0.99 became" in capsys.readouterr().out
    command.main(["report", str(folder), "--leaderboard", str(tmp_path / "new/L.md")], standalone_mode=False)
    assert "| mine | 0.990 |" in (tmp_path / "new/L.md").read_text()


@pytest.mark.usefixtures("few_questions")
def test_games_in_which_a_player_raises_are_lost(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    code = """
from agents.scripted import ScriptedPlayer

class Picky(ScriptedPlayer):
    def act(self, view):
        if int(view.game_id[-1]) % 2:
            raise RuntimeError("too hard")
        return super().act(view)

picky = Picky(solver="perfect", proposer="weak")
"""
    folder = entry_folder(tmp_path / "picky", 'player = "picky_of_bench:picky"\n')
    (folder / "picky_of_bench.py").write_text(code)
    outcome = play(read_entry(folder), "both-roles", 0)["outcome"]
    assert outcome["solver"] == 0.5 and outcome["proposer"] <= 0.5 and outcome["failed"] == 10


@pytest.mark.usefixtures("few_questions")
def test_verify_leaves_nothing_behind_that_the_next_one_would_read(tmp_path, monkeypatch):
    typer = pytest.importorskip("typer")
    from baselines.suite import command

    folder = entry_folder(tmp_path / "mine", 'player = "perfect"\n')
    right = play(read_entry(folder), "both-roles", 0)
    write_result(file_of(folder, "play", "both-roles", 0, 0), right)
    used = []

    def outcome(entry, track, task, seed, budget, out):
        used.append(out)
        assert out.parent == tmp_path / "verified" and not any(out.iterdir())
        (out / "run").mkdir()
        return right

    monkeypatch.setattr(command, "outcome", outcome)
    app = typer.main.get_command(command.app)
    for _ in range(2):
        app.main(["verify", str(folder), "--out", str(tmp_path / "verified")], standalone_mode=False)
    assert len(used) == 2 and not any((tmp_path / "verified").iterdir())


def test_a_job_that_fails_does_not_keep_the_others_from_running(tmp_path):
    both = [
        Job("bad", fails, ("bad",), tmp_path / "bad.log"),
        Job("good", writes, (tmp_path / "good",), tmp_path / "good.log"),
    ]
    with pytest.raises(JobFailed, match="bad ended with an error"):
        run_jobs(both, 1, Console(quiet=True), keep_going=True)
    assert (tmp_path / "good").read_text() == "done"


def test_without_a_terminal_nothing_is_said_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "PLAIN_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.001)
    console = Console(file=StringIO(), width=100)
    run_jobs([Job("good", writes, (tmp_path / "good",), tmp_path / "good.log")], 1, console)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "0/1 done | good"
    assert len(lines) == len(set(lines)) <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nobody"], "there is no folder 'nobody', and our entries are grpo"),
        (["run", "grpo", "--task", "four-hops"], "a task is one of two-hops"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_first_run(arguments, message, tmp_path):
    typer = pytest.importorskip("typer")
    from baselines.suite.command import app

    with pytest.raises(ValueError, match=message):
        typer.main.get_command(app).main([*arguments, "--out", str(tmp_path)], standalone_mode=False)
