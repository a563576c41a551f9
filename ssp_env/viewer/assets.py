"""The parts of the page that are the same for all games: markup, style, scripts, words, and security policy.

The scripts are plain JavaScript without a build step and without a library: the page must open from a disk,
years later, without a network, and whoever reads it can read all that it runs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import ssp_env
from ssp_env.game.protocol import PROTOCOLS
from ssp_env.game.rules import RULE_CODES
from ssp_env.game.view import READINGS

SCRIPTS = (
    *("text.js", "store.js", "route.js", "filters.js", "list.js", "tokens.js", "turns.js", "game.js"),
    *("curves.js", "figures.js", "main.js"),
)
"""In the order in which they are put together; each uses what stands before it."""
GENERATOR = "ssp-env viewer"
REASONS: Mapping[str, str] = {
    "malformed": "the proposer wrote no complete action too often",
    "turn_limit": "the proposer used up its turns without a question",
    "token_limit": "the proposer used up its tokens without a question",
    "too_short": "the question has too few characters",
    "too_long": "the question has too many characters",
    "too_few_words": "the question has too few words",
    "answer_leak": "the question names its answer",
    "about_documents": "the question points at passages that only the reader is given",
    "no_evidence": "no search of the proposer found anything",
    "too_few_searches": "the proposer searched too few times",
    "repeated_search": "the proposer searched the same words twice",
    "answer_in_search": "a search of the proposer names the answer",
    "wrong_hop_count": "the number of searches does not fit the number of hops",
    "near_duplicate": "the question is too similar to an earlier one",
    "no_reading": "the reader gave no answer",
    "unquoted": "the reader quoted too little of what its answer rests on",
    "misquoted": "the reader quoted what stands in no passage that it was shown",
    "not_recovered": "the reader did not find the answer in the evidence",
    "closed_book": "the reader knew the answer without any passage",
    "not_unique": "the reader found another answer beside the right one",
    "not_confirmed": "the second reading did not find the answer",
    "solved": "a valid question that at least one attempt of the solver answered",
    "unsolved": "a valid question that no attempt of the solver answered",
    "error": "infrastructure failed, so that nobody is paid",
    "unknown": "scored again by rules for which the record does not tell the outcome",
}
"""Every `Outcome.reason`, and `unknown` for records that a rescoring left without an outcome."""


@cache
def script() -> str:
    """Return all scripts as one, in a scope of their own."""
    parts = [f"// {name}\n{_read(name)}" for name in SCRIPTS]
    return '\n(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """Return the style sheet."""
    return "\n" + _read("style.css")


def page_halves(title: str, *, follows: bool = False) -> tuple[str, str]:
    """Return the page as it is before its data, and what comes after the data of its list.

    Args:
        title: Title of the page, as text.
        follows: Whether the page may ask the server that it came from for more.
    """
    before, after = _read("page.html").split("<!-- data -->\n")
    before = before.replace("%policy%", content_security_policy(follows=follows))
    before = before.replace("%generator%", f"{GENERATOR} {ssp_env.__version__}")
    before = before.replace("%style%", style()).replace("%title%", escape(title))
    return before, after.replace("%script%", script())


def content_security_policy(*, follows: bool = False) -> str:
    """Return what a browser lets the page do: run our script, use our style, and request nothing.

    Args:
        follows: Whether the page may ask the server that it came from.
    """
    allowed = [
        "default-src 'none'",
        f"script-src '{_hash(script())}'",
        f"style-src '{_hash(style())}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join([*allowed, "connect-src 'self'"] if follows else allowed)


def vocabulary() -> dict[str, Any]:
    """Return the words of the game for the scripts: tags of all protocols, codes of rules, their meanings."""
    return {
        "version": ssp_env.__version__,
        "protocols": {
            name: {"tags": protocol.tags, "think": protocol.think, "observation": protocol.observation}
            for name, protocol in PROTOCOLS.items()
        },
        "rules": RULE_CODES,
        "readings": READINGS,
        "reasons": REASONS,
    }


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _read(name: str) -> str:
    return files("ssp_env.viewer").joinpath("page", name).read_text(encoding="utf-8")
