"""`ssp eval --games`: players side by side, with failures apart and interruptions survived."""

import json
import re
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from agents import player_names
from agents.player_names import MadePlayer
from agents.scripted import ScriptedPlayer
from baselines.commands import evaluate
from baselines.evaluation.agent_figures import AgentFigures, Share, agent_table, count_figures, table_data
from baselines.evaluation.agent_measurement import AgentTasks, Measurement
from ssp_env.game import Reply
from ssp_env.records import first_difference, read_episodes
from ssp_env.scenario import open_scenario
from ssp_env.scoring import wilson_interval
from tests.agents.byte_tokenizer import byte_tokenizer
from tests.agents.chat_server import USAGE, chat_server, completion
from tests.agents.fake_vllm import serving

PLAYED = {"games": 12, "known": 8, "hops": 2, "seed": 0}


def world_tasks(world, *, games, known, hops, seed, **rules):
    scenario = open_scenario(
        world, split="heldout", index=seed, hops=(hops,), rules={"max_turns": 6, **rules}
    )
    return AgentTasks.draw(scenario, games=games, known=known, seed=seed)


@pytest.fixture(scope="module")
def tasks():
    return world_tasks("tiny", **PLAYED)


class Author:
    """Stands in for a language model: plays as the scripted player it holds, with three tokens a turn."""

    def __init__(self, fails=lambda view: False, **strengths):
        self.player = ScriptedPlayer(**strengths)
        self.fails = fails

    def act(self, view):
        if self.fails(view):
            raise ConnectionError("the model is down")
        return Reply(self.player.act(view), (7, 8, 9))


@pytest.fixture
def casting(monkeypatch):
    """Makes players of any name."""
    authors = {}
    by_name = player_names.player_by_name
    monkeypatch.setattr(
        player_names,
        "player_by_name",
        lambda role, name, options: (
            MadePlayer(authors[name], "terse") if name in authors else by_name(role, name, options)
        ),
    )
    return authors


def run(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})


def message_of(*arguments):
    result = run(*arguments)
    assert result.exit_code != 0
    return str(result.exception)


def untimed(figures):
    """Figures without what depends on the clock, on how much was played this time, and on who played."""
    return replace(figures, tokens=0, seconds=0.0, model="", back_end="")


# -- figures -----------------------------------------------------------------------------------------------


def test_a_perfect_player_and_one_that_guesses(tasks):
    perfect, guess = (Measurement(tasks).run(name) for name in ("perfect", "guess"))
    assert perfect.valid_tags.share == 1
    assert perfect.valid_questions == perfect.solved == Share(12, 12)
    assert perfect.known_solved == Share(8, 8)
    assert perfect.solver_searches == 2.0
    assert (perfect.tokens, perfect.tokens_per_second, perfect.errors) == (0, None, 0)
    assert guess.valid_questions.count < 6 and guess.known_solved.count < 4
    assert sum(guess.reasons.values()) == 12


def test_an_agent_of_ones_own_is_compared_with_scripted_ones(tmp_path, monkeypatch):
    (tmp_path / "own_measured.py").write_text(
        "from agents.scripted import ScriptedPlayer\n\n"
        "def mine():\n"
        "    return ScriptedPlayer(proposer='strong', solver='perfect', reader='perfect')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    table = tmp_path / "table.json"
    result = run("own_measured:mine", "weak", "--games", 4, "--json", table)
    assert result.exit_code == 0, result.output
    rows = {row["player"]: row for row in json.loads(table.read_text())["agents"]}
    mine, weak = rows["own_measured:mine"], rows["weak"]
    assert mine["back_end"] == "Python" and mine["model"] == "own_measured:mine"
    # The terse questions of the tiny world, with a solver that is never wrong.
    assert mine["known_solved"]["count"] == 4 > weak["known_solved"]["count"]


def test_attempts_are_counted_each(tasks):
    figures = Measurement(world_tasks("tiny", **PLAYED, attempts=3)).run("perfect")
    assert (figures.solved, figures.known_solved) == (Share(36, 36), Share(24, 24))
    assert figures.solver_searches == 2.0


def test_malformed_turns_are_no_valid_tags(tasks, casting):
    class Stutterer(Author):
        def act(self, view):
            return super().act(view) if len(view.messages) > 1 else "hm"

    casting["stutterer"] = Stutterer(proposer="perfect", solver="perfect")
    figures = Measurement(tasks, reader="perfect").run("stutterer")
    # Terse games have no retries: every game ends with its first turn.
    assert (figures.valid_tags, figures.reasons) == (Share(0, 20), {"malformed": 12})
    assert figures.known_solved == Share(0, 8)


def test_a_players_tokens_are_counted_and_another_readers_are_not(tasks, casting):
    casting["author"] = Author(proposer="perfect", solver="perfect")
    casting["other"] = Author(reader="perfect")
    own = Measurement(tasks).run("author")
    foreign = Measurement(tasks, reader="other").run("author")
    assert foreign.tokens == 3 * foreign.valid_tags.total
    assert own.tokens == foreign.tokens + 3 * 12
    assert own.tokens_per_second > 0


def test_a_chat_endpoints_tokens_are_those_it_counts():
    tasks = world_tasks("small", games=2, known=2, hops=1, seed=0)
    with chat_server(lambda request: completion("<answer> x </answer>")) as (address, requests):
        player = f"chat:small@{address}"
        figures = Measurement(tasks).run(player)
        judged_by_another = Measurement(tasks, reader="chat:other@" + address).run(player)
    # An answer is no action of a proposer, who has one retry.
    assert figures.reasons == {"malformed": 2}
    assert figures.known_solved == Share(0, 2)
    assert figures.tokens == judged_by_another.tokens == 6 * USAGE["completion_tokens"]
    assert figures.tokens_per_second > 0
    assert len(requests) == 12


def test_an_endpoint_that_is_down_loses_no_game_and_wins_none():
    tasks = world_tasks("small", games=1, known=1, hops=1, seed=0)
    with chat_server(completion("x")) as (address, _):
        pass
    figures = Measurement(tasks).run(f"chat:small@{address}")
    assert (figures.errors, figures.valid_questions, figures.known_solved) == (2, Share(0, 0), Share(0, 0))
    assert all("ChatUnavailable" in failure for failure in figures.failures)


def test_failed_games_are_errors_and_neither_invalid_nor_wrong(tasks, casting):
    def fails(view):
        return view.phase == "solve" and int(view.game_id.rpartition("/")[2]) % 2 == 1

    casting["author"] = Author(fails, proposer="perfect", solver="perfect")
    figures = Measurement(tasks, reader="perfect").run("author")
    assert figures.errors == 10
    assert figures.valid_questions == figures.solved == Share(6, 6)
    assert figures.known_solved == Share(4, 4)
    assert figures.failures == {"solver: ConnectionError: the model is down": 10}
    assert figures.reasons == {"solved": 6, "error": 6}


@pytest.mark.parametrize("kind", ["act", "act_batch"])
def test_asynchronous_players_play_the_same_games(tasks, casting, kind):
    class Later:
        def __init__(self):
            self.player = Author(proposer="weak", solver="weak")

    async def act(self, view):
        return self.player.act(view)

    async def act_batch(self, views):
        return [self.player.act(view) for view in views]

    setattr(Later, kind, {"act": act, "act_batch": act_batch}[kind])
    casting |= {"author": Author(proposer="weak", solver="weak"), "later": Later()}
    measurement = Measurement(tasks, reader="perfect")
    author, later = measurement.run("author"), measurement.run("later")
    assert untimed(author) == untimed(later)
    assert author.tokens == later.tokens and later.tokens_per_second > 0


def test_shares_carry_wilson_intervals():
    low, high = wilson_interval(8, 10)
    assert Share(8, 10).to_dict() == {"count": 8, "total": 10, "share": 0.8, "ci95": [low, high]}
    assert str(Share(8, 10)) == "8 of 10\n[0.49, 0.94]"
    assert str(Share(0, 0)) == "none"


def test_without_games_nothing_is_made_up():
    figures = count_figures([], [])
    assert figures.proposer_searches is figures.solver_searches is figures.valid_questions.share is None


# -- tasks -------------------------------------------------------------------------------------------------


def test_a_world_is_held_out_and_its_questions_have_the_hops_asked_for(tasks):
    assert "tiny-heldout-0" in tasks.scenario.description
    assert {task.hops for task in tasks.known} == {task.hops for task in tasks.asked} == {2}
    assert len({task.question for task in tasks.known}) == 8
    assert world_tasks("tiny", **PLAYED).known == tasks.known
    assert world_tasks("tiny", **{**PLAYED, "seed": 1}).known != tasks.known


@pytest.fixture
def files(tmp_path):
    corpus, known = tmp_path / "corpus.jsonl", tmp_path / "known.jsonl"
    pages = [
        {"id": str(n), "title": f"Page {n}", "text": f"Page number {n} is here. " * 10} for n in range(3)
    ]
    corpus.write_text("".join(json.dumps(page) + "\n" for page in pages))
    rows = [
        {"id": f"q{n}", "question": f"Which page {n}?", "golden_answers": [f"Page {n}", str(n)]}
        for n in range(4)
    ]
    known.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return corpus, known


def test_questions_of_a_corpus_come_from_a_set(files):
    corpus, known = files
    scenario = open_scenario(corpus=corpus, questions=known)
    drawn = AgentTasks.draw(scenario, games=12, known=4, seed=0)
    answers = {task.question: task.golds for task in drawn.known}
    assert answers["Which page 2?"] == ("Page 2", "2")
    assert len(answers) == 4
    with pytest.raises(ValueError, match="5 questions were asked for, but there are 4"):
        AgentTasks.draw(scenario, games=12, known=5, seed=0)


# -- going on ----------------------------------------------------------------------------------------------


def test_an_interrupted_measurement_goes_on_to_the_same_figures(tasks, casting, tmp_path):
    calls = []

    def dies(view):
        calls.append(view)
        if view.phase == "solve" and len(calls) > 60:
            raise KeyboardInterrupt
        return False

    uninterrupted = Measurement(tasks, reader="perfect").run("weak")
    casting["author"] = Author(dies, proposer="weak", solver="weak")
    measurement = Measurement(tasks, reader="perfect", folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        measurement.run("author")
    path = tmp_path / "author.jsonl"
    kept = list(read_episodes(path))
    assert 0 < len(kept) < 20
    with path.open("a") as file:
        file.write('{"schema": 2, "torn')
    casting["author"] = Author(proposer="weak", solver="weak")
    advanced = []
    figures = measurement.run("author", lambda: advanced.append(1))
    assert len(advanced) == 20
    assert figures.tokens < 3 * figures.valid_tags.total
    assert untimed(figures) == untimed(uninterrupted)
    episodes = list(read_episodes(path))
    assert len(episodes) == 20 and not any(map(first_difference, episodes))
    players = {"proposer": "author", "solver": "author", "reader": "perfect"}
    assert episodes[0].extra == {"players": players, "temperature": 0.7, "max_new_tokens": 96}
    # Now nothing is left to play.
    casting["author"] = Author(lambda view: True)
    assert untimed(measurement.run("author")) == untimed(uninterrupted)


def test_games_that_failed_are_played_again(tasks, casting, tmp_path):
    casting["author"] = Author(lambda view: view.phase == "solve", proposer="perfect", solver="perfect")
    measurement = Measurement(tasks, reader="perfect", folder=tmp_path)
    assert measurement.run("author").errors == 20
    casting["author"] = Author(proposer="perfect", solver="perfect")
    figures = measurement.run("author")
    assert (figures.errors, figures.solved) == (0, Share(12, 12))
    assert len(list(read_episodes(tmp_path / "author.jsonl"))) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": world_tasks("tiny", **PLAYED, attempts=2)},
        {"reader": "guess"},
        {"seed": 1},
        {"temperature": 0.0},
        {"max_new_tokens": 50},
        {"tasks": world_tasks("tiny", **{**PLAYED, "seed": 3})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_games_of_other_options_are_not_mixed(tasks, tmp_path, change):
    measurement = Measurement(tasks, reader="perfect", folder=tmp_path)
    measurement.run("perfect")
    before = (tmp_path / "perfect.jsonl").read_bytes()
    with pytest.raises(ValueError, match="repeat the options it was begun with, or choose another folder"):
        replace(measurement, **change).run("perfect")
    assert (tmp_path / "perfect.jsonl").read_bytes() == before


# -- the table ---------------------------------------------------------------------------------------------


def labels(rows):
    return [line for line in agent_table(rows, "nothing").splitlines() if line.endswith(")")]


NAMES = ("runs/second/final", "chat:Qwen/Qwen3-8B@http://127.0.0.1:8000/v1", "vllm:http://127.0.0.1:8123")


@pytest.mark.parametrize("games", [20, 12345])
def test_every_number_stands_whole_on_one_of_80_columns_whatever_the_players_are_called(games):
    rows = {
        name: AgentFigures(
            valid_tags=Share(7 * games - 11 * place, 7 * games),
            proposer_searches=2.25 + place,
            solver_searches=11.5 + place,
            valid_questions=Share(games - place, games),
            solved=Share(games // 2 + place, games),
            known_solved=Share(place, games),
            errors=90 + place,
            failures={},
            reasons={},
            tokens=games * 4321 + place,
            seconds=float(games),
            model=name,
            back_end="transformers",
        )
        for place, name in enumerate(NAMES)
    }
    lines = agent_table(rows, "world tiny-heldout-0, 24 passages; seed 0").splitlines()
    assert max(map(len, lines)) <= 80
    cells = [re.split(r"  +", line.strip()) for line in lines]
    for agent in table_data(rows)["agents"]:
        start = lines.index(f"{agent['player']} (transformers)")
        # Wide figures come in two blocks, each with the players' names.
        starts = [place for place, line in enumerate(lines) if line == lines[start]]
        mine = [cell for place in starts for row in cells[place + 1 : place + 3] for cell in row]
        expected = [f"{agent['errors']}", f"{agent['tokens']}", f"{agent['tokens_per_second']:.0f}"]
        expected += [f"{agent['proposer_searches']:.2f}", f"{agent['solver_searches']:.2f}"]
        for share in ("valid_tags", "valid_questions", "solved", "known_solved"):
            low, high = agent[share]["ci95"]
            expected += [f"{agent[share]['count']} of {agent[share]['total']}", f"[{low:.2f}, {high:.2f}]"]
        assert sorted(mine) == sorted(expected)


def test_a_chat_endpoints_model_is_shown_without_its_address(tasks):
    with chat_server(lambda request: completion("<answer> x </answer>")) as (address, _):
        player = f"chat:org/qwen3@{address}"
        figures = Measurement(world_tasks("small", games=1, known=1, hops=1, seed=0)).run(player)
    assert labels({player: figures}) == ["org/qwen3 (chat)"]
    (agent,) = table_data({player: figures})["agents"]
    assert (agent["player"], agent["model"], agent["back_end"]) == (player, "org/qwen3", "chat")


def test_a_vllm_servers_model_is_shown_by_the_name_it_is_served_under(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    known = world_tasks("small", games=1, known=1, hops=1, seed=0)
    rows = {}
    with serving("--root", tmp_path, "--name", "org/whale") as url:
        for player in (f"vllm:{url}", f"vllm:{tmp_path}@{url}"):
            rows[player] = Measurement(known).run(player)
    assert [(figures.model, figures.back_end) for figures in rows.values()] == [
        ("org/whale", "vllm"),
        (tmp_path.name, "vllm"),
    ]


def test_rows_that_would_look_alike_are_told_apart_by_the_players_names():
    figures = replace(count_figures([], []), model="whale", back_end="vllm")
    rows = {"vllm:http://a": figures, "vllm:http://b": figures, "guess": replace(figures, model="guess")}
    assert labels(rows) == ["whale (vllm, vllm:http://a)", "whale (vllm, vllm:http://b)", "guess (vllm)"]


def test_the_command_prints_a_row_per_player_and_writes_it_as_json(tmp_path):
    out = tmp_path / "table.json"
    result = run("perfect", "guess", "--games", 5, "--known", 3, "--json", out, "--out", tmp_path / "games")
    assert result.exit_code == 0, result.output
    assert "world tiny-heldout-0, 24 passages; 5 games, 3 known questions; seed 0" in result.output
    lines = result.output.splitlines()
    counts, below = lines[lines.index("perfect (scripted)") + 1 :][:2]
    assert re.split(r"  +", counts.strip())[1:] == ["5 of 5", "5 of 5", "3 of 3", "2.00", "0", "-"]
    assert re.split(r"  +", below.strip())[1:] == [*["[0.57, 1.00]"] * 2, "[0.44, 1.00]", "2.00", "-"]
    data = json.loads(out.read_text())
    assert [agent["model"] for agent in data["agents"]] == ["perfect", "guess"]
    assert data["agents"][0]["known_solved"]["ci95"] == list(wilson_interval(3, 3))
    assert (data["attempts"], data["temperature"]) == (1, 0.7)
    assert {path.name for path in (tmp_path / "games").iterdir()} == {"perfect.jsonl", "guess.jsonl"}


def test_failures_are_printed_with_their_reason(casting, tmp_path):
    casting["author"] = Author(lambda view: True)
    result = run("author", "--games", 4)
    assert result.exit_code == 1, result.output
    assert "author: 4 failed of proposer: ConnectionError: the model is down" in result.output


def test_players_measured_before_one_that_fails_are_in_the_file(tmp_path, monkeypatch):
    run, out = Measurement.run, tmp_path / "table.json"
    monkeypatch.setattr(Measurement, "run", lambda one, name, *rest: {"perfect": run}[name](one, name, *rest))
    assert message_of("perfect", "weak", "--games", 2, "--json", out) == "'weak'"
    assert [agent["player"] for agent in json.loads(out.read_text())["agents"]] == ["perfect"]


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["perfect", "perfect", "--games", "2"], "expected different players, got perfect more than once"),
        (["nobody", "--games", "2"], "player must be one of"),
        (["perfect", "--reader", "guess", "--json", "x"], "--reader can only be used with --games N"),
        (["perfect", "--games", "2", "--by", "hops"], "--by cannot be used with --games"),
        (["perfect", "--games", "2", "--questions", "x"], "add --corpus or --index"),
        (["perfect", "--games", "2", "--world", "moon"], "known presets: large, small, tiny"),
        (["perfect", "--games", "2", "--world", "small"], "worlds only: choose the world 'tiny'"),
    ],
)
def test_errors_name_the_fix(arguments, fix):
    assert fix in message_of(*arguments)


def test_the_table_of_figures_that_are_missing_says_so():
    assert agent_table({"nobody": count_figures([], [])}, "nothing").count("none") == 4


def test_the_same_games_are_opened_for_everybody(tasks: AgentTasks):
    first, second = (tasks.open_games(tasks.scenario.rules, 5) for _ in range(2))
    assert [game.snapshot() for games in first for game in games] == [
        game.snapshot() for games in second for game in games
    ]
    asked, known = first
    assert {game.phase for game in asked} == {"propose"} and {game.phase for game in known} == {"solve"}
