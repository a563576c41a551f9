"""The parts of the page that are the same for all games: markup, style and scripts, and what they may do.

The scripts are plain JavaScript without a build step and without a library: the page must open from a disk,
years later, without a network, and whoever reads it can read all that it runs.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import ssp_env
from ssp_env.game.protocol import PROTOCOLS
from ssp_env.game.rules import RULE_CODES
from ssp_env.game.view import READINGS
from ssp_env.viewer.reasons import REASONS

SCRIPTS = (
    *("text.js", "store.js", "route.js", "filters.js", "list.js", "tokens.js", "turns.js", "game.js"),
    *("curves.js", "figures.js", "main.js"),
)
"""In the order in which they are put together; each uses what stands before it."""
GENERATOR = "ssp-env viewer"


@cache
def script() -> str:
    """All scripts as one, with names that nothing else on the page sees."""
    parts = [f"// {name}\n{_read(name)}" for name in SCRIPTS]
    return '\n(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


@cache
def style() -> str:
    """The style sheet."""
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
    """What a browser lets the page do: run our script, use our style, and ask nobody for anything.

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
    """What the scripts know of the game: the tags of all protocols, the codes of rules and their meaning."""
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
