"""Texts that players might write: grammar-aware, from well-formed actions to Unicode horrors."""

from __future__ import annotations

import json
import random
from typing import Literal

from ssp_env.game import PROTOCOLS, Protocol, Reply, ToolCall
from ssp_env.game.view import FinalKind
from tests.game.doubles import QUESTION

WORDS = ("belin", "corun", "sarn", "Tavor", "who", "is", "the", "mother", "of", "a", "2019", "?", "nobody")
TAGS = sorted({tag for protocol in PROTOCOLS.values() for tag in protocol.tags})
CONTROL_TOKENS = (
    "<|im_start|>system\n",
    "<|im_end|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<｜User｜>",
    "<s>",
    "[INST]",
    "<start_of_turn>",
    "<|",
    "|>",
)
HORRORS = (
    "\x00",
    "\ud800",
    "\udfff",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u0301",
    "\u0323",
    "\u034f",
    "\ufe0f",
    "\x1b[2J",
    "\x85",
    "\u2028",
    "\U000e0041",
    "＜",
    "ａ",
    "𝐓",
    "ﬁ",
    "İ",
    "ß",
    "ﷺ",
    "नमस्ते",
    "עברית",
    "👩‍👩‍👧",
    "\U0010ffff",
)
JSON_PIECES = (
    '{"name": "search", "arguments": ',
    '{"query": ',
    '{"query_list": ',
    '["a", "b"]',
    '"belin"',
    '"browse"',
    "}",
    "{",
    "[",
    "]",
    '"',
    "\\",
    "\\ud800",
    ":",
    ",",
    "null",
    "1e999",
    "9" * 50,
    "NaN",
)
LONG_UNITS = (
    *[f"<{tag}>" for tag in TAGS],
    *[f"</{tag}>" for tag in TAGS],
    "<",
    "[",
    "{",
    "[" * 9,
    " ",
    "a ",
)


class TextGenerator:
    """Draws replies of a player of one protocol.

    Args:
        rng: The private source of randomness.
        longest: Length of the longest runs, in characters.
    """

    def __init__(self, rng: random.Random, longest: int = 20_000) -> None:
        self._rng = rng
        self._longest = longest

    def reply(self, protocol: Protocol, final: FinalKind) -> str | Reply:
        """Draw a reply: half of them hold a well-formed action, and nothing is impossible."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.5:
            kinds: tuple[Literal["search", "question", "answer"], ...] = (
                "search",
                "question",
                "answer",
                final,
            )
            if protocol.open and rng.random() < 0.3:
                written = protocol.write("open", self._reference())
            else:
                written = protocol.write(rng.choice(kinds), self._content())
            text = written.text if rng.random() < 0.6 else f"{self._soup(4)}{written.text}{self._soup(3)}"
            return Reply(text, tool_calls=written.tool_calls) if written.tool_calls else text
        if kind < 0.55:
            return f"<{protocol.search}>{self._json(8)}</{protocol.search}>"
        if kind < 0.65 and protocol.calls == "native":
            return Reply(self._soup(3), tool_calls=tuple(self._call() for _ in range(rng.randrange(1, 4))))
        if kind < 0.998:
            return self._soup(rng.choice((0, 1, 3, 8, 20)))
        return self._soup(2) + rng.choice(LONG_UNITS) * rng.randrange(1, self._longest // 8) + self._soup(4)

    def passage_text(self) -> str:
        """Draw the text of a page."""
        return self._soup(self._rng.randrange(6))

    def _content(self) -> str:
        rng = self._rng
        kind = rng.random()
        if kind < 0.3:
            return QUESTION
        if kind < 0.5:
            return rng.choice(("Tavor", "TAVOR", "belin", "corun", "sarn"))
        if kind < 0.9:
            return " ".join(rng.choices(WORDS, k=rng.randrange(16)))
        return self._soup(5) if kind < 0.98 else "word " * rng.randrange(600)

    def _reference(self) -> str:
        """Draw what names a part of a page, mostly of the page that searches find."""
        return self._rng.choice(("cut#1", "cut#2/3", "cut#3", "cut", "p0", "cut#4", "cut#0", self._content()))

    def _soup(self, pieces: int) -> str:
        return "".join(self._piece() for _ in range(pieces))

    def _piece(self) -> str:
        rng = self._rng
        kind = rng.randrange(12)
        if kind < 4:
            tag = f"<{rng.choice(('', '/'))}{rng.choice(TAGS)}>"
            return tag if kind < 3 else self._damaged(tag)
        if kind < 7:
            return rng.choice(WORDS) + " "
        if kind < 8:
            return rng.choice(CONTROL_TOKENS)
        if kind < 10:
            return rng.choice(HORRORS)
        return self._json(2) if kind < 11 else chr(rng.randrange(0x110000))

    def _damaged(self, tag: str) -> str:
        rng = self._rng
        place = rng.randrange(len(tag))
        return rng.choice(
            (
                tag[:place],
                tag[place:],
                tag.upper(),
                tag[:place] + rng.choice(HORRORS) + tag[place:],
                tag.replace(">", ' lang="en">'),
                tag.translate({ord("<"): "＜", ord(">"): "＞"}),
            )
        )

    def _json(self, pieces: int) -> str:
        rng = self._rng
        if rng.random() < 0.3:
            if rng.random() < 0.2:
                arguments = {
                    "page": rng.choice(("cut", "", 5)),
                    "part": rng.choice((1, 2.0, 2.5, True, None, "3")),
                }
                return json.dumps({"name": "open", "arguments": arguments})
            query = rng.choice(("belin", ["belin"], ["belin", "corun"], [], 5, None, {}))
            return json.dumps({"name": rng.choice(("search", "browse")), "arguments": {"query": query}})
        return "".join(rng.choice(JSON_PIECES) for _ in range(pieces))

    def _call(self) -> ToolCall:
        rng = self._rng
        arguments = rng.choice(
            (json.dumps({"query": self._content()}), self._json(5), '{"query": ["a", "b"]}')
        )
        return ToolCall(
            rng.choice(("c1", "c2", "\ud800")), rng.choice(("search", "search", "browse")), arguments
        )
