"""`ssp view`: where the page goes, what is said about what it leaves out, and a game as a picture."""

import sys

import pytest

from ssp_env import cli
from ssp_env.cli import view as view_module
from tests.viewer.recorded import LINES, write_games, write_run


@pytest.fixture
def view(monkeypatch, capsys):
    """Run `ssp view`; return its exit message or status, and what it printed."""

    def run(*arguments):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["ssp", "view", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return stop.value.code, printed.out

    return run


@pytest.fixture
def games(tmp_path):
    return write_games(tmp_path / "games.jsonl")


def test_the_page_goes_beside_the_file_or_into_the_run(view, games, tmp_path):
    status, printed = view(games)
    assert status == 0 and f"{LINES} games written to {tmp_path / 'games.html'} (0." in printed
    run = write_run(tmp_path / "run")
    assert view(run, games, "--limit", 3)[0] == 0
    assert (run / "view.html").is_file()
    assert view(games)[0] == 0, "a page of before is replaced"


def test_what_is_left_out_and_what_is_wrong_is_said(view, games):
    lines = games.read_text()
    games.write_text(f"{lines[:40]}\n{lines}{lines[:50]}")
    status, printed = view(games)
    assert status == 0 and f"{LINES} games written" in printed
    assert f"{games}:1: expected one JSON object a line" in printed and "torn last line" in printed
    assert f"the last 2 of {LINES + 2} lines; --limit shows more" in view(games, "--limit", 2)[1]


def test_the_browser_is_opened_when_it_is_wanted(view, games, monkeypatch):
    opened = []
    monkeypatch.setattr(view_module.webbrowser, "open", opened.append)
    view(games)
    assert opened == []
    view(games, "--open")
    assert opened == [games.with_suffix(".html").as_uri()]


def test_a_game_is_written_as_a_picture(view, games, tmp_path):
    status, printed = view(games, "--svg", "known")
    assert status == 0 and f"game known written to {tmp_path / 'games.svg'}" in printed
    assert (tmp_path / "games.svg").read_text().startswith("<svg ")
    assert "exists: choose a file with --out" in view(games, "--svg", "known")[0]
    assert view(games, "--svg", "known", "--out", tmp_path / "games.svg")[0] == 0
    assert "no game has the id 'nobody'" in view(games, "--svg", "nobody")[0]
    assert "of one file or run, got 2" in view(games, games, "--svg", "known")[0]


def test_mistakes_are_one_line(view, games, tmp_path):
    assert view(tmp_path / "nowhere")[0].startswith(f"ssp: {tmp_path / 'nowhere'}: expected a file")
    assert "or two side by side, got 3" in view(games, games, games)[0]
    assert "leave --out, --open and --svg out" in view(games, "--follow", "--open")[0]
    (tmp_path / "mine.html").write_text("mine")
    assert "is no page of games" in view(games, "--out", tmp_path / "mine.html")[0]


def test_what_goes_on_is_served_at_loopback(view, games, monkeypatch):
    served = []
    monkeypatch.setattr(view_module, "run_app", lambda *arguments: served.append(arguments))
    status, _ = view(games, "--follow", "--port", 8123)
    assert status == 0 and served[0][1:] == ("127.0.0.1", 8123)
