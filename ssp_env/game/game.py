"""The game of search self-play as a state machine that does no I/O.

`Game.requests` says what the game needs next; a driver fetches it and hands it back with `Game.submit`.
The phases are propose, (rules), verify, solve and done; several solver attempts are open at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

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
    PageOpened,
    QuestionProposed,
    QuotationsChecked,
    ReadingGiven,
    SearchReturned,
    SeatForfeited,
    TurnTaken,
)
from ssp_env.game.leaks import public_id
from ssp_env.game.outcome import REFUSED_BY, Outcome, Verdict, count_metrics
from ssp_env.game.passage import Passage, checked_passage
from ssp_env.game.prompts import prompt_style
from ssp_env.game.protocol import PROTOCOLS, Action, listed
from ssp_env.game.protocol.notices import Notice
from ssp_env.game.quotations import QuoteFault, missing_quotations, quotations, quote_fault
from ssp_env.game.requests import (
    Failure,
    Judge,
    Noise,
    Open,
    Read,
    Request,
    Result,
    Search,
    Turn,
    check_result,
    source_of,
    storable,
)
from ssp_env.game.rewards import proposer_reward
from ssp_env.game.rules import first_violation
from ssp_env.game.shortening import shown_evidence, shown_result
from ssp_env.game.task import Task
from ssp_env.game.view import (
    PROPOSER_SEAT,
    READER_SEAT,
    READINGS,
    Message,
    Probe,
    Reply,
    View,
    as_reply,
    replace_surrogates,
)
from ssp_env.scoring import exact_match

_LONGEST_MESSAGE = 2000
Phase = Literal["propose", "verify", "solve", "done"]


class Game:
    """One game of search self-play.

    Args:
        task: The answer to ask for; with a known question the game opens in the solve phase and nobody
            proposes.
        config: Rules; defaults are the published ones.
        rng: Seed of the shuffle of evidence and noise; a generator draws one.
        game_id: Identifier shown in views, as a digest if it names the answer; defaults to the task's id.
        earlier: Questions the new one must differ from; needs `config.max_similarity`.

    Raises:
        ValueError: If `earlier` is given and never read.
    """

    def __init__(
        self,
        task: Task,
        config: GameConfig | None = None,
        rng: np.random.Generator | int = 0,
        game_id: str = "",
        earlier: Iterable[str] = (),
    ) -> None:
        self.task = task
        self.config = config or GameConfig()
        self.id = game_id or task.id
        self._public_id = public_id(self.id, task.golds)
        self.phase: Phase = "propose"
        self.outcome: Outcome | None = None
        self.question = task.question
        self.earlier = tuple(map(replace_surrogates, earlier))
        if self.earlier and self.config.max_similarity is None:
            raise ValueError("earlier= is read only if config.max_similarity is set, got None")
        self.events: list[Event] = []
        self.protocol = PROTOCOLS[self.config.protocol]
        # Answers lose control characters and tags when they are read, so right answers must lose them too.
        self.golds = tuple(self.protocol.accept(gold, bounded=False)[0] or gold for gold in task.golds)
        self.seats = self.config.seats
        self._prompts = prompt_style(self.config.prompts)
        # A seed of its own: a generator shared by several games would tie their shuffles together.
        self._seed = int(rng.integers(2**53)) if isinstance(rng, np.random.Generator) else int(rng)
        self._rng = np.random.default_rng(self._seed)
        self._inputs: list[tuple[str, Result]] = []
        self._open: dict[str, tuple[Request, Callable[[Any], None]]] = {}
        self._scores: dict[str, bool] = {}
        self._mixed: list[Passage] = []
        self._is_mixed_again = False
        opening = self._prompts.proposer(self.config, task)
        self._proposer = Conversation(
            self._public_id, PROPOSER_SEAT, "propose", opening, self.protocol, self.config.proposer
        )
        if task.question:
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
            result: Text or `Reply` for `Turn` and `Read`, passages for `Search`, `Open` and `Noise`, a bool
                for `Judge`; a `Failure` for any of them ends the game as `error`.

        Raises:
            ValueError: If no such request is open, or a passage has a score that is infinite or NaN.
            TypeError: If the result does not fit the request, or a passage has a field of another type.
        """
        if request_id not in self._open:
            raise ValueError(
                f"request {request_id!r:.100} is not open; open are: {', '.join(self._open) or 'none'}"
            )
        request, proceed = self._open[request_id]
        if isinstance(request, Turn | Read) and isinstance(result, str):
            result = as_reply(result)
        check_result(request, result)
        if isinstance(result, list):
            result = [storable(checked_passage(passage)) for passage in result]
        self._inputs.append((request_id, result))
        if isinstance(result, Failure):
            detail = result.named(source_of(request))
            self.events.append(GameBroken(request_id, detail))
            self._end("error", "error", detail)
            return
        del self._open[request_id]
        proceed(result)

    @property
    def evidence(self) -> list[Passage]:
        """What the engine returned to the proposer, each passage once."""
        return self._proposer.evidence()

    @property
    def queries(self) -> tuple[str, ...]:
        """The proposer's searches that were executed, in order."""
        return tuple(self._proposer.queries)

    def snapshot(self) -> dict[str, Any]:
        """The game as plain data: task, rules, seed and every result submitted so far."""
        return snapshot.encode(self.task, self.config, self._seed, self.id, self.earlier, self._inputs)

    @classmethod
    def restore(cls, data: Mapping[str, Any]) -> Game:
        """Rebuild a game from `snapshot()` by replaying it.

        Raises:
            ValueError: If the data is not a snapshot of this version, whatever else it is.
        """
        try:
            task, config, seed, game_id, earlier, inputs = snapshot.decode(data)
            game = cls(task, config, seed, game_id, earlier)
            for request_id, result in inputs:
                game.submit(request_id, result)
        except ValueError as error:
            # What came may be long, and stands in some messages.
            if len(str(error)) <= _LONGEST_MESSAGE:
                raise
            raise ValueError(f"{error!s:.{_LONGEST_MESSAGE}} ...") from error
        except Exception as error:
            version = snapshot.SNAPSHOT_VERSION
            raise ValueError(
                f"expected a game snapshot of version {version}, got one that cannot be read: "
                f"{type(error).__name__}: {error!s:.1000}"
            ) from error
        return game

    def __reduce__(self) -> tuple[Callable[[Mapping[str, Any]], Game], tuple[dict[str, Any]]]:
        # Open requests hold functions, which do not pickle; a replay makes them anew.
        return Game.restore, (self.snapshot(),)

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
        step, detail = seat.next_step(action)
        if step == "final":
            self._finish(seat, action)
        elif step == "search":
            request = Search(f"{seat.seat}/search/{len(seat.queries)}", seat.seat, detail, self.config.top_k)
            self._ask(request, lambda passages: self._take_search(seat, detail, passages))
        elif step == "open":
            asked = Open(f"{seat.seat}/open/{seat.opened}", seat.seat, detail)
            self._ask(asked, lambda passages: self._take_page(seat, detail, passages))
        elif step == "notice":
            notice = cast(Notice, detail)
            seat.notify(notice)
            self.events.append(NoticeGiven(seat.seat, notice))
            self._ask_turn(seat)
        else:
            self.events.append(SeatForfeited(seat.seat, detail))
            self._forfeit(seat, detail)

    def _take_search(self, seat: Conversation, query: str, passages: list[Passage]) -> None:
        seat.show(query, passages, shown_result(passages, self.config).passages)
        self.events.append(SearchReturned(seat.seat, query, tuple(passages)))
        self._ask_turn(seat)

    def _take_page(self, seat: Conversation, passage_id: str, passages: list[Passage]) -> None:
        seat.show_page(passages, shown_result(passages, self.config).passages)
        self.events.append(PageOpened(seat.seat, passage_id, tuple(passages)))
        self._ask_turn(seat)

    def _finish(self, seat: Conversation, action: Action) -> None:
        if seat is self._proposer:
            self._check_rules(action.content)
            return
        shown = shown_result(seat.passages, self.config).passages
        if self.config.grounded and (fault := self._check_quotations(seat.seat, action, shown, 1)):
            self.events.append(AnswerScored(seat.seat, action.content, False, fault))
            self._close_attempt(seat.seat, False)
        else:
            self._score_answer(seat.seat, action.content, partial(self._close_attempt, seat.seat))

    def _forfeit(self, seat: Conversation, code: str) -> None:
        if seat is self._proposer:
            self._end("invalid", code)
        else:
            self._close_attempt(seat.seat, False)

    # -- rules and readings ----------------------------------------------------------------------------

    def _check_rules(self, question: str) -> None:
        # On one line, it cannot lay out a document of its own in the prompts that show it.
        question = self.question = " ".join(question.split())
        evidence = self.evidence
        code = first_violation(
            question,
            self.golds,
            self.queries,
            evidence,
            self.config,
            self.task.hops,
            self.earlier,
            self._proposer.fruitless,
        )
        self.events.append(QuestionProposed(question, code or ""))
        if code:
            self._end("invalid", code)
            return
        if self.config.probes in ((), ("closed_book",)):
            # Nobody reads passages.
            self._ask_readings(self.config.probes)
        elif self.config.noise_passages:
            self.phase = "verify"
            known = frozenset(passage.id for passage in evidence)
            noise = Noise("noise", self.config.noise_passages, known, self.config.noise_unit)
            self._ask(noise, lambda passages: self._mix_evidence(passages, self.config.probes))
        else:
            self._mix_evidence([], self.config.probes)

    def _mix_evidence(self, noise: list[Passage], probes: tuple[Probe, ...]) -> None:
        passages, before = [*self.evidence, *noise], self._mixed
        self._mixed = [passages[index] for index in self._rng.permutation(len(passages))]
        if before and _in_order(self._mixed, self.evidence) == _in_order(before, self.evidence):
            # By chance the order of the first reading; backwards it is another one.
            self._mixed.reverse()
        noise_ids = frozenset(passage.id for passage in noise)
        self.events.append(EvidenceMixed(tuple(self._mixed), noise_ids))
        self._ask_readings(probes)

    def _mix_again(self) -> None:
        """Mix the evidence in another order with noise that the first reading did not have."""
        probes: tuple[Probe, ...] = ("second_recovery",)
        if self.config.noise_passages:
            known = frozenset(passage.id for passage in (*self.evidence, *self._mixed))
            noise = Noise("noise/second", self.config.noise_passages, known, self.config.noise_unit)
            self._ask(noise, lambda passages: self._mix_evidence(passages, probes))
        else:
            self._mix_evidence([], probes)

    def _ask_readings(self, probes: tuple[Probe, ...]) -> None:
        """Ask for the first of the readings that are left; open the attempts after the last one."""
        if not probes:
            self._open_attempts()
            return
        self.phase = "verify"
        probe, *left = probes
        if probe == "second_recovery" and not self._is_mixed_again:
            self._is_mixed_again = True
            self._mix_again()
            return
        messages = self._reading_prompt(probe)
        quoting = self.config.quotations_wanted(probe, self.task.hops) > 0
        view = View(self._public_id, READER_SEAT, "verify", messages, 1, 0, probe=probe, must_quote=quoting)
        request = Read("read" if probe == "recovery" else f"read/{probe}", view)
        self._ask(request, lambda reply: self._take_reading(probe, reply, tuple(left)))

    def _reading_prompt(self, probe: Probe) -> tuple[Message, ...]:
        if probe == "closed_book":
            return self._prompts.closed_book(self.config, self.question)
        style = self._prompts.all_answers if probe == "uniqueness" else self._prompts.reader
        return style(self.config, self.question, shown_evidence(self._mixed, self.config).passages)

    def _take_reading(self, probe: Probe, reply: Reply, left: tuple[Probe, ...]) -> None:
        action: Action = self.protocol.parse(reply, "answer", has_search_tool=False)
        self.events.append(ReadingGiven(reply, action, probe))
        said = action.content if action.kind == "answer" else ""
        answers = listed(said) if probe == "uniqueness" else [said] * bool(said)
        if not answers and probe != "closed_book":
            self._end("invalid", "no_reading")
            return
        shown = shown_evidence(self._mixed, self.config).passages
        least = self.config.quotations_wanted(probe, self.task.hops)
        if least and (fault := self._check_quotations(READINGS[probe], action, shown, least)):
            self._end("invalid", fault)
            return
        # A closed-book reader who says nothing knows nothing, as it should.
        proceed = partial(self._ask_readings, left)
        self._expect(probe != "closed_book", READINGS[probe], answers, REFUSED_BY[probe], proceed)

    def _check_quotations(
        self, seat: str, action: Action, shown: Sequence[Passage], least: int
    ) -> QuoteFault | None:
        """Hold what a seat quotes against what it was shown."""
        quoted = quotations(self.protocol, action)
        missing = missing_quotations(self.protocol, quoted, shown)
        self.events.append(QuotationsChecked(seat, quoted, missing))
        return quote_fault(quoted, missing, least)

    def _expect(
        self, right: bool, seat: str, answers: Sequence[str], code: str, proceed: Callable[[], None]
    ) -> None:
        """Go on if the answers are all right, or all wrong, as wanted; else the question is invalid."""
        if not answers:
            proceed()
            return
        answer, *others = answers
        # In a loop, because a list of hundreds of aliases would exhaust the stack.
        while right and others and exact_match(answer, self.golds):
            self.events.append(AnswerScored(seat, answer, True, "exact_match"))
            answer, *others = others

        def take(correct: bool) -> None:
            if correct is not right:
                self._end("invalid", code)
            else:
                self._expect(right, seat, others, code, proceed)

        self._score_answer(seat, answer, take)

    # -- attempts and scores ---------------------------------------------------------------------------

    def _open_attempts(self) -> None:
        self.phase = "solve"
        opening = self._prompts.solver(self.config, self.question)
        shared = (opening, self.protocol, self.config.solver, self.config.grounded)
        for seat in self.seats[1:]:
            self._ask_turn(Conversation(self._public_id, seat, "solve", *shared))

    def _score_answer(self, seat: str, answer: str, proceed: Callable[[bool], None]) -> None:
        def take(correct: bool, scorer: str) -> None:
            self.events.append(AnswerScored(seat, answer, correct, scorer))
            proceed(correct)

        right = exact_match(answer, self.golds)
        if right or not self.config.judge:
            take(right, "exact_match")
        else:
            asked = sum(isinstance(event, AnswerScored) and event.seat == seat for event in self.events)
            golds = self.task.golds
            request = Judge(f"{seat}/judge" + f"/{asked}" * bool(asked), self.question, answer, golds)
            self._ask(request, lambda correct: take(correct, "judge"))

    def _close_attempt(self, seat: str, correct: bool) -> None:
        self._scores[seat] = correct
        if len(self._scores) == self.config.attempts:
            self._end("valid", "solved" if any(self._scores.values()) else "unsolved")

    # -- the end ---------------------------------------------------------------------------------------

    def _end(self, verdict: Verdict, reason: str, failure: str | None = None) -> None:
        self.phase = "done"
        self._open.clear()
        rewards = dict.fromkeys(self.seats, 0.0)
        success_rate = None
        if verdict == "valid":
            rewards |= {seat: float(correct) for seat, correct in self._scores.items()}
            success_rate = sum(self._scores.values()) / self.config.attempts
            rewards[PROPOSER_SEAT] = proposer_reward(self.config.reward, success_rate)
        elif verdict == "invalid":
            rewards[PROPOSER_SEAT] = self.config.invalid_reward
        metrics = count_metrics(self.events, self.config)
        self.outcome = Outcome(verdict, reason, self.question, success_rate, rewards, metrics, failure)


def _in_order(mixed: Sequence[Passage], evidence: Sequence[Passage]) -> list[str]:
    """The ids of the evidence, in the order in which a reader is shown it."""
    kept = {passage.id for passage in evidence}
    return [passage.id for passage in mixed if passage.id in kept]
