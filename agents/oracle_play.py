"""Demonstrations from oracle play: games over a world, played for real by a player that knows the answers.

`python -m agents.oracle_play` writes those of the prompt style `drawn` anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ssp_env.game import PROTOCOLS, Game, GameConfig, Task, View
from ssp_env.game.events import SearchReturned
from ssp_env.game.prompts import demonstrations as demonstration_prompts
from ssp_env.game.prompts.demonstrations import Demonstration, Listing, Query
from ssp_env.play import play
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.engine import SearchEngine
from ssp_env.worlds import KnownQuestion, World, WorldConfig

WORLD = WorldConfig.from_id("small-train-999999")
"""The world of the style `drawn`: its split keeps its names out of held-out measurements."""
COUNT, HOPS, SEED = 2, 2, 0
FILE = Path(demonstration_prompts.__file__).with_name("drawn.json")
_MAX_DRAWS = 200
_HEADING = re.compile(r"Doc \d+ \(Title: (.*)\)")
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class OraclePlayer:
    """Plays every role of one game and knows its question and answer, in the protocol of tags.

    As the proposer it searches for the answer and then for each entity on the path, back to the second; as
    the solver it searches for each entity on the path, from the first. Where an answer needs quotations, it
    copies the sentences that state the links of the path.

    Args:
        known: A question of the world, with its answer and the path to it.
        complete: Whether the proposer also searches for the first entity of the path, so that a reader finds
            every link of it in the evidence; rules that want quotations refuse most questions without.
    """

    def __init__(self, known: KnownQuestion, *, complete: bool = False) -> None:
        self.known = known
        self.complete = complete

    def act(self, view: View) -> str:
        """Search for what comes next, or write the question or the answer."""
        protocol = PROTOCOLS["default"]
        path, asked = self.known.entities, sum(message.role == "assistant" for message in view.messages)
        backwards = path[:0:-1] if len(path) > 2 and not self.complete else path[::-1]
        wanted = {"proposer": backwards, "solver": path[:-1], "reader": ()}[view.role]
        if asked < len(wanted):
            return protocol.write("search", wanted[asked]).text
        if view.final_action == "question":
            return protocol.write("question", self.known.question).text
        shown = "\n".join(message.content for message in view.messages)
        quoted = proof(self.known, shown) if view.must_quote else []
        answer = protocol.write("answer", self.known.answer).text
        return "\n".join([*(protocol.wrap(protocol.quote, text) for text in quoted), answer])


def proof(known: KnownQuestion, shown: str) -> list[str]:
    """Return for each link of a question's path the sentence that states it, where one was shown.

    Args:
        known: The question.
        shown: Passages as players see them, each behind a line with its title.
    """
    sentences: dict[str, list[str]] = {}
    title = ""
    for line in shown.splitlines():
        if heading := _HEADING.fullmatch(line):
            title = heading[1]
        else:
            sentences.setdefault(title, []).extend(_END_OF_SENTENCE.split(line))
    links = [
        [text for text in sentences.get(start, ()) if end.removeprefix("The ").casefold() in text.casefold()]
        for start, end in pairwise(known.entities)
    ]
    return [stated[0] for stated in links if stated]


def draw_demonstrations(
    world: World, count: int, rng: np.random.Generator, *, hops: int = 2, engine: SearchEngine | None = None
) -> list[Demonstration]:
    """Play known questions of a world until `count` of them make good demonstrations.

    A demonstration is a game that was valid and solved, in which proposer and solver found every passage of
    the path, searched for nothing that they had not read of before, and always found as many passages as
    there may be: small models copy steps that do not follow, and take a short result for the last one.

    Args:
        world: A prose world; terse games have no use for demonstrations.
        count: Demonstrations wanted, about different answers.
        rng: Source of the choice.
        hops: Hops of the questions, 1 to 4.
        engine: Searches the world's passages; a BM25 engine if None.

    Raises:
        ValueError: If the world is terse, or too few of its games will do.
    """
    if world.config.rendering != "prose":
        raise ValueError(f"demonstrations are drawn from prose worlds, {world.id} is terse")
    engine = BM25Engine(world.passages()) if engine is None else engine
    found: dict[str, Demonstration] = {}
    for _ in range(_MAX_DRAWS):
        if len(found) == count:
            return list(found.values())
        (known,) = world.questions(hops, 1, rng)
        demonstration = _demonstrated(known, engine)
        if demonstration is not None:
            found.setdefault(known.answer, demonstration)
    raise ValueError(f"{world.id}: only {len(found)} of {count} demonstrations in {_MAX_DRAWS} games")


def _demonstrated(known: KnownQuestion, engine: SearchEngine) -> Demonstration | None:
    """The game of a question, if it will do."""
    game = Game(Task(known.answer, known.aliases, known.hops, id="oracle"), GameConfig())
    player = OraclePlayer(known)
    (outcome,) = play([game], proposer=player, solver=player, search=engine)
    returned = [event for event in game.events if isinstance(event, SearchReturned)]
    searches = {
        seat: tuple((event.query, event.passages) for event in returned if event.seat == seat)
        for seat in game.seats
    }
    proposing, solving = (searches[seat] for seat in game.config.seats)
    found = [{passage.id for _, passages in made for passage in passages} for made in searches.values()]
    follows = (_follows(known.answer, proposing), _follows(known.question, solving))
    full = all(len(event.passages) == game.config.top_k for event in returned)
    complete = all(set(known.passage_ids) <= ids for ids in found)
    # Some names stand in other passages without their capital; a demonstrated answer is copied to the letter.
    copied = any(known.answer in passage.text for _, passages in solving for passage in passages)
    if outcome.reason != "solved" or not (full and complete and copied and all(follows)):
        return None
    shown = PROTOCOLS["default"].passages([passage for _, passages in solving for passage in passages])
    quoted = tuple(proof(known, shown))
    return Demonstration(known.answer, known.question, _bare(proposing), _bare(solving), known.hops, quoted)


def _follows(told: str, searches: Sequence[Query]) -> bool:
    """Whether each query stands in what its player was told and found before."""
    for query, passages in searches:
        if query not in told:
            return False
        told = " ".join([told, *(f"{passage.title} {passage.text}" for passage in passages)])
    return True


def _bare(searches: Sequence[Query]) -> tuple[Query, ...]:
    # Ids and scores are no part of what a player sees.
    return tuple(
        (query, tuple(replace(passage, id="", score=0.0) for passage in passages))
        for query, passages in searches
    )


def style_data() -> dict[str, Any]:
    """Return what the style `drawn` is made of, as plain data."""
    shown = draw_demonstrations(World(WORLD), COUNT, np.random.default_rng(SEED), hops=HOPS)
    titles = dict.fromkeys(passage.title for one in shown[:2] for passage in one.passages)
    wrong = shown[1].passages[-1].title
    return {
        "world": WORLD.id,
        "demonstrations": [asdict(one) for one in shown],
        "listing": Listing("What are the titles of the passages?", "; ".join(titles))._asdict(),
        "judged": [f"It is {shown[0].answer}.", wrong, f"the {shown[0].answer}", shown[0].passages[-1].title],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(style_data(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
