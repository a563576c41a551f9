"""A floor for questions about real text: searches the question once and answers with a title it found."""

from __future__ import annotations

import re

from ssp_env.game import PROTOCOLS, View
from ssp_env.scoring.words import fold

_PROTOCOL = PROTOCOLS["default"]
_QUESTION = re.compile(r"^Question: (.*)", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^(?:<information>)?Doc \d+ \(Title: (.*)\)$", re.MULTILINE)
_BRACKET = re.compile(r"\s*\([^()]*\)$")


class TitlePlayer:
    """Solves and reads English games without understanding a word.

    It searches the question as it stands, and answers with the title of the first passage that the question
    does not name; with nothing to read it says `unknown`. Its score on a set of questions is a floor: what
    can be had there without reading.
    """

    prompts = "english"
    """The prompt style it reads."""

    def act(self, view: View) -> str:
        """Search or answer."""
        opening = view.messages[-1 if view.role == "reader" else 1].content
        found = _QUESTION.search(opening)
        question = found[1].strip() if found else opening.strip()
        shown = "\n".join(message.content for message in view.messages if message.role == "tool")
        if view.may_search and not shown:
            return _PROTOCOL.wrap(_PROTOCOL.search, question)
        titles = _TITLE.findall(shown + "\n" + (opening if view.role == "reader" else ""))
        names = [_BRACKET.sub("", title) for title in titles]
        fresh = [name for name in names if name and fold(name) not in fold(question)]
        return _PROTOCOL.wrap(_PROTOCOL.answer, next(iter(fresh), "unknown"))
