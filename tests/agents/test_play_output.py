"""What people see of games at a terminal: every event, a table of figures, a progress bar."""

import io
import re
import time
from types import SimpleNamespace

from rich.console import Console

from agents import session
from agents.metering import Meter
from ssp_env.game import Failure, Game, GameConfig, Task
from ssp_env.play import play as drive
from ssp_env.scenario import open_scenario
from ssp_env.viewer.terminal import print_game, summary_table
from tests.agents.author import QUESTION, Author

# -- what people see --------------------------------------------------------------------------------------


def finished(author, **options):
    scenario = open_scenario("small")
    config = GameConfig(min_searches=1, **options)
    games = [Game(Task("Odense", id=str(n)), config, game_id=str(n)) for n in range(2)]
    drive(games, proposer=author, solver=author, search=scenario.search)
    return games


def shown(renderable_or_game):
    console = Console(file=io.StringIO(), width=120)
    if isinstance(renderable_or_game, Game):
        print_game(console, renderable_or_game)
    else:
        console.print(renderable_or_game)
    return console.file.getvalue()


def test_a_game_is_shown_with_every_event():
    (game, _) = finished(Author(), attempts=2)
    text = shown(game)
    order = ["game 0: Odense", "<search> Odense", QUESTION[:40], "kept", "4 noise", "reader", "valid: solved"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert max(map(len, text.splitlines())) <= 120
    assert "…" in text


def test_wrong_answers_and_malformed_turns_are_shown():
    (game, _) = finished(Author("Funen"), rag_check=False)
    text = shown(game)
    assert "no tag at all\n" in re.sub(" +\n", "\n", text) and "(malformed: no_action)" in text
    assert "notice      to solver_0: malformed" in text
    assert "wrong" in text
    assert "valid: unsolved" in text


def test_the_table_counts_what_happened():
    games = finished(Author("Funen"), rag_check=False, attempts=2)
    text = shown(summary_table(games, seconds=2.0, tokens=1000))
    rows = {
        cells[1].strip(): cells[2].strip() for line in text.splitlines() if len(cells := line.split("│")) == 4
    }
    assert rows["valid questions"].startswith("2 of 2 (100%")
    assert rows["unsolved"] == "2"
    assert rows["searches per game, proposer"] == "2.00"
    assert rows["searches per game, solver"] == "0.00"
    assert rows["turns with valid tags, proposer"].startswith("6 of 6")
    # Two games of two attempts, each with one turn wasted.
    assert rows["turns with valid tags, solver"].startswith("4 of 8 (50%")
    assert rows["solver accuracy"].startswith("0 of 4 (0%")
    assert rows["tokens sampled"] == "1,000 (500 per second)"
    assert "readings with valid tags" not in rows
    assert not any("cut" in row for row in rows)


def test_the_table_counts_what_was_cut_from_passages_and_prompts():
    games = finished(Author(), max_passage_chars=20)
    text = shown(summary_table(games, seconds=1.0, tokens=0, cut_prompts=3))
    cut_chars = sum(game.outcome.metrics["cut_passage_chars"] for game in games)
    assert cut_chars > 0 and re.search(rf"characters cut from passages +│ {cut_chars:,.0f} ", text)
    assert re.search("prompts cut to the context window +│ 3 ", text)


def test_prompts_cut_by_one_model_in_two_roles_count_once():
    model = SimpleNamespace(conversations=SimpleNamespace(cut_prompts=2))
    cast = SimpleNamespace(players={"proposer": model, "solver": model, "reader": Author()})
    assert session._cut_prompts(cast) == 2


def test_accuracy_is_not_made_up_where_nobody_solved():
    games = finished(Author("Funen"))
    text = shown(summary_table(games, seconds=0.0, tokens=0))
    assert "not_recovered" in text
    assert "none played" in text


def test_failed_games_say_nothing_about_the_share_of_valid_questions():
    games = finished(Author("Funen"), rag_check=False)
    (request,) = (broken := Game(Task("Odense"), GameConfig())).requests()
    broken.submit(request.id, Failure("proposer: gone"))
    assert re.search(r"valid questions +│ 2 of 2 ", shown(summary_table([*games, broken], 1.0, 0)))


def test_a_bar_is_shown_only_if_it_takes_long(monkeypatch):
    def output(patience):
        monkeypatch.setattr(session, "PATIENCE_SECONDS", patience)
        console = Console(file=io.StringIO(), force_terminal=True, width=120)
        meter = Meter()
        meter.turns = 42
        with session._progress(console, 5, meter) as advance:
            advance()
            deadline = time.monotonic() + 20
            while patience == 0 and "42 turns" not in console.file.getvalue() and time.monotonic() < deadline:
                time.sleep(0.01)
        return console.file.getvalue()

    assert "42 turns" in output(0)
    assert "turns" not in output(1000)
