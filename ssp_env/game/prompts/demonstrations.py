"""Prompts that show how others played, for small models, which copy a pattern better than they follow rules.

A short preamble says the rules; then come games from every seat. They stand in one user message or, with
native tool calls, as a conversation, and every action starts its line: a small model forgets the tag behind
other words. Searches show three passages each, as in play: with fewer, the model takes the first real result
for the last one and asks too early.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, cycle
from typing import Any, NamedTuple

from ssp_env.game.config import Budget, GameConfig
from ssp_env.game.passage import Passage
from ssp_env.game.prompts.rule_sentences import budget_rules, proposal_rules, quoted
from ssp_env.game.protocol import PROTOCOLS, Protocol
from ssp_env.game.rules import first_violation
from ssp_env.game.task import Task
from ssp_env.game.view import FinalKind, Message

_OTHER_RULES = "The examples show how to write. They were played by other rules."

Query = tuple[str, tuple[Passage, ...]]
"""What somebody searched for, and what came."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A question and its answer, with what its proposer and its solver searched for.

    Attributes:
        answer: The answer asked for.
        question: What the proposer wrote in the end.
        proposing: The proposer's searches.
        solving: The solver's searches.
        hops: The number of hops asked for.
        quotations: What proves the answer, word for word from what was found.
    """

    answer: str
    question: str
    proposing: tuple[Query, ...]
    solving: tuple[Query, ...]
    hops: int = 2
    quotations: tuple[str, ...] = ()

    @property
    def passages(self) -> list[Passage]:
        """What the proposer found, in order."""
        return [passage for _, found in self.proposing for passage in found]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Demonstration:
        """Rebuild one from `dataclasses.asdict`, or from JSON of that."""
        searches = {
            seat: tuple(
                (query, tuple(Passage(**passage) for passage in found)) for query, found in data[seat]
            )
            for seat in ("proposing", "solving")
        }
        return cls(
            data["answer"],
            data["question"],
            **searches,
            hops=data["hops"],
            quotations=tuple(data["quotations"]),
        )

    def keeps(self, config: GameConfig, final: FinalKind) -> bool:
        """Whether its proposer, if `final` is a question, or its solver kept the rules."""
        if final == "answer":
            return _fits(self.solving, config.solver, config.top_k)
        queries = [query for query, _ in self.proposing]
        broken = first_violation(self.question, [self.answer], queries, self.passages, config, self.hops)
        return broken is None and _fits(self.proposing, config.proposer, config.top_k)


class Listing(NamedTuple):
    """A question with several answers, about the passages of the first two demonstrations."""

    question: str
    answers: str


class FewShot:
    """A prompt style made of demonstrations.

    A proposer or a solver is shown those demonstrations that keep the rules of its game; if none does, it is
    shown all of them and told so.

    Args:
        demonstrations: At least two games, as their players saw them.
        listing: A question with several answers about the first two.
        judged: Answers to the demonstrated questions for a judge to see, right and wrong by turns; as many as
            there are demonstrations, or more.
    """

    def __init__(
        self, demonstrations: Sequence[Demonstration], listing: Listing, judged: Sequence[str]
    ) -> None:
        self.demonstrations = tuple(demonstrations)
        self.listing = listing
        self._judged = tuple(judged)

    @classmethod
    def load(cls, name: str) -> FewShot:
        """Read a style from a JSON file in this folder."""
        data = json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
        demonstrations = [Demonstration.from_dict(one) for one in data["demonstrations"]]
        return cls(demonstrations, Listing(**data["listing"]), data["judged"])

    def proposer(self, config: GameConfig, task: Task) -> tuple[Message, ...]:
        """The rules, demonstrations of searches and a question, then the answer and the hops."""
        protocol = PROTOCOLS[config.protocol]
        kept, note = self._kept(config, "question")
        shown = [
            _Shown(_task(one.answer, one.hops), one.proposing, protocol.write("question", one.question).text)
            for one in kept
        ]
        rules = [*budget_rules(config, "question").values(), *proposal_rules(config, task).values()]
        preamble = "\n".join(["Write a question that has the given answer.", *rules, *note])
        return _messages(protocol, preamble, shown, _task(protocol.escape(task.answer), task.hops))

    def solver(self, config: GameConfig, question: str) -> tuple[Message, ...]:
        """The limits, demonstrations of searches and an answer, then the question."""
        protocol = PROTOCOLS[config.protocol]
        kept, note = self._kept(config, "answer")
        shown = [
            _Shown(
                f"Question: {one.question}",
                one.solving,
                _final(protocol, one, one.solving if config.grounded else ()),
            )
            for one in kept
        ]
        preamble = "\n".join(["Answer the question.", *budget_rules(config, "answer").values(), *note])
        return _messages(protocol, preamble, shown, f"Question: {protocol.escape(question)}")

    def reader(self, config: GameConfig, question: str, passages: Sequence[Passage]) -> tuple[Message, ...]:
        """Demonstrations of passages, a question and an answer, then passages and question."""
        protocol = PROTOCOLS[config.protocol]
        quoting = config.quote_check != "off"
        shown = [
            _Shown(
                _reading(protocol, one.question, one.passages),
                (),
                _final(protocol, one, one.proposing if quoting else ()),
            )
            for one in self.demonstrations
        ]
        return _messages(protocol, "", shown, _reading(protocol, question, passages))

    def closed_book(self, config: GameConfig, question: str) -> tuple[Message, ...]:
        """Demonstrations of a question and an answer, then the question."""
        protocol = PROTOCOLS[config.protocol]
        known = [(f"Question: {one.question}", one.answer) for one in self.demonstrations]
        return _answered(protocol, known, f"Question: {protocol.escape(question)}")

    def all_answers(
        self, config: GameConfig, question: str, passages: Sequence[Passage]
    ) -> tuple[Message, ...]:
        """Demonstrations of a question with one answer and of one with several, then the passages to read."""
        protocol = PROTOCOLS[config.protocol]
        first, second = self.demonstrations[:2]
        both = [*first.passages, *second.passages]
        asked = ((first.question, first.answer), self.listing)
        read = [(_reading(protocol, one, both), answers) for one, answers in asked]
        return _answered(protocol, read, _reading(protocol, question, passages))

    def judge(
        self, protocol: Protocol, question: str, candidate: str, golds: Sequence[str]
    ) -> tuple[Message, ...]:
        """Demonstrations of answers and verdicts, then question, right answers and answer."""
        given = zip(cycle(self.demonstrations), self._judged, cycle(("Correct", "Wrong")), strict=False)
        judged = [
            (_judging(protocol, one.question, said, [one.answer]), verdict) for one, said, verdict in given
        ]
        return _answered(protocol, judged, _judging(protocol, question, candidate, golds))

    def _kept(self, config: GameConfig, final: FinalKind) -> tuple[Sequence[Demonstration], list[str]]:
        """The demonstrations to show, and what has to be said about them."""
        kept = [one for one in self.demonstrations if one.keeps(config, final)]
        return (kept, []) if kept else (self.demonstrations, [_OTHER_RULES])


FEW_SHOT = FewShot.load("few_shot.json")
"""Three short games about made-up things."""
DRAWN = FewShot.load("drawn.json")
"""Games that an oracle played in a fictional world, with searches and passages as long as in play."""


class _Shown(NamedTuple):
    """A demonstration from one seat: what it is told, its searches, what it finally writes."""

    task: str
    searches: tuple[Query, ...]
    final: str


def _fits(searches: Sequence[Query], budget: Budget, top_k: int) -> bool:
    few = len(searches) <= budget.max_searches and len(searches) < budget.max_turns
    return few and all(len(found) <= top_k for _, found in searches)


def _task(answer: str, hops: int) -> str:
    return f"Answer: {answer}\nHops: {hops}"


def _reading(protocol: Protocol, question: str, passages: Sequence[Passage]) -> str:
    return f"{protocol.observe(passages)}\nQuestion: {protocol.escape(question)}"


def _final(protocol: Protocol, one: Demonstration, quotable: Sequence[Query]) -> str:
    """The answer of a demonstration, behind what proves it in the passages that may be quoted."""
    found = [passage.text for _, passages in quotable for passage in passages]
    proofs = [proof for proof in one.quotations if any(proof in text for text in found)]
    quotations = [protocol.wrap(protocol.quote, proof) for proof in proofs]
    return "\n".join([*quotations, protocol.write("answer", one.answer).text])


def _judging(protocol: Protocol, question: str, candidate: str, golds: Sequence[str]) -> str:
    right = ", ".join(quoted(protocol, gold) for gold in golds)
    asked, given = quoted(protocol, question), quoted(protocol, candidate)
    return f"Question: {asked}\nRight answers: {right}\nAnswer given: {given}"


def _answered(protocol: Protocol, examples: Sequence[tuple[str, str]], task: str) -> tuple[Message, ...]:
    """Messages without searches; an example is a task and its answer."""
    shown = [_Shown(told, (), protocol.write("answer", answer).text) for told, answer in examples]
    return _messages(protocol, "", shown, task)


def _messages(
    protocol: Protocol, preamble: str, demonstrations: Sequence[_Shown], task: str
) -> tuple[Message, ...]:
    """One user message of plain text; a conversation, if calls cannot be written as text."""
    played = [_conversation(protocol, number, one) for number, one in enumerate(demonstrations)]
    if protocol.calls == "native":
        said = [Message("system", preamble)] if preamble else []
        return (*said, *chain.from_iterable(played), Message("user", task))
    shown = ["\n".join(message.content for message in one) for one in played]
    return (Message("user", "\n\n".join([*[preamble] * bool(preamble), *shown, task])),)


def _conversation(protocol: Protocol, number: int, shown: _Shown) -> list[Message]:
    messages = [Message("user", shown.task)]
    for place, (query, found) in enumerate(shown.searches):
        call = protocol.write("search", query, call_id=f"example_{number}_{place}")
        said = Message("assistant", call.text, call.tool_calls)
        messages += [said, protocol.answered(said, protocol.observe(found))]
    return [*messages, Message("assistant", shown.final)]
