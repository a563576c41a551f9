"""Demonstrations drawn from oracle play over a fictional world; `agents.oracle_play` plays and writes them.

They show searches and pages as long and as mixed as in play, where those of `few_shot` are short and made up.
"""

from __future__ import annotations

import json
from importlib.resources import files

from ssp_env.game.prompts.demonstrations import Demonstration, FewShot, Listing

_DRAWN = json.loads(files(__package__).joinpath("drawn.json").read_text(encoding="utf-8"))
_STYLE = FewShot(
    [Demonstration.from_dict(one) for one in _DRAWN["demonstrations"]],
    Listing(**_DRAWN["listing"]),
    judged=_DRAWN["judged"],
)

proposer = _STYLE.proposer
solver = _STYLE.solver
reader = _STYLE.reader
closed_book = _STYLE.closed_book
all_answers = _STYLE.all_answers
judge = _STYLE.judge
