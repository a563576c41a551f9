"""The benchmark of judges and readers knows the truth, and finds out who knows it too."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from agents import player_names
from agents.judges import JudgeQuestions, LLMJudge
from agents.player_names import MadePlayer
from baselines.evaluation.agent_figures import Share
from benchmarks.judges import draw_pairs, draw_readings, judge_figures, main, reader_figures
from ssp_env.play import as_agent
from ssp_env.scoring import cover_exact_match, exact_match
from ssp_env.worlds import World, world_preset
from tests.agents.judging import Reader

KINDS = {"the answer", "an alias", "in a sentence", "another of its kind", "no answer"}


@pytest.fixture(scope="module")
def world():
    return World(world_preset("small", split="heldout"))


def drawn(world, questions=40, seed=0):
    rng = np.random.default_rng(seed)
    drawn = world.questions(1, questions, rng)
    return drawn, draw_pairs(world, drawn, rng)


def test_pairs_follow_from_the_seed(world):
    assert drawn(world) == drawn(world)
    assert drawn(world)[1] != drawn(world, seed=1)[1]


def test_the_truth_of_every_pair_is_what_the_world_says(world):
    questions, pairs = drawn(world)
    types = {entity.name: entity.type for entity in world.entities()}
    assert {pair.kind for pair in pairs} == KINDS
    assert len(pairs) == 80 and sum(pair.right for pair in pairs) == 40
    for number, pair in enumerate(pairs):
        known = questions[number // 2]
        assert pair.asked.question == known.question
        true = (world.resolve(known.question), *known.aliases)
        assert cover_exact_match(pair.asked.candidate, true) == pair.right
        if pair.kind == "an alias":
            assert not exact_match(pair.asked.candidate, pair.asked.golds)
        if pair.kind == "another of its kind":
            assert types[pair.asked.candidate] == types[known.answer]


def test_a_judge_that_knows_agrees_fully_and_a_coin_by_chance(world):
    _, pairs = drawn(world, questions=300)
    truth = {(pair.asked.question, pair.asked.candidate): pair.right for pair in pairs}
    knows = judge_figures(lambda asked: [truth[one.question, one.candidate] for one in asked], pairs)
    assert list(knows)[-1] == "all" and set(knows) == KINDS | {"all"}
    assert {each.observed for each in knows.values()} == {1.0}
    assert knows["all"].kappa == 1.0
    rng = np.random.default_rng(3)
    coin = judge_figures(lambda asked: [bool(rng.integers(2)) for _ in asked], pairs)["all"]
    assert coin.observed == pytest.approx(0.5, abs=0.06)
    assert coin.kappa == pytest.approx(0.0, abs=0.12)


def test_a_language_models_verdicts_are_counted_by_kind_and_its_silence_as_unknown(world):
    _, pairs = drawn(world)
    strict = judge_figures(LLMJudge(Reader(), JudgeQuestions("by exact match")).judge_batch, pairs)
    shares = {kind: each.observed for kind, each in strict.items() if kind != "all"}
    # Exact match takes an alias and a sentence for wrong.
    assert shares == {**dict.fromkeys(KINDS, 1.0), "an alias": 0.0, "in a sentence": 0.0}
    silent = judge_figures(LLMJudge(Reader("hm"), JudgeQuestions("silent")).judge_batch, pairs)["all"]
    assert (silent.decided, silent.observed, silent.pairs[None, True]) == (0, None, 40)


class Sage:
    """Judges by exact match, and reads the answer that the world gives if it stands in a page."""

    def __init__(self, world):
        self.judge = Reader()
        self.answers = {known.question: known.answer for known in drawn(world, 12)[0]}

    def act(self, view):
        text = view.messages[-1].content
        if "Answer given: " in text:
            return self.judge.act(view)
        (answer,) = (answer for question, answer in self.answers.items() if question in text)
        return f"<answer> {answer} </answer>" if answer in text else "hm"


@pytest.mark.parametrize("prompts", ["english", "few_shot"])
def test_readers_get_the_pages_that_answer_among_others(world, prompts):
    questions, _ = drawn(world, 12)
    readings = draw_readings(world, questions, prompts, 3, np.random.default_rng(0))
    assert readings == draw_readings(world, questions, prompts, 3, np.random.default_rng(0))
    pages = {page.title: page.text for page in world.passages()}
    for known, reading in zip(questions, readings, strict=True):
        shown = [text for text in pages.values() if text in reading.view.messages[-1].content]
        assert len(shown) == 4
        assert pages[known.entities[0]] in shown
    assert reader_figures(Sage(world), readings) == (Share(12, 12), Share(12, 12))
    silent, wrong = (as_agent(lambda view, said=said: said) for said in ("hm", "<answer> x </answer>"))
    assert reader_figures(silent, readings) == (Share(0, 12), Share(0, 12))
    assert reader_figures(wrong, readings) == (Share(12, 12), Share(0, 12))


def run(*arguments):
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_command_prints_both_tables(world, monkeypatch, asynchronous):
    class Later(Sage):
        async def act(self, view):
            return super().act(view)

    player = (Later if asynchronous else Sage)(world)
    made = MadePlayer(player, "english")
    monkeypatch.setattr(player_names, "player_by_name", lambda role, name, options: made)
    result = run("--by", "sage", "--known", "12")
    assert result.exit_code == 0, result.output
    rows = {}
    for line in result.output.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if cells and cells[0]:
            rows[cells[0]] = cells[1:]
    assert rows["the answer"][:4] == ["4", "4", "0", "4 of 4"]
    assert rows["all"][:3] == ["24", "24", "0"]
    assert rows["exact match"] == ["12 of 12"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--by", "perfect"], "expected a language model, got 'perfect'"),
        (["--by", "smollm2", "--world", "tiny"], "expected a world of prose, got 'tiny'"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, problem):
    assert problem in run(*arguments).output
