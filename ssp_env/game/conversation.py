"""One seat's conversation: its messages, its budgets and the searches the environment ran for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ssp_env.game.config import Budget
from ssp_env.game.passage import PartId, Passage, listed_part
from ssp_env.game.protocol import Action, Protocol
from ssp_env.game.protocol.notices import Notice
from ssp_env.game.view import FinalKind, Message, Reply, SeatPhase, View

Step = Literal["search", "open", "notice", "forfeit", "final"]


@dataclass(eq=False, slots=True)
class Conversation:
    """State of a proposer or of one solver attempt between its first and its last turn.

    Attributes:
        messages: What was said so far, from the opening on.
        must_quote: Whether an answer must come with quotations.
        malformed: Turns without a complete action, of which the budget forgives some.
        queries: The searches that were executed, in order.
        opened: How many parts of pages were opened.
        passages: What searches and pages showed, in full.
    """

    game_id: str
    seat: str
    phase: SeatPhase
    messages: tuple[Message, ...]
    protocol: Protocol
    budget: Budget
    must_quote: bool = False
    turns: int = 0
    tokens: int = 0
    malformed: int = 0
    fruitless: int = 0
    opened: int = 0
    queries: list[str] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    final: FinalKind = field(init=False)

    def __post_init__(self) -> None:
        self.final = self.view().final_action

    def view(self) -> View:
        """What the seat sees now."""
        return View(
            game_id=self.game_id,
            seat=self.seat,
            phase=self.phase,
            messages=self.messages,
            turns_left=self.budget.max_turns - self.turns,
            searches_left=max(0, self.budget.max_searches - len(self.queries)),
            tokens_left=self._tokens_left(),
            opens_left=max(0, self.budget.max_opens - self.opened) if self.protocol.open else 0,
            must_quote=self.must_quote,
        )

    def hear(self, reply: Reply) -> Action:
        """Take what the seat wrote and return the action in it."""
        action = self.protocol.parse(reply, self.final)
        self.messages += (self.protocol.said(action),)
        self.turns += 1
        self.tokens += len(reply.token_ids)
        self.malformed += action.kind == "malformed"
        return action

    def next_step(self, action: Action) -> tuple[Step, str]:
        """Decide what follows an action, and with what or why."""
        tokens_left = self._tokens_left()
        if tokens_left is not None and tokens_left < (0 if action.kind == self.final else 1):
            return "forfeit", "token_limit"
        if action.kind == self.final:
            return "final", action.content
        if self.malformed > self.budget.retries:
            return "forfeit", "malformed"
        if self.turns >= self.budget.max_turns:
            return "forfeit", "turn_limit"
        if action.kind == "malformed":
            return "notice", "malformed"
        if action.kind == "open":
            return self._open(action.content)
        if len(self.queries) >= self.budget.max_searches:
            return "notice", "search_limit"
        return "search", action.content

    def _open(self, reference: str) -> tuple[Step, str]:
        """Decide about a part of a page; only parts of pages that were shown can be opened."""
        if self.opened >= self.budget.max_opens:
            return "notice", "open_limit"
        # Players write what they read, which was escaped.
        parts = (PartId.parse(passage.id) for passage in self.passages)
        part = listed_part(reference, {self.protocol.escape(part.page): part for part in parts})
        return ("notice", "not_listed") if part is None else ("open", str(part))

    def _tokens_left(self) -> int | None:
        limit = self.budget.max_tokens
        return None if limit is None else limit - self.tokens

    def show(self, query: str, passages: list[Passage], shown: list[Passage]) -> None:
        """Record an executed search and show what it found, shortened by the rules of the game."""
        self.queries.append(query)
        self.fruitless += not passages
        self.passages.extend(passages)
        self._reply(self.protocol.observe(shown))

    def show_page(self, passages: list[Passage], shown: list[Passage]) -> None:
        """Record an opened part of a page and show it, shortened by the rules of the game."""
        self.opened += 1
        self.passages.extend(passages)
        self._reply(self.protocol.observe(shown))

    def notify(self, notice: Notice) -> None:
        """Show a notice instead of passages."""
        self._reply(self.protocol.notify(notice))

    def _reply(self, content: str) -> None:
        self.messages += (self.protocol.answered(self.messages[-1], content),)

    def evidence(self) -> list[Passage]:
        """Passages retrieved so far, first occurrence of each id, in order."""
        first: dict[str, Passage] = {}
        for passage in self.passages:
            first.setdefault(passage.id, passage)
        return list(first.values())
