"""Sentence templates: slots in braces, free choices in brackets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ssp_env.worlds.hashing import below, mix64

_PIECE = re.compile(r"\[([^\]]+)\]|\{(\w+)\}")


class Template:
    """A sentence with slots, `{s}`, and choices, `[stone|brick]`; choices may hold slots.

    >>> Template("{S} stands on [{o}|{o}].").fill({"S": "It", "o": "clay"}, bits=7)
    'It stands on clay.'
    """

    def __init__(self, source: str) -> None:
        """Take the template apart once, so that filling it is cheap."""
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
        """Return the sentence; `bits` (64 of them) settle the choices.

        Raises:
            KeyError: The template has a slot that `slots` has not.
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
    """How one type of entity is written about.

    Slots: `{N}` and `{n}` the entity's name, `{S}` and `{s}` a reference to it (pronoun, "the city", name),
    `{p}` its possessive and `{t}` its object pronoun, `{o}` the fact's target,
    `{v}` the year or amount; capitals open a sentence.

    Attributes:
        noun: What a reference calls it ("city").
        leads: First sentences; each states the type's year.
        facts: Relation word -> sentences that state it.
        amounts: Sentences that state the type's amount.
        alias: A sentence that gives another name, `{a}`; empty if the type has none.
        fillers: Sentences that state no fact.
        asked: Relation word -> noun phrases for its target, which a question chains. What follows `{x}` makes
            a phrase fit for the innermost entity only.
    """

    noun: str
    leads: tuple[Template, ...]
    facts: Mapping[str, tuple[Template, ...]]
    amounts: tuple[Template, ...]
    alias: tuple[Template, ...]
    fillers: tuple[Template, ...]
    asked: Mapping[str, tuple[str, ...]]
