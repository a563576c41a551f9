"""The prose rendering: encyclopedic passages of 60 to 120 words, and questions as a person might ask them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

from ssp_env.worlds.config import WorldConfig
from ssp_env.worlds.graph import WORLD_VERSION, Amount, FactGraph
from ssp_env.worlds.hashing import below, draw, mix64, shuffled, text_key
from ssp_env.worlds.prose_names import ProseNames

MIN_WORDS = 60
MAX_WORDS = 120
MIN_QUESTION_WORDS = 10

_LATEST_GOAL = 90
_QUESTION = text_key("question")

_WHO = ("Who was", "What is the name of", "Can you name", "According to the encyclopedia, who was")
_WHAT = (
    "What is",
    "What is the name of",
    "Can you name",
    "According to the encyclopedia, what is the name of",
)
_OPENING = re.compile("|".join(map(re.escape, sorted({*_WHO, *_WHAT}, key=len, reverse=True))))
_ENTITY = re.compile(r"(?:the )?([A-Z].*)|[a-z]+ite")


_PIECE = re.compile(r"\[([^\]]+)\]|\{(\w+)\}")


class Template:
    """A sentence with slots, `{s}`, and choices, `[stone|brick]`; choices may hold slots.

    >>> Template("{S} stands on [{o}|{o}].").fill({"S": "It", "o": "clay"}, bits=7)
    'It stands on clay.'
    """

    def __init__(self, source: str) -> None:
        """Parse the template once, so that filling it is fast."""
        self.source = source
        self._pieces: list[tuple[str, str, tuple[Template, ...]]] = []
        end = 0
        for match in _PIECE.finditer(source):
            choices, slot = match.groups()
            options = templates(*choices.split("|")) if choices else ()
            self._pieces.append((source[end : match.start()], slot or "", options))
            end = match.end()
        self._tail = source[end:]

    def fill(self, slots: Mapping[str, str], bits: int) -> str:
        """Return the sentence; `bits`, a number of 64 random bits, decides the choices.

        Raises:
            KeyError: If the template has a slot that is missing in `slots`.
        """
        parts = []
        for text, slot, options in self._pieces:
            parts.append(text)
            if slot:
                parts.append(slots[slot])
            else:
                bits = mix64(bits)
                parts.append(options[below(bits, len(options))].fill(slots, bits))
        return "".join(parts) + self._tail


def templates(*sources: str) -> tuple[Template, ...]:
    """Return the templates for several sentences."""
    return tuple(map(Template, sources))


@dataclass(frozen=True, slots=True)
class TypePhrases:
    """The sentences and phrases for entities of one type.

    Slots: `{N}` and `{n}` the entity's name, `{S}` and `{s}` a reference to it (pronoun, "the city", name),
    `{p}` its possessive and `{t}` its object pronoun, `{o}` the fact's target,
    `{v}` the year or amount; capitals open a sentence.

    Attributes:
        leads: First sentences; each states the type's year.
        facts: Relation word -> sentences that state it.
        amounts: Sentences that state the type's amount.
        alias: A sentence that gives another name, `{a}`; empty if the type has none.
        fillers: Sentences that state no fact.
        asked: Relation word -> noun phrases for its target, which a question chains. What follows `{x}` makes
            a phrase fit for the innermost entity only.
    """

    leads: tuple[Template, ...]
    facts: Mapping[str, tuple[Template, ...]]
    amounts: tuple[Template, ...]
    alias: tuple[Template, ...]
    fillers: tuple[Template, ...]
    asked: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TypePhrases:
        """Read the phrases of one type in `phrases.json`, whose keys are the attributes."""
        return cls(
            leads=templates(*data["leads"]),
            facts={relation: templates(*told) for relation, told in data["facts"].items()},
            amounts=templates(*data["amounts"]),
            alias=templates(*data["alias"]),
            fillers=templates(*data["fillers"]),
            asked={relation: tuple(asked) for relation, asked in data["asked"].items()},
        )


_DATA = json.loads(files(__package__).joinpath("phrases.json").read_text(encoding="utf-8"))
PHRASES = MappingProxyType({name: TypePhrases.from_dict(data) for name, data in _DATA.items()})
"""Type name -> its phrases."""


class ProseQuestion(NamedTuple):
    """A parsed question: its relation words in reading order, and the entity from which they are followed."""

    relations: tuple[str, ...]
    entity: str


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


class ProseRendering:
    """Names, passages and questions of one prose world."""

    def __init__(self, config: WorldConfig, graph: FactGraph) -> None:
        """Write about the facts of `graph`."""
        self._graph = graph
        self._names = ProseNames(config, graph.layout)
        self.name = self._names.name
        self.aliases = self._names.aliases
        self._key = text_key("prose", WORLD_VERSION, config.split, config.index)

    def _draws(self, index: int) -> Iterator[int]:
        """Yield the random bits that choose the wording of a passage."""
        return map(partial(draw, draw(self._key, index)), count())

    def amounts(self, index: int) -> tuple[Amount, ...]:
        """Return the numbers that a passage states: the year, and in two of three passages the amount."""
        year = self._graph.year(index)
        return (year, self._graph.amount(index)) if draw(self._key, index) % 3 else (year,)

    def text(self, index: int) -> str:
        """Return the text of a passage: a lead sentence, facts, and filler sentences up to a drawn length."""
        phrases = PHRASES[self._graph.kind(index).name]
        draws = self._draws(index)
        constant = self._constant_slots(index)
        year, *amount = self.amounts(index)

        def sentence(choices: Sequence[Template], target: str = "", value: str = "") -> str:
            template = choices[below(next(draws), len(choices))]
            reference = self._reference(index, next(draws))
            slots = {"s": reference, "S": _capitalised(reference), "o": target, "O": _capitalised(target)}
            return template.fill({**constant, **slots, "v": value}, next(draws))

        lead = sentence(phrases.leads, value=str(year.value))
        body = [
            sentence(phrases.facts[relation], self._names.mention(target))
            for relation, target in self._graph.links(index)
        ]
        body += [sentence(phrases.amounts, value=f"{value:,}") for _, value in amount]
        goal = MIN_WORDS + below(next(draws), _LATEST_GOAL - MIN_WORDS)
        words = sum(len(text.split()) for text in (lead, *body))
        for filler in self._fillers(index, next(draws)):
            if words >= goal:
                break
            body.append(sentence((filler,)))
            words += len(body[-1].split())
        return " ".join([lead, *shuffled(next(draws), body)])

    def _constant_slots(self, index: int) -> dict[str, str]:
        mention = self._names.mention(index)
        pronouns = self._names.pronouns(index)
        return {
            "n": mention,
            "N": _capitalised(mention),
            "a": self._names.alias_mention(index) or "",
            "p": pronouns.possessive,
            "P": _capitalised(pronouns.possessive),
            "t": pronouns.object,
        }

    def _reference(self, index: int, bits: int) -> str:
        """Return a pronoun, more often than not, or a short reference: a surname, "the city"."""
        if below(bits, 8) < 5:
            return self._names.pronouns(index).subject
        kind = self._graph.kind(index).name
        return self.name(index).split()[-1] if kind == "person" else f"the {kind}"

    def _fillers(self, index: int, bits: int) -> list[Template]:
        """Return filler sentences in the order of their use, in one of three passages an alias first."""
        phrases = PHRASES[self._graph.kind(index).name]
        fillers = shuffled(bits, phrases.fillers)
        alias = phrases.alias if self._names.alias_mention(index) and bits % 3 == 0 else ()
        return [*alias, *fillers]

    def question(self, relations: Sequence[str], entities: Sequence[int]) -> str:
        """Write a question of at least ten words about a path; its relations are in reading order."""
        key = draw(self._key, _QUESTION, *entities)
        asked = self._names.mention(entities[0])
        for step, relation in enumerate(reversed(relations)):
            choices = PHRASES[self._graph.kind(entities[step]).name].asked[relation]
            if step:
                choices = tuple(choice for choice in choices if "{x}" not in choice)
            choice = choices[below(draw(key, step), len(choices))]
            asked = choice.format(x=asked) if "{x}" in choice else f"{choice} {asked}"
        openings = _WHO if self._graph.kind(entities[-1]).name == "person" else _WHAT
        long_enough = [o for o in openings if len(f"{o} {asked}".split()) >= MIN_QUESTION_WORDS]
        return f"{long_enough[below(draw(key, len(relations)), len(long_enough))]} {asked}?"

    def parse(self, question: str) -> ProseQuestion | None:
        """Parse a question in the wording of this rendering; return None for any other question."""
        opening = _OPENING.match(question)
        if opening is None or not question.endswith("?"):
            return None
        rest = question[opening.end() : -1].strip()
        relations: list[str] = []
        while not (entity := _ENTITY.fullmatch(rest)):
            for prefix, suffix, relation in _asked_phrases():
                if rest.startswith(prefix) and rest.endswith(suffix):
                    relations.append(relation)
                    rest = rest[len(prefix) : len(rest) - len(suffix)]
                    break
            else:
                return None
        return ProseQuestion(tuple(relations), entity[1] or entity[0].capitalize()) if relations else None


@cache
def _asked_phrases() -> tuple[tuple[str, str, str], ...]:
    """Return every (prefix, suffix, relation word) of the question grammar, longest prefix first."""
    phrases = set()
    for type_phrases in PHRASES.values():
        for relation, choices in type_phrases.asked.items():
            for choice in choices:
                prefix, _, suffix = choice.partition("{x}")
                phrases.add((f"{prefix.strip()} ", suffix, relation))
    return tuple(sorted(phrases, key=lambda phrase: (-len(phrase[0]), -len(phrase[1]), phrase)))
