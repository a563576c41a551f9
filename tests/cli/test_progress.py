"""One style of progress: seen on terminals, on stderr; nothing of it in pipes and files."""

import io
import re
import sys

import pytest
from rich.console import Console

from ssp_env.cli.progress import counted, progress_bar, read_share, reported, tracked, waiting
from tests.markdown import ROOT


def drawn(*, terminal, is_share=False, total=None, done=3):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)
    with progress_bar(console=console, is_share=is_share) as bar:
        bar.update(bar.add_task("reading [x]", total=total), completed=done)
    return console.file.getvalue()


def test_a_bar_counts_on_a_terminal():
    assert "reading [x]" in drawn(terminal=True, total=12) and " 3/12 " in drawn(terminal=True, total=12)
    assert " 25%" in drawn(terminal=True, total=12, is_share=True)
    unknown = drawn(terminal=True)
    assert " 3 " in unknown and "/" not in unknown and "%" not in unknown


def test_nothing_of_it_is_in_a_pipe(capfd, tmp_path):
    assert drawn(terminal=False, total=12) == ""
    file = tmp_path / "games.jsonl"
    file.write_text("{}\n")
    with counted("a", 2) as advance, read_share(file, "b") as on_bytes:
        advance()
        on_bytes(3)
    with waiting("c"):
        pass
    with reported("f") as report:
        report("Encoding", 1, 2)
    assert list(tracked([1, 2], "d")) == [1, 2]
    assert list(tracked(iter([1, 2]), "e", 2)) == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_there_is_one_style():
    """No other module makes a bar or a spinner of its own."""
    folders = ("ssp_env", "agents", "baselines", "benchmarks")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    own = re.compile(r"rich\.progress import (\([^)]*|[^\n(]*)\b(Progress|track)\b|\.status\(f?\"")
    made = [str(file.relative_to(ROOT)) for file in files if own.search(file.read_text(encoding="utf-8"))]
    assert made == ["ssp_env/cli/progress.py"]
    assert own.search("from rich.progress import BarColumn, Progress") and own.search('console.status("x")')


def test_every_benchmark_shows_that_it_works():
    """All of them take more than two seconds; those that run jobs have a row for each."""
    files = {file: file.read_text(encoding="utf-8") for file in (ROOT / "benchmarks").rglob("*.py")}
    run = {file: text for file, text in files.items() if '__name__ == "__main__"' in text}
    shows = re.compile(r"from ssp_env\.cli\.progress import|import .*run_jobs")
    assert len(run) > 15
    assert [file.name for file, text in run.items() if not shows.search(text)] == []


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "TERM": "xterm"}
# Every way of working with recorded games, and what else reads or writes much.
COMMANDS = {
    "replay": ["replay", "GAMES"],
    "rescore": ["rescore", "GAMES", "--reward", "1-acc"],
    "export": ["export", "GAMES", "--to", "chat", "--out", "chat.jsonl"],
    "view": ["view", "GAMES"],
    "world": ["world", "tiny", "--out", "pages.jsonl"],
    "index": ["index", "build", "--world", "tiny", "--out", "built"],
    "search": ["search", "mayor", "--world", "tiny"],
}


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    from ssp_env.cli import main

    file = tmp_path_factory.mktemp("games") / "games.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ssp", "play", "--games", "2", "--quiet", "--out", str(file)])
        with pytest.raises(SystemExit):
            main()
    return file


def start(pexpect, arguments, folder):
    code = "from ssp_env.cli import main; main()"
    return pexpect.spawn(
        sys.executable, ["-c", code, *arguments], cwd=str(folder), encoding="utf-8",
        dimensions=(50, 160), timeout=120, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_may_take_long_shows_that_it_works(command, games, tmp_path):
    pexpect = pytest.importorskip("pexpect")
    arguments = [str(games) if word == "GAMES" else word for word in COMMANDS[command]]
    child = start(pexpect, arguments, tmp_path)
    child.expect(pexpect.EOF)
    child.close()
    # The clock of the bar, whose cursor is hidden while it is drawn.
    assert child.exitstatus == 0, child.before
    assert "\x1b[?25l" in child.before and "0:00:0" in child.before


def test_what_is_redirected_is_the_result_alone(games, tmp_path):
    pexpect = pytest.importorskip("pexpect")
    code = "from ssp_env.cli import main; main()"
    line = f"{sys.executable} -c '{code}' replay {games} > out.txt"
    child = pexpect.spawn(
        "/bin/sh", ["-c", line], cwd=str(tmp_path), encoding="utf-8", timeout=120, env=ENVIRONMENT
    )
    child.expect(pexpect.EOF)
    text = (tmp_path / "out.txt").read_text()
    assert "reproduced" in text and "\x1b" not in text
    assert "reading games.jsonl" in child.before and "reproduced" not in child.before
