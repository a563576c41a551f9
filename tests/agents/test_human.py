"""A person at the terminal: the real command in a terminal of its own, and what is typed and shown."""

import io
import json
import sys

import pytest
from rich.console import Console

from agents.human import HumanPlayer, PlayerLeft
from ssp_env.game import PROTOCOLS, Message, View
from tests.markdown import ROOT

DEFAULT = PROTOCOLS["default"]


def view(phase="solve", *, turns_left=3, searches_left=2, said=0):
    messages = (Message("user", "Who built [bold]it[/bold]\x1b[2J?"), *said * (Message("assistant", "hm"),))
    seat = "proposer_0" if phase == "propose" else "solver_0"
    return View("g", seat, phase, messages, turns_left, searches_left)


class Typist:
    """A console at which lines are typed; the input ends after the last."""

    def __init__(self, monkeypatch, *lines):
        self.file = io.StringIO()
        self.console = Console(file=self.file, width=100)
        self.lines = iter(lines)
        monkeypatch.setattr("builtins.input", self.type)

    def type(self, prompt=""):
        for line in self.lines:
            return line
        raise EOFError

    @property
    def shown(self):
        return self.file.getvalue()


def typed(monkeypatch, *lines, protocol=DEFAULT, **options):
    typist = Typist(monkeypatch, *lines)
    return HumanPlayer(typist.console, protocol).act(view(**options)), typist.shown


# -- the command in a terminal ----------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path):
    pexpect = pytest.importorskip("pexpect")
    children = []

    def start(*arguments):
        code = "from ssp_env.cli import main; main()"
        child = pexpect.spawn(
            sys.executable,
            ["-c", code, "play", "--world", "tiny", "--out", str(tmp_path / "games.jsonl"), *arguments],
            cwd=str(ROOT), encoding="utf-8", dimensions=(50, 160), timeout=120,
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def rows(tmp_path):
    return [json.loads(line) for line in (tmp_path / "games.jsonl").read_text().splitlines()]


def test_a_person_solves_a_game(terminal, tmp_path):
    child = terminal("--solver", "human", "--games", "1")
    child.expect("you are the solver")
    child.expect("turns left, 4 searches left. search WORDS, answer WORDS, help, quit")
    child.expect("> ")
    child.sendline("")
    child.expect("turns left, 4 searches left")
    child.sendline("help")
    child.expect("that ends your part of the game")
    child.sendline("blue whale")
    child.expect("Not understood. Begin with search or answer")
    child.sendline("question what")
    child.expect("The solver may search or answer")
    child.sendline("search kenim")
    child.expect("<information> .*kenim")
    child.expect("3 searches left")
    child.sendline("answer krill")
    child.expect("valid: unsolved")
    child.expect("solver accuracy")
    child.wait()
    assert child.exitstatus == 0
    (row,) = rows(tmp_path)
    assert row["outcome"]["reason"] == "unsolved"


@pytest.mark.parametrize("leave", ["quit", "end of input"])
def test_a_person_leaves_and_nothing_is_lost(terminal, tmp_path, leave):
    child = terminal("--solver", "human", "--games", "5")
    child.expect("4 searches left")
    child.sendline("answer krill")
    child.expect("game 2: you are the solver")
    child.expect("4 searches left")
    child.sendline(leave) if leave == "quit" else child.sendeof()
    child.expect("the player left the session")
    child.expect("2 games")
    child.wait()
    assert child.exitstatus == 0
    assert [row["outcome"]["reason"] for row in rows(tmp_path)] == ["unsolved", "error"]


def test_a_person_proposes_in_words_and_reads(terminal, tmp_path):
    child = terminal("--proposer", "human", "--solver", "human", "--games", "1", "--prompts", "english")
    child.expect("you are the proposer")
    child.expect("You invent search questions")
    for query in ("paduv", "zudor"):
        child.expect("searches left. search WORDS, question WORDS")
        child.sendline(f"search {query}")
        child.expect(f"Title: {query}")
    child.sendline("question Who is the biographer of the architect of the very old kenim over there ?")
    child.expect("you are the reader")
    child.expect("1 turn left. answer WORDS")
    child.sendline("answer paduv")
    child.expect("you are the solver")
    child.sendline("answer paduv")
    child.expect("valid: solved")
    child.wait()
    assert rows(tmp_path)[0]["outcome"]["rewards"]["solver_0"] == 1


# -- what is typed ----------------------------------------------------------------------------------------


def test_words_become_actions_of_any_protocol(monkeypatch):
    assert typed(monkeypatch, "search blue whale")[0].text == "<search> blue whale </search>"
    assert typed(monkeypatch, "ANSWER krill")[0].text == "<answer> krill </answer>"
    reply, _ = typed(monkeypatch, "question who ?", phase="propose")
    assert reply.text == "<question> who ? </question>"
    reply, _ = typed(monkeypatch, "search krill", protocol=PROTOCOLS["openai"])
    assert reply.tool_calls[0].arguments == '{"query": "krill"}'
    reply, _ = typed(monkeypatch, "search krill", protocol=PROTOCOLS["hermes"])
    assert reply.text.startswith("<tool_call>")


def test_tags_are_taken_as_they_are_typed(monkeypatch):
    raw = "<think> hm </think> <answer> krill </answer>"
    assert typed(monkeypatch, raw)[0].text == raw


@pytest.mark.parametrize(
    ("line", "options", "explained"),
    [
        ("whale", {}, "Not understood"),
        ("search", {}, "Write your words after search: search WORDS"),
        ("question who", {}, "question is not possible now"),
        ("answer krill", {"phase": "propose"}, "The proposer may search or question"),
        ("search krill", {"phase": "verify"}, "The reader may answer"),
        ("search krill", {"searches_left": 0}, "search is not possible now"),
        ("search krill", {"turns_left": 1}, "search is not possible now"),
        ("<search> krill </search>", {"searches_left": 0}, "There are no searches left"),
        ("<answer> </answer>", {}, "there is nothing in it"),
        ("answer " + "x" * 3000, {}, "it is too long"),
    ],
)
def test_what_is_not_legal_is_explained_and_asked_for_again(monkeypatch, line, options, explained):
    final = "question" if options.get("phase") == "propose" else "answer"
    reply, shown = typed(monkeypatch, line, f"{final} krill", **options)
    assert explained in " ".join(shown.split())
    assert reply.text == f"<{final}> krill </{final}>"


def test_foreign_text_cannot_write_to_the_terminal(monkeypatch):
    _, shown = typed(monkeypatch, "answer krill")
    assert "[bold]it[/bold]\\x1b[2J" in shown and "\x1b[2J" not in shown


def test_only_what_is_new_is_shown_again(monkeypatch):
    typist = Typist(monkeypatch, "search krill", "answer krill", "answer krill")
    player = HumanPlayer(typist.console)
    player.act(view())
    player.act(view(said=1))
    assert typist.shown.count("Who built") == typist.shown.count("you are the solver") == 1
    player.act(view())
    assert typist.shown.count("Who built") == 2


def test_who_has_left_is_not_asked_again(monkeypatch):
    typist = Typist(monkeypatch, "exit", "answer krill")
    player = HumanPlayer(typist.console)
    for _ in range(2):
        with pytest.raises(PlayerLeft):
            player.act(view())
    assert player.has_left
    assert next(typist.lines) == "answer krill"
