"""A person at the terminal as proposer, solver or reader, with hints about what is legal."""

from __future__ import annotations

from typing import Literal, get_args

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from ssp_env.game import PROTOCOLS, Message, Protocol, Reply, View
from ssp_env.viewer.text import visible

Word = Literal["search", "open", "question", "answer"]
_TASKS = {
    "proposer": "Find facts by searching, then ask a question whose answer is the given one.",
    "solver": "Find the answer to the question by searching.",
    "reader": "Answer the question from the passages shown, or as you are told; you cannot search.",
}
_PROBLEMS = {
    "empty_action": "there is nothing in it",
    "too_long": "it is too long",
    "several_queries": "one call is one search",
}


class PlayerLeft(Exception):
    """The person at the terminal ended the session."""


class HumanPlayer:
    """Asks the person at the terminal for every turn.

    A line that is no legal action is explained and asked for again, so that a slip of the keyboard costs
    nothing.

    Args:
        console: Where the game is shown and turns are typed.
        protocol: Tags of the games played.

    Attributes:
        has_left: Whether the person ended the session.
    """

    def __init__(self, console: Console | None = None, protocol: Protocol = PROTOCOLS["default"]) -> None:
        self.has_left = False
        self._console = console or Console()
        self._protocol = protocol
        self._shown: dict[tuple[str, str, str], int] = {}
        self._at_table: tuple[str, str, str] | None = None

    def act(self, view: View) -> Reply:
        """Show what is new and return the turn that is typed.

        Raises:
            PlayerLeft: If the person ends the session (`quit`, or the end of the input).
        """
        if not self.has_left:
            self._show(view)
        while not self.has_left:
            self._hint(view)
            try:
                line = self._console.input(Text("> ", style="bold")).strip()
            except EOFError:
                line = "quit"
            if line.lower() in ("quit", "exit"):
                self.has_left = True
            elif line.lower() == "help":
                self._help(view)
            elif line:
                reply, problem = self._read(line, view)
                if not problem:
                    return reply
                self._say(problem, "yellow")
        raise PlayerLeft("the player left the session")

    def _read(self, line: str, view: View) -> tuple[Reply, str]:
        """Return the turn that a line stands for, and what is wrong with it; empty if nothing is."""
        final = view.final_action
        word, _, content = line.partition(" ")
        word, content = word.lower(), content.strip()
        reply = Reply(line)
        if word in get_args(Word):
            if word not in _words(view):
                return (
                    reply,
                    f"The {view.role} may {' or '.join(_words(view))}; {word} is not possible now.",
                )
            if not content:
                return reply, f"Write your words after {word}: {word} WORDS"
            reply = self._protocol.write(word, content, call_id=f"call_{len(view.messages)}")
        action = self._protocol.parse(reply, final, has_search_tool=view.has_search_tool)
        if action.code == "no_action":
            return reply, f"Not understood. Begin with {' or '.join(_words(view))}, or type help."
        if action.code:
            return reply, f"That is no {final} or search: {_PROBLEMS.get(action.code, action.code)}."
        if action.kind == "search" and not view.searches_left:
            return reply, f"There are no searches left: write the {final}."
        if action.kind == "open" and not view.opens_left:
            return reply, f"No more parts of pages can be opened: search, or write the {final}."
        return reply, ""

    # -- showing ---------------------------------------------------------------------------------------

    def _show(self, view: View) -> None:
        known = self._shown.get(view.conversation_id, 0)
        if known > len(view.messages):
            # Conversations only grow: another one has begun under the same name.
            known = 0
        if view.conversation_id != self._at_table:
            title = visible(f"game {view.game_id}: you are the {view.role} ({view.seat})")
            self._console.print(Rule(Text(title, style="bold"), align="left"))
        if not known:
            self._say(_TASKS[view.role], "bold")
        for message in view.messages[known:]:
            self._show_message(message)
        self._shown[view.conversation_id] = len(view.messages)
        self._at_table = view.conversation_id

    def _show_message(self, message: Message) -> None:
        if message.role != "assistant":
            self._console.print(Text(visible(message.content.strip())), soft_wrap=True)

    def _hint(self, view: View) -> None:
        parts = [f"{view.turns_left} turn{'s' * (view.turns_left != 1)} left"]
        if view.has_search_tool:
            parts.append(f"{view.searches_left} search{'es' * (view.searches_left != 1)} left")
        if view.opens_left:
            parts.append(f"{view.opens_left} part{'s' * (view.opens_left != 1)} of pages to open left")
        legal = ", ".join(f"{word} WORDS" for word in _words(view))
        self._say(f"[{', '.join(parts)}] {legal}, help, quit", "cyan")

    def _help(self, view: View) -> None:
        role, final = view.role, view.final_action
        lines = [f"You are the {role}. {_TASKS[role]}"]
        if view.has_search_tool:
            lines.append("search WORDS    look something up; the passages found are shown. Costs a turn.")
        if view.opens_left:
            lines.append("open PAGE#PART  show a part of a page that a search has listed. Costs a turn.")
        lines.append(f"{final} WORDS".ljust(16) + f"write the {final}; that ends your part of the game.")
        if view.turns_left == 1 and view.has_search_tool:
            lines.append(f"This is your last turn: without {final} you forfeit.")
        tags = [self._protocol.write(word, "WORDS") for word in _words(view)]
        written = " or ".join(" ".join(tag.text.split()) for tag in tags if tag.text)
        lines.append(f"The same can be written as models write it: {written}")
        lines.append(
            "quit            leave; what was played is kept. The end of the input (Ctrl-D) does the same."
        )
        self._say("\n".join(lines), "")

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))


def _words(view: View) -> tuple[Word, ...]:
    """The legal actions."""
    searches: tuple[Word, ...] = ("search",) if view.may_search else ()
    opens: tuple[Word, ...] = ("open",) if view.may_open else ()
    return (*searches, *opens, view.final_action)
