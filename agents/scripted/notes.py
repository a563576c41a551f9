"""What a seat of the terse game can know: its messages, read back as facts, searches and a task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ssp_env.game import PROTOCOLS, View
from ssp_env.game.view import FinalKind
from ssp_env.worlds import TerseFact, TerseQuestion, parse_facts, parse_question

TERSE = PROTOCOLS["terse"]
NOTHING = TERSE.notices["no_results"]
"""The answer of a reader whose passages do not state a fact that the question asks for."""
LINK = "is"
"""The one word with which facts are read backwards; no passage contains it."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Messages of one conversation, read as a model would read them.

    Attributes:
        opening: The opening message without its observation, if it has one.
        searches: Queries written so far, in order.
        facts: Facts shown so far, each once, in order of first appearance.
    """

    opening: str
    searches: tuple[str, ...] = ()
    facts: tuple[TerseFact, ...] = ()

    @classmethod
    def take(cls, view: View, final: FinalKind) -> Notes:
        """Read the messages of a view.

        Args:
            view: A view of the terse game.
            final: Kind of action that ends this seat's conversation.
        """
        opening, shown = _split_opening(view.messages[0].content)
        searches = []
        for message in view.messages[1:]:
            if message.role == "tool":
                shown += " ; " + _observed(message.content)
            elif (action := TERSE.parse(message.content, final)).kind == "search":
                searches.append(action.content)
        return cls(opening, tuple(searches), tuple(dict.fromkeys(parse_facts(shown))))

    def question(self) -> TerseQuestion:
        """Return the question of a solver's or reader's opening.

        A question outside the grammar counts as one without relations about its last word.

        >>> Notes("solve seat tavom ?").question()
        TerseQuestion(relations=(), entity='tavom')
        """
        text = self.opening.partition(" ")[2]
        words = [word for word in text.split() if word != "?"]
        return parse_question(text) or TerseQuestion((), words[-1] if words else "?")

    def task(self) -> tuple[int, str]:
        """Return hops and answer of a proposer's opening.

        >>> Notes("propose 3 : tavom").task()
        (3, 'tavom')

        Raises:
            ValueError: If the opening is not that of the terse prompts.
        """
        words = self.opening.split()
        if len(words) < 4 or words[0] != "propose" or not words[1].isdecimal() or words[2] != ":":
            raise ValueError(f"expected 'propose HOPS : ANSWER' (prompts='terse'), got {self.opening!r}")
        return int(words[1]), " ".join(words[3:])


def _split_opening(content: str) -> tuple[str, str]:
    """Return a message without its observation, and the observation."""
    before, mark, rest = content.partition(f"<{TERSE.observation}>")
    observed, _, after = rest.rpartition(f"</{TERSE.observation}>")
    return (" ".join((before + after).split()), observed) if mark else (content, "")


def _observed(content: str) -> str:
    return _split_opening(content)[1]


class Walk(NamedTuple):
    """How far a question's chain leads through known facts.

    Attributes:
        trail: Entities reached, the one the question names first.
        steps: The facts that lead from each entity of the trail to the next.
        missing: The look-up (entity, relation) that failed; None if the whole chain was walked.
    """

    trail: tuple[str, ...]
    steps: tuple[TerseFact, ...]
    missing: tuple[str, str] | None


def walk(question: TerseQuestion, facts: Iterable[TerseFact]) -> Walk:
    """Follow the question's relations through `facts`, the last relation first.

    >>> walk(TerseQuestion(("mayor", "seat"), "belin"), [TerseFact("belin", "seat", "corun")]).missing
    ('corun', 'mayor')
    """
    known = {(fact.subject, fact.relation): fact for fact in facts}
    trail = [question.entity]
    steps: list[TerseFact] = []
    for relation in reversed(question.relations):
        key = (trail[-1], relation)
        if key not in known:
            return Walk(tuple(trail), tuple(steps), key)
        steps.append(known[key])
        trail.append(known[key].target)
    return Walk(tuple(trail), tuple(steps), None)


def quoting(facts: Iterable[TerseFact], action: str) -> str:
    """Put the facts an action rests on before it, as its reasoning.

    >>> quoting([TerseFact("belin", "seat", "corun")], "<search> corun </search>")
    'belin seat corun <search> corun </search>'
    """
    return " ".join([*(word for fact in facts for word in fact), action])


def backwards(chain: Sequence[TerseFact]) -> str:
    """Read facts from target to subject, each the target of the next.

    >>> backwards([TerseFact("belin", "seat", "corun"), TerseFact("tavom", "mayor", "belin")])
    'corun is seat of belin is mayor of tavom'
    """
    return " ".join(
        [*(fact.target for fact in chain[:1]), *(f"{LINK} {f.relation} of {f.subject}" for f in chain)]
    )
