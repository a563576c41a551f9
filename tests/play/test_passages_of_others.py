"""What engines of others return: numbers are converted, the rest fails the one search that found it."""

import asyncio
import json

import numpy as np
import pytest

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.passage import Passage, checked_passage
from ssp_env.play import play, play_async
from ssp_env.records import EpisodeWriter, read_episodes
from ssp_env.search.tool import SearchTool, ToolError

GOOD = Passage("7", "t", "x", 0.5)
CONVERTED = [
    Passage(7, "t", "x", 0.5),
    Passage(np.int64(7), "t", "x", np.float64(0.5)),
    Passage("7", "t", "x", np.float32(0.5)),
    Passage(np.str_("7"), np.str_("t"), "x", np.array(0.5)),
]
REFUSED = [
    (Passage("7", None, "x"), "expected text as the title of passage '7', got NoneType None"),
    (Passage("7", "t", b"x"), "expected text as the text of passage '7', got bytes"),
    (Passage(None, "t", "x"), "expected text or a whole number as the id of a passage, got NoneType None"),
    (Passage(True, "t", "x"), "expected text or a whole number as the id"),
    (Passage("7", "t", "x", None), "expected a number as the score of passage '7', got NoneType"),
    (Passage("7", "t", "x", "0.5"), "expected a number as the score of passage '7', got str"),
    (Passage("7", "t", "x", float("nan")), "expected a finite number as the score of passage '7', got nan"),
    (
        Passage("7", "t", "x", np.float32("inf")),
        "expected a finite number as the score of passage '7', got inf",
    ),
    ("a text", "expected passages, got str"),
]


class Engine:
    """Finds one passage for `bad` and a good one for everything else."""

    def __init__(self, passage):
        self.passage = passage

    def search(self, queries, top_k):
        return [[self.passage if query == "bad" else GOOD] for query in queries]

    def fingerprint(self):
        return "x"

    def sample(self, rng, count, exclude):
        return [self.passage] * count


def solver(view):
    query = "bad" if view.game_id == "bad" else "good"
    return f"<search> {query} </search>" if view.searches_left == 10 else "<answer> Paris </answer>"


def games():
    return [Game(Task("Paris", question="Which city?"), game_id=name) for name in ("bad", "b", "c")]


def drive(blocking, played, engine):
    options = {"proposer": solver, "solver": solver, "search": engine}
    return play(played, **options) if blocking else asyncio.run(play_async(played, **options))


@pytest.mark.parametrize("passage", CONVERTED)
def test_numbers_are_converted(passage):
    checked = checked_passage(passage)
    assert (checked, type(checked.score)) == (GOOD, float)
    assert json.loads(json.dumps([checked.id, checked.title, checked.score])) == ["7", "t", 0.5]
    assert checked_passage(GOOD) is GOOD


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("passage", CONVERTED)
def test_a_game_over_converted_passages_is_written(passage, blocking, tmp_path):
    played = games()
    assert {outcome.reason for outcome in drive(blocking, played, Engine(passage))} == {"solved"}
    with EpisodeWriter(tmp_path / "games.jsonl") as writer:
        for game in played:
            writer.write(game)
    assert len(list(read_episodes(tmp_path / "games.jsonl"))) == 3


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize(("passage", "problem"), REFUSED)
def test_one_bad_passage_ends_its_own_game_alone(passage, problem, blocking, tmp_path):
    played = games()
    outcomes = drive(blocking, played, Engine(passage))
    assert [outcome.verdict for outcome in outcomes] == ["error", "valid", "valid"]
    assert outcomes[0].failure.startswith("search for solver_0: ") and problem in outcomes[0].failure
    with EpisodeWriter(tmp_path / "games.jsonl") as writer:
        for game in played:
            writer.write(game)
    assert len(list(read_episodes(tmp_path / "games.jsonl"))) == 3


@pytest.mark.parametrize(("passage", "problem"), REFUSED[:-1])
def test_a_game_driven_by_hand_refuses_them_and_goes_on(passage, problem):
    game = games()[0]
    game.submit("solver_0/turn/0", "<search> bad </search>")
    with pytest.raises((TypeError, ValueError), match=problem):
        game.submit("solver_0/search/0", [passage])
    game.submit("solver_0/search/0", [Passage(7, "t", "x")])
    assert game.requests()[0].id == "solver_0/turn/1"


def test_a_bad_passage_among_the_noise_ends_its_game():
    question = "Which city is the capital of France and lies on the river Seine?"
    lines = iter(
        ["<search> good </search>", "<search> better </search>", f"<question> {question} </question>"]
    )
    game = Game(Task("Paris"), GameConfig(noise_passages=1))
    (outcome,) = play([game], proposer=lambda view: next(lines), solver=solver, search=Engine(REFUSED[0][0]))
    assert outcome.failure.startswith("noise: TypeError: expected text as the title")


@pytest.mark.parametrize(("passage", "problem"), REFUSED[:-1])
def test_a_search_tool_fails_for_the_bad_one_alone(passage, problem):
    tool = SearchTool(Engine(passage))

    async def search_all():
        return await asyncio.gather(*map(tool.asearch, ["good", "bad"]), return_exceptions=True)

    good, bad = asyncio.run(search_all())
    assert good == [GOOD]
    assert isinstance(bad, ToolError) and problem in bad.detail
    with pytest.raises(ToolError, match="engine"):
        tool.search("bad")
