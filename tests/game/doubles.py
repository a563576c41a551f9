"""Stand-ins for what a game needs from outside: a shelf to search, scripted players, hands that drive it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields

import numpy as np

from ssp_env.game import (
    Budget,
    Game,
    GameConfig,
    Judge,
    Noise,
    Outcome,
    Protocol,
    Read,
    Reply,
    Search,
    Task,
    Turn,
    View,
)
from ssp_env.game.passage import Passage

TASK = Task("Tavor", aliases=("Tavor of Ruvia",), hops=2, id="task-0")
QUESTION = "Who is the mother of the mayor of the town where Belin has her home?"
PAGES = (
    Passage("p0", "Belin", "Belin has her home in Corun."),
    Passage("p1", "Corun", "The mayor of Corun is Sarn."),
    Passage("p2", "Sarn", "The mother of Sarn is Tavor."),
    *(
        Passage(f"n{index}", f"Nobody {index}", f"Nobody number {index} lives in Elsewhere.")
        for index in range(6)
    ),
)


class Shelf:
    """Finds a page by a word of its title; hands out the others as noise."""

    def __init__(self, pages: Sequence[Passage] = PAGES) -> None:
        self.pages = list(pages)
        self.batches: list[list[str]] = []

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        self.batches.append(list(queries))
        return [self._find(query)[:top_k] for query in queries]

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        others = [page for page in self.pages if page.id not in exclude]
        return [others[index] for index in rng.permutation(len(others))[:count]]

    def fingerprint(self) -> str:
        return "shelf"

    def _find(self, query: str) -> list[Passage]:
        words = set(query.casefold().split())
        return [page for page in self.pages if words & set(page.title.casefold().split())]


class Script:
    """Plays fixed lines, the same ones in every conversation; the last line is repeated."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        self.views: list[View] = []

    def act(self, view: View) -> str:
        self.views.append(view)
        said = sum(message.role == "assistant" for message in view.messages)
        return self.lines[min(said, len(self.lines) - 1)]


def search(query: str) -> str:
    return f"<think> hm </think> <search> {query} </search>"


def write(protocol: Protocol, kind: str, content: str, thought: str = "hm") -> Reply:
    """An action after a thought, in the syntax of any protocol."""
    written = protocol.write(kind, content)  # type: ignore[arg-type]
    text = f"{protocol.wrap(protocol.think, thought)} {written.text}"
    return Reply(text, tool_calls=written.tool_calls)


def question(text: str = QUESTION) -> str:
    return f"<question> {text} </question>"


def answer(text: str = "Tavor") -> str:
    return f"<answer> {text} </answer>"


PROPOSAL = (search("belin"), search("corun"), search("sarn"), question())
PERFECT = Script(answer())
HOPELESS = Script(answer("Nobody"))


def rules(**options: object) -> GameConfig:
    """Rules; the limits of a `Budget` count for both seats."""
    limits = {field.name: options.pop(field.name) for field in fields(Budget) if field.name in options}
    return GameConfig(**options).with_budget(**limits)  # type: ignore[arg-type]


def new_game(task: Task = TASK, seed: int = 0, earlier: Sequence[str] = (), **options: object) -> Game:
    return Game(task, rules(**options), seed, earlier=earlier)


def open_requests(game: Game, kind: type) -> list:
    return [request for request in game.requests() if isinstance(request, kind)]


def turn_of(game: Game, seat: str) -> Turn:
    """The open turn of a seat."""
    (turn,) = [request for request in open_requests(game, Turn) if request.view.seat == seat]
    return turn


def serve(game: Game, shelf: Shelf | None = None) -> None:
    """Answer every open search and request for noise."""
    shelf = shelf or Shelf()
    while found := [request for request in game.requests() if isinstance(request, Search | Noise)]:
        request = found[0]
        if isinstance(request, Search):
            game.submit(request.id, shelf.search([request.query], request.top_k)[0])
        else:
            game.submit(request.id, shelf.sample(np.random.default_rng(0), request.count, request.exclude))


def say(game: Game, seat: str, *lines: str | Reply, shelf: Shelf | None = None) -> None:
    """Let a seat write lines, one a turn, and serve what they cause."""
    for line in lines:
        game.submit(turn_of(game, seat).id, line)
        serve(game, shelf)


def propose(game: Game, *lines: str | Reply, shelf: Shelf | None = None) -> None:
    say(game, "proposer_0", *(lines or PROPOSAL), shelf=shelf)


def read(game: Game, text: str = "") -> None:
    """Answer the RAG check."""
    (request,) = open_requests(game, Read)
    game.submit(request.id, text or answer())


def judge(game: Game, verdict: bool) -> None:
    (request,) = open_requests(game, Judge)
    game.submit(request.id, verdict)


def outcome(game: Game) -> Outcome:
    assert game.outcome is not None, f"the game still waits for {game.requests()}"
    return game.outcome


def ended(game: Game) -> tuple[str, str]:
    """Verdict and reason of a finished game."""
    return outcome(game).verdict, outcome(game).reason


def messages(view: View) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in view.messages]


def by_id(passages: Sequence[Passage]) -> Mapping[str, Passage]:
    return {passage.id: passage for passage in passages}
