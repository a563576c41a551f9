"""Players and search results from memory, so that only the time of the environment is measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ssp_env.game import Game, GameConfig, Task, View
from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.worlds import KnownQuestion, World, world_preset

SEARCHES = 4
"""Searches of the proposer, and of the solver."""

POLITE_WORDS = "please tell me now would you"
"""Makes short questions long enough for the rules."""


@dataclass
class TapeEngine:
    """Searches once for each query, and returns the same result from memory afterwards."""

    engine: BM25Engine
    found: dict[str, list[Passage]] = field(default_factory=dict)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages of each query; only new queries are sent to the engine."""
        for query in queries:
            if query not in self.found:
                self.found[query] = self.engine.search([query], top_k)[0]
        return [self.found[query] for query in queries]

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Draw from the engine's corpus."""
        return self.engine.sample(rng, count, exclude)

    def fingerprint(self) -> str:
        """Return the fingerprint of the engine."""
        return self.engine.fingerprint()


class TapePlayer:
    """Plays all roles from memory: `SEARCHES` searches, then the question or the answer."""

    def __init__(self, questions: Sequence[KnownQuestion], names: Sequence[str]) -> None:
        self._finals = [
            (
                f"<question> {known.question} {POLITE_WORDS} </question>",
                f"<answer> {known.answer} </answer>",
            )
            for known in questions
        ]
        self._searches = [
            f"<think> Next comes {name}. </think> <search> who is near {name} and where is it </search>"
            for name in names
        ]
        self.turns = 0

    def act(self, view: View) -> str:
        """Return the next line."""
        self.turns += 1
        number, turn = int(view.game_id), (len(view.messages) - 1) // 2
        question, answer = self._finals[number % len(self._finals)]
        if view.role == "reader":
            return answer
        if turn < SEARCHES:
            return self._searches[(7 * number + 3 * turn + len(view.seat)) % len(self._searches)]
        return question if view.final_action == "question" else answer


@dataclass(frozen=True)
class Scene:
    """A large world with its engine, and games that a tape plays over it."""

    engine: BM25Engine
    questions: Sequence[KnownQuestion]
    names: Sequence[str]

    @classmethod
    def open(cls, passages: int) -> Scene:
        """Generate an English world with this number of passages and index it."""
        world = World(replace(world_preset("small"), entities=passages))
        questions = world.questions(3, 200, np.random.default_rng(0))
        names = [entity.name for _, entity in zip(range(500), world.entities())]
        return cls(BM25Engine(world.passages()), questions, names)

    def games(self, count: int) -> list[Game]:
        """Open games under the default rules."""
        return [
            Game(
                Task(self.questions[index % len(self.questions)].answer, id=str(index)),
                GameConfig(),
                rng=index,
            )
            for index in range(count)
        ]

    def player(self) -> TapePlayer:
        """Return a player of these games."""
        return TapePlayer(self.questions, self.names)
