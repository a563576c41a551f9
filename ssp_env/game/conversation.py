"""One seat's conversation: its messages, its budgets and the searches the environment ran for it."""

from __future__ import annotations

from typing import Literal

from ssp_env.game.config import Budget
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import Action, Notice, Protocol
from ssp_env.game.view import Message, Reply, SeatPhase, View


class Conversation:
    """State of a proposer or of one solver attempt between its first and its last turn."""

    def __init__(
        self,
        game_id: str,
        seat: str,
        phase: SeatPhase,
        opening: tuple[Message, ...],
        protocol: Protocol,
        budget: Budget,
    ) -> None:
        self.seat = seat
        self.turns = 0
        self._tokens = 0
        self.queries: list[str] = []
        self.passages: list[Passage] = []
        self._game_id = game_id
        self._phase: SeatPhase = phase
        self._messages = list(opening)
        self._protocol = protocol
        self._budget = budget
        self._retries_left = budget.retries
        self._final = self.view().final_action

    def view(self) -> View:
        """What the seat sees now."""
        return View(
            game_id=self._game_id,
            seat=self.seat,
            phase=self._phase,
            messages=tuple(self._messages),
            turns_left=self._budget.max_turns - self.turns,
            searches_left=max(0, self._budget.max_searches - len(self.queries)),
            tokens_left=self._tokens_left(),
        )

    def hear(self, reply: Reply) -> Action:
        """Take what the seat wrote and return the action in it."""
        action = self._protocol.parse(reply, self._final)
        self._messages.append(self._protocol.said(action))
        self.turns += 1
        self._tokens += len(reply.token_ids)
        return action

    def next_step(self, action: Action) -> tuple[Literal["search", "notice", "forfeit", "final"], str]:
        """Decide what follows an action, and why."""
        tokens_left = self._tokens_left()
        if tokens_left is not None and tokens_left < (0 if action.kind == self._final else 1):
            return "forfeit", "token_limit"
        if action.kind == self._final:
            return "final", action.content
        if action.kind == "malformed":
            self._retries_left -= 1
            if self._retries_left < 0:
                return "forfeit", "malformed"
        if self.turns >= self._budget.max_turns:
            return "forfeit", "turn_limit"
        if action.kind == "malformed":
            return "notice", "malformed"
        if len(self.queries) >= self._budget.max_searches:
            return "notice", "search_limit"
        return "search", action.content

    def _tokens_left(self) -> int | None:
        limit = self._budget.max_tokens
        return None if limit is None else limit - self._tokens

    def show(self, query: str, passages: list[Passage], shown: list[Passage]) -> None:
        """Record an executed search and show what it found, shortened by the rules of the game."""
        self.queries.append(query)
        self.passages.extend(passages)
        self._reply(self._protocol.observe(shown))

    def notify(self, notice: Notice) -> None:
        """Show a notice instead of passages."""
        self._reply(self._protocol.notify(notice))

    def _reply(self, content: str) -> None:
        self._messages.append(self._protocol.answered(self._messages[-1], content))

    def evidence(self) -> list[Passage]:
        """Passages retrieved so far, first occurrence of each id, in order."""
        first: dict[str, Passage] = {}
        for passage in self.passages:
            first.setdefault(passage.id, passage)
        return list(first.values())
