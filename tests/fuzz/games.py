"""Games of generated turns, and what must hold after every one of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from ssp_env.game import PROTOCOLS, Failure, Game, GameConfig, Judge, Noise, Open, Read, Search, Task, Turn
from ssp_env.game.events import NoticeGiven, ReadingGiven, SeatForfeited, TurnTaken
from ssp_env.game.outcome import REASON_CODES
from ssp_env.game.passage import Passage
from ssp_env.game.protocol import MALFORMED_CODES
from ssp_env.game.requests import Request, Result
from ssp_env.game.view import as_reply
from ssp_env.viewer.text import render_events
from tests.fuzz.texts import TextGenerator
from tests.game.doubles import PAGES, QUESTION, TASK

ACTIONS = ("search", "open", "question", "answer", *(f"malformed/{code}" for code in MALFORMED_CODES))


@dataclass
class Tally:
    """What a run has met so far.

    Attributes:
        turns: Turns taken and readings given.
        games: Games played to their end.
        actions: Action kinds and codes, per protocol.
        reasons: Reasons of outcomes.
        notices: Notices and forfeits.
    """

    turns: int = 0
    games: int = 0
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)

    def unmet(self) -> list[str]:
        """Actions of any protocol and reasons that never occurred."""
        met = {action for _, action in self.actions}
        return [name for name in ACTIONS if name not in met] + [
            n for n in REASON_CODES if n not in self.reasons
        ]


def play_game(rng: random.Random, texts: TextGenerator, tally: Tally, protocol: str = "") -> Game:
    """Play one game of generated turns and check it.

    Raises:
        AssertionError: If an invariant is broken.
    """
    protocol = protocol or rng.choice(sorted(PROTOCOLS))
    config = _config(rng, protocol)
    earlier = () if config.max_similarity is None else (QUESTION, "who is \ud800 ?")
    game = Game(_task(rng), config, rng.randrange(2**32), "g", earlier=earlier)
    while requests := game.requests():
        request = requests[rng.randrange(len(requests))]
        seen = len(game.events)
        game.submit(request.id, _result(request, game, rng, texts))
        for event in game.events[seen:]:
            if isinstance(event, TurnTaken | ReadingGiven):
                check_action(game, event)
                tally.turns += 1
                action = event.action
                name = f"{action.kind}/{action.code}" if action.code else action.kind
                tally.actions[protocol, name] += 1
            elif isinstance(event, NoticeGiven):
                tally.notices[event.notice] += 1
            elif isinstance(event, SeatForfeited):
                tally.notices[f"forfeit: {event.code}"] += 1
    check_end(game, thoroughly=rng.random() < 0.02)
    tally.games += 1
    assert game.outcome is not None
    tally.reasons[game.outcome.reason] += 1
    return game


def _task(rng: random.Random) -> Task:
    if rng.random() < 0.9:
        return TASK
    golds = [rng.choice(("2019", "the", "é\u200b", "\ud800s", "a|b", "<answer>", "Tavor")) for _ in range(3)]
    return Task(golds[0], aliases=tuple(golds[1:]), hops=2, id="t")


def _config(rng: random.Random, protocol: str) -> GameConfig:
    rag_check = rng.random() < 0.3
    return GameConfig(
        protocol=protocol,
        prompts="terse",
        attempts=rng.choice((1, 1, 2)),
        min_searches=rng.choice((0, 0, 1, 2)),
        min_question_words=rng.choice((0, 10)),
        max_question_chars=rng.choice((100, 1000)),
        answer_in_search=rng.random() < 0.7,
        rag_check=rag_check,
        second_reading=rag_check and rng.random() < 0.3,
        quote_check=rng.choice(("off", "off", "any", "per_hop")) if rag_check else "off",
        grounded=rng.random() < 0.2,
        noise_passages=rng.choice((0, 1)),
        judge=rng.random() < 0.2,
        closed_book=rng.random() < 0.1,
        uniqueness=rng.random() < 0.2,
        hop_check=rng.choice(("off", "off", "at_least", "exact")),
        max_similarity=rng.choice((None, None, 0.5)),
    ).with_budget(
        max_searches=rng.choice((1, 3, 3)),
        max_turns=rng.choice((2, 4, 6)),
        retries=rng.choice((0, 2, 5)),
        max_tokens=rng.choice((None, None, 9)),
    )


def _result(request: Request, game: Game, rng: random.Random, texts: TextGenerator) -> Result:
    if rng.random() < 0.003:
        return Failure("down \ud800")
    if isinstance(request, Turn | Read):
        reply = as_reply(
            texts.reply(game.protocol, "question" if request.view.phase == "propose" else "answer")
        )
        tokens = tuple(range(rng.choice((0, 0, 4))))
        return replace(reply, token_ids=tokens)
    if isinstance(request, Judge):
        request.candidate.encode("utf-8")
        return rng.random() < 0.5
    if isinstance(request, Search):
        request.query.encode("utf-8")
        assert 0 < len(request.query) <= game.protocol.max_chars
    if isinstance(request, Open):
        request.passage_id.encode("utf-8")
        return [Passage(request.passage_id, "", texts.passage_text())] * rng.randrange(2)
    if rng.random() < 0.3 and not isinstance(request, Noise):
        return [Passage("cut#2/3", texts.passage_text(), texts.passage_text())]
    count = request.count if isinstance(request, Noise) else rng.randrange(4)
    if rng.random() < 0.7:
        return rng.sample(PAGES, count)
    return [Passage(f"x{index}", texts.passage_text(), texts.passage_text()) for index in range(count)]


def check_action(game: Game, event: TurnTaken | ReadingGiven) -> None:
    """Check what was read in a reply."""
    action, text = event.action, event.reply.text
    assert text.startswith(action.text) and len(action.text) + action.dropped == len(text)
    assert (action.kind == "malformed") == (not action.content) == bool(action.code)
    assert action.content == game.protocol.escape(action.content).strip()
    action.content.encode("utf-8")


def check_end(game: Game, *, thoroughly: bool) -> None:
    """Check a finished game; thoroughly means that it is also stored, restored and rendered."""
    assert game.outcome is not None
    assert set(game.outcome.rewards) == set(game.seats)
    if thoroughly:
        copy = Game.restore(json.loads(json.dumps(game.snapshot())))
        assert (copy.events, copy.outcome) == (game.events, game.outcome)
        render_events(game.events).encode("utf-8")
