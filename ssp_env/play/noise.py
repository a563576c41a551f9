"""Noise for the RAG check: passages that other games over the same corpus found (paper section 3.3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssp_env.game import Game, Noise
from ssp_env.game.passage import Passage


@dataclass(frozen=True, slots=True)
class NoiseDraw:
    """Noise for one game, before more is sampled from its corpus.

    Attributes:
        passages: Drawn from the evidence of other games.
        missing: Number of passages still to be sampled from the corpus.
        known: Ids that must not be sampled.
        rng: Generator to sample with.
    """

    passages: list[Passage]
    missing: int
    known: frozenset[str]
    rng: np.random.Generator


class EvidencePool:
    """The evidence that the games of one cohort have found.

    A draw depends only on the pool, the seed and the game's id, and not on earlier draws.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[int, tuple[str, list[Passage]]]] = {}
        self._sorted: dict[str, tuple[list[str], list[Passage]]] = {}

    def add(self, place: int, game: Game) -> None:
        """Add the evidence of a game; `place` is its place among the games."""
        if evidence := game.evidence:
            self._found.setdefault(game.task.corpus, {})[place] = (game.id, evidence)
            self._sorted.pop(game.task.corpus, None)

    def draw(self, game: Game, request: Noise, seed: int) -> NoiseDraw:
        """Draw the noise that a request wants; the evidence of every game of the cohort must have been added.

        If the pool has too few passages, `NoiseDraw.missing` is the number still needed. If the request is
        for the whole evidence of other games, passages are missing only if no other game found any.
        """
        rng = np.random.default_rng([seed, *game.id.encode("utf-8", "surrogatepass")])
        if request.unit == "evidence":
            drawn = self._draw_evidence(game, request, rng)
            missing = 0 if drawn else request.passages
        else:
            drawn = self._draw_passages(game.task.corpus, request, rng)
            missing = request.count - len(drawn)
        known = request.exclude | {passage.id for passage in drawn}
        return NoiseDraw(drawn, missing, known, rng)

    def _draw_passages(self, corpus: str, request: Noise, rng: np.random.Generator) -> list[Passage]:
        ids, passages = self._by_id(corpus)
        places = ((bisect_left(ids, passage_id), passage_id) for passage_id in sorted(request.exclude))
        excluded = [place for place, passage_id in places if ids[place : place + 1] == [passage_id]]
        order: Sequence[int] = rng.permutation(len(ids) - len(excluded))[: request.count].tolist()
        return [passages[_skip(index, excluded)] for index in order]

    def _draw_evidence(self, game: Game, request: Noise, rng: np.random.Generator) -> list[Passage]:
        found = self._found.get(game.task.corpus, {})
        others = [
            [passage for passage in evidence if passage.id not in request.exclude]
            for _, (game_id, evidence) in sorted(found.items())
            if game_id != game.id
        ]
        units = [foreign for foreign in others if foreign]
        chosen = [units[index] for index in rng.permutation(len(units))[: request.count]]
        return list({passage.id: passage for unit in chosen for passage in unit}.values())

    def _by_id(self, corpus: str) -> tuple[list[str], list[Passage]]:
        """Return sorted ids and their passages; of several copies of a passage, the last game's is kept."""
        if corpus not in self._sorted:
            found = sorted(self._found.get(corpus, {}).items())
            by_id = {passage.id: passage for _, (_, evidence) in found for passage in evidence}
            ids = sorted(by_id)
            self._sorted[corpus] = (ids, [by_id[passage_id] for passage_id in ids])
        return self._sorted[corpus]


def _skip(index: int, excluded: Sequence[int]) -> int:
    """Return the place of the `index`-th item that is not excluded; `excluded` is ascending."""
    for place in excluded:
        if index < place:
            break
        index += 1
    return index
