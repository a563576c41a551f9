"""The game of search self-play as a state machine that does no I/O.

`Game.requests` says what the game needs next; a driver fetches it and hands it back with `Game.submit`.
The phases are propose, (rules), verify, solve and done; several solver attempts are open at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from ssp_env.game import snapshot
from ssp_env.game.config import GameConfig
from ssp_env.game.conversation import Conversation
from ssp_env.game.events import (
    AnswerScored,
    Event,
    EvidenceMixed,
    GameBroken,
    NoticeGiven,
    QuestionProposed,
    ReadingGiven,
    SearchReturned,
    SeatForfeited,
    TurnTaken,
)
from ssp_env.game.outcome import Outcome, Verdict, count_metrics
from ssp_env.game.prompts import prompt_style
from ssp_env.game.protocol import PROTOCOLS, Action, Notice
from ssp_env.game.requests import Failure, Judge, Noise, Read, Request, Result, Search, Turn
from ssp_env.game.rewards import proposer_reward
from ssp_env.game.rules import first_violation
from ssp_env.game.surrogates import replace_surrogates, storable
from ssp_env.game.task import Task
from ssp_env.game.view import Reply, View, as_reply
from ssp_env.passage import Passage
from ssp_env.scoring import exact_match, fold_disguises

Phase = Literal["propose", "verify", "solve", "done"]
PROPOSER = "proposer_0"


class Game:
    """One game of search self-play.

    Args:
        task: The answer to ask for.
        config: Rules; defaults are the published ones.
        rng: Seed of the shuffle of evidence and noise; a generator draws one.
        game_id: Identifier shown in views, as a digest if it names the answer; defaults to the task's id.
        question: Play a known question: the game opens in the solve phase and nobody proposes.
    """

    def __init__(
        self,
        task: Task,
        config: GameConfig | None = None,
        rng: np.random.Generator | int = 0,
        game_id: str = "",
        question: str = "",
    ) -> None:
        self.task = task
        self.config = config or GameConfig()
        self.id = game_id or task.id
        self._public_id = _public_id(self.id, task.golds)
        self.phase: Phase = "propose"
        self.outcome: Outcome | None = None
        self.question = question = replace_surrogates(question)
        self.events: list[Event] = []
        self.protocol = PROTOCOLS[self.config.protocol]
        self.seats = (PROPOSER, *(f"solver_{k}" for k in range(self.config.attempts)))
        self._prompts = prompt_style(self.config.prompts)
        # A seed of its own: a generator shared by several games would tie their shuffles together.
        self._seed = int(rng.integers(2**53)) if isinstance(rng, np.random.Generator) else int(rng)
        self._rng = np.random.default_rng(self._seed)
        self._inputs: list[tuple[str, Result]] = []
        self._open: dict[str, tuple[Request, Callable[[Any], None]]] = {}
        self._scores: dict[str, bool] = {}
        self._given_question = question
        opening = self._prompts.proposer(self.protocol, task.answer, task.hops)
        self._proposer = Conversation(
            self._public_id, PROPOSER, "propose", "question", opening, self.protocol, self.config
        )
        if question:
            self._open_attempts()
        else:
            self._ask_turn(self._proposer)

    # -- driving ---------------------------------------------------------------------------------------

    def requests(self) -> tuple[Request, ...]:
        """What the game needs now; empty once it is over."""
        return tuple(request for request, _ in self._open.values())

    def submit(self, request_id: str, result: Result) -> None:
        """Answer an open request.

        Args:
            request_id: The `id` of one of `requests()`.
            result: Text or `Reply` for `Turn` and `Read`, passages for `Search` and `Noise`, a bool for
                `Judge`; a `Failure` for any of them ends the game as `error`.

        Raises:
            ValueError: If no such request is open.
            TypeError: If the result does not fit the request.
        """
        if request_id not in self._open:
            raise ValueError(
                f"request {request_id!r} is not open; open are: {', '.join(self._open) or 'none'}"
            )
        request, proceed = self._open[request_id]
        if isinstance(request, Turn | Read) and isinstance(result, str):
            result = as_reply(result)
        _check_result(request, result)
        if isinstance(result, list):
            result = [storable(passage) for passage in result]
        self._inputs.append((request_id, result))
        if isinstance(result, Failure):
            self._break(request_id, result.detail)
            return
        del self._open[request_id]
        proceed(result)

    @property
    def evidence(self) -> list[Passage]:
        """What the engine returned to the proposer, each passage once."""
        return self._proposer.evidence()

    def snapshot(self) -> dict[str, Any]:
        """The game as plain data: task, rules, seed and every result submitted so far."""
        return snapshot.encode(
            self.task, self.config, self._seed, self.id, self._given_question, self._inputs
        )

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Game:
        """Rebuild a game from `snapshot()` by replaying it.

        Raises:
            ValueError: If the data is not a snapshot of this version.
        """
        task, config, seed, game_id, question, inputs = snapshot.decode(data)
        game = cls(task, config, seed, game_id, question)
        for request_id, result in inputs:
            game.submit(request_id, result)
        return game

    def fork(self, count: int) -> list[Game]:
        """Return `count` independent copies that share nothing with this game but their past."""
        data = self.snapshot()
        return [Game.restore(data) for _ in range(count)]

    # -- turns -----------------------------------------------------------------------------------------

    def _ask(self, request: Request, proceed: Callable[[Any], None]) -> None:
        self._open[request.id] = (request, proceed)

    def _ask_turn(self, seat: Conversation) -> None:
        request = Turn(f"{seat.seat}/turn/{seat.turns}", seat.view())
        self._ask(request, lambda reply: self._take_turn(seat, reply))

    def _take_turn(self, seat: Conversation, reply: Reply) -> None:
        action = seat.hear(reply)
        self.events.append(TurnTaken(seat.seat, reply, action))
        if action.kind in ("question", "answer"):
            self._finish(seat, action.content)
            return
        step, detail = seat.next_step(action)
        if step == "search":
            request = Search(f"{seat.seat}/search/{len(seat.queries)}", seat.seat, detail, self.config.top_k)
            self._ask(request, lambda passages: self._take_search(seat, detail, passages))
        elif step == "notice":
            notice: Notice = "malformed" if detail == "malformed" else "search_limit"
            seat.notify(notice)
            self.events.append(NoticeGiven(seat.seat, notice))
            self._ask_turn(seat)
        else:
            self.events.append(SeatForfeited(seat.seat, detail))
            self._forfeit(seat, detail)

    def _take_search(self, seat: Conversation, query: str, passages: list[Passage]) -> None:
        seat.show(query, passages)
        self.events.append(SearchReturned(seat.seat, query, tuple(passages)))
        self._ask_turn(seat)

    def _finish(self, seat: Conversation, content: str) -> None:
        if seat is self._proposer:
            self._check_rules(content)
        else:
            self._score_answer(seat.seat, content, lambda correct: self._close_attempt(seat.seat, correct))

    def _forfeit(self, seat: Conversation, code: str) -> None:
        if seat is self._proposer:
            self._end("invalid", code)
        else:
            self._close_attempt(seat.seat, False)

    # -- rules and RAG check ---------------------------------------------------------------------------

    def _check_rules(self, question: str) -> None:
        self.question = question
        code = first_violation(question, self.task.golds, self._proposer.queries, self.evidence, self.config)
        self.events.append(QuestionProposed(question, code or ""))
        if code:
            self._end("invalid", code)
        elif not self.config.rag_check:
            self._open_attempts()
        else:
            self.phase = "verify"
            if self.config.noise_passages:
                known = frozenset(passage.id for passage in self.evidence)
                self._ask(Noise("noise", self.config.noise_passages, known), self._mix_evidence)
            else:
                self._mix_evidence([])

    def _mix_evidence(self, noise: list[Passage]) -> None:
        passages = [*self.evidence, *noise]
        mixed = [passages[index] for index in self._rng.permutation(len(passages))]
        self.events.append(EvidenceMixed(tuple(mixed), frozenset(passage.id for passage in noise)))
        messages = self._prompts.reader(self.protocol, self.question, mixed)
        view = View(self._public_id, "solver_0", "verify", messages, turns_left=1, searches_left=0)
        self._ask(Read("read", view), self._take_reading)

    def _take_reading(self, reply: Reply) -> None:
        action: Action = self.protocol.parse(reply, "answer", may_search=False)
        self.events.append(ReadingGiven(reply, action))
        if action.kind != "answer":
            self._end("invalid", "no_reading")
            return
        self._score_answer("reader", action.content, self._close_check)

    def _close_check(self, recovered: bool) -> None:
        if recovered:
            self._open_attempts()
        else:
            self._end("invalid", "not_recovered")

    # -- attempts and scores ---------------------------------------------------------------------------

    def _open_attempts(self) -> None:
        self.phase = "solve"
        opening = self._prompts.solver(self.protocol, self.question)
        for seat in self.seats[1:]:
            attempt = Conversation(
                self._public_id, seat, "solve", "answer", opening, self.protocol, self.config
            )
            self._ask_turn(attempt)

    def _score_answer(self, seat: str, answer: str, proceed: Callable[[bool], None]) -> None:
        golds = self.task.golds
        if exact_match(answer, golds) or not self.config.judge:
            self._take_verdict(seat, answer, exact_match(answer, golds), "exact_match", proceed)
        else:
            request = Judge(f"{seat}/judge", self.question, answer, golds)
            self._ask(request, lambda correct: self._take_verdict(seat, answer, correct, "judge", proceed))

    def _take_verdict(
        self, seat: str, answer: str, correct: bool, scorer: str, proceed: Callable[[bool], None]
    ) -> None:
        self.events.append(AnswerScored(seat, answer, correct, scorer))
        proceed(correct)

    def _close_attempt(self, seat: str, correct: bool) -> None:
        self._scores[seat] = correct
        if len(self._scores) == self.config.attempts:
            self._end("valid", "solved" if any(self._scores.values()) else "unsolved")

    # -- the end ---------------------------------------------------------------------------------------

    def _break(self, request_id: str, detail: str) -> None:
        self.events.append(GameBroken(request_id, detail))
        self._end("error", "error")

    def _end(self, verdict: Verdict, reason: str) -> None:
        self.phase = "done"
        self._open.clear()
        rewards = dict.fromkeys(self.seats, 0.0)
        success_rate = None
        if verdict == "valid":
            rewards |= {seat: float(correct) for seat, correct in self._scores.items()}
            success_rate = sum(self._scores.values()) / self.config.attempts
            rewards[PROPOSER] = proposer_reward(self.config.reward, success_rate)
        elif verdict == "invalid":
            rewards[PROPOSER] = self.config.invalid_reward
        metrics = count_metrics(self.events)
        self.outcome = Outcome(verdict, reason, self.question, success_rate, rewards, metrics)


def _public_id(game_id: str, golds: Sequence[str]) -> str:
    """The id that views carry: nobody may read the answer out of `world/tavor/2`."""
    name, *answers = ("".join(filter(str.isalnum, fold_disguises(text))) for text in (game_id, *golds))
    if not any(answer in name for answer in answers):
        return game_id
    return blake2b(game_id.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _check_result(request: Request, result: Result) -> None:
    if isinstance(result, Failure):
        return
    wanted: dict[type, tuple[type, str]] = {
        Turn: (Reply, "text or a Reply"),
        Read: (Reply, "text or a Reply"),
        Search: (list, "a list of Passage"),
        Noise: (list, "a list of Passage"),
        Judge: (bool, "a bool"),
    }
    kind, words = wanted[type(request)]
    fits = isinstance(result, kind)
    if fits and isinstance(result, list):
        fits = all(isinstance(passage, Passage) for passage in result)
    if not fits:
        raise TypeError(f"request {request.id!r} wants {words} or a Failure, got {type(result).__name__}")
