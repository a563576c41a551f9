"""Which requests of many games may be served now; every driver uses it, and it calls no service itself.

Three rules make a game independent of the games played at the same time and of the order of answers:

* A game is served in stages. A stage consists of all its open searches; if there are none, of its requests
  for noise; then of its turns and readings; then of its verdicts. The results of a stage are submitted
  together, in the order of the requests.
* Games are counted in the order given, and every `cohort` consecutive games share a pool of evidence. Noise
  is drawn from the pool once all of its games have finished proposing.
* A game that waits for its cohort makes room for other games, which start in order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ssp_env.game import Game, Judge, Noise, Read, Search, Turn
from ssp_env.game.passage import Passage
from ssp_env.game.requests import Request, Result
from ssp_env.objects import check_least
from ssp_env.play.results import FailureLog

DEFAULT_COHORT = 256
"""Number of consecutive games of an iterator whose evidence is noise for each other; a list is one cohort."""

_STAGES = (Search, Noise, (Turn, Read), Judge)


# -- noise for the RAG check: passages that other games over the same corpus found (paper section 3.3) -----


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
        # The noise of a second reading is drawn independently of the first one's.
        key = game.id + request.id.removeprefix("noise")
        rng = np.random.default_rng([seed, *key.encode("utf-8", "surrogatepass")])
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


# -- games and their requests -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """A game that is over.

    Attributes:
        index: Place of the game among the games given, from 0.
        game: The game.
        played: False if the game was already over when the driver came to it.
    """

    index: int
    game: Game
    played: bool


@dataclass(eq=False, slots=True)
class _Cohort:
    pool: EvidencePool = field(default_factory=EvidencePool)
    ids: set[str] = field(default_factory=set)
    proposing: int = 0
    closed: bool = False
    parked: list[_Place] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return self.closed and self.proposing == 0


@dataclass(eq=False, slots=True)
class _Place:
    """A game in progress, and the results it waits for."""

    index: int
    game: Game
    cohort: _Cohort
    proposing: bool = True
    stage: tuple[Request, ...] = ()
    results: dict[str, Result] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class Ask:
    """A request of a game that may be served now.

    Attributes:
        index: Place of the game among the games given.
        position: Place of the request in its stage.
        game: The game.
        request: The request.
        pool: The evidence that the game's cohort found; it is complete if the request is for noise.
    """

    index: int
    position: int
    game: Game
    request: Request
    pool: EvidencePool
    place: _Place = field(repr=False)


class Schedule:
    """Starts games, hands out their requests, submits the results and logs why games ended as `error`.

    Args:
        games: As for `Driver`, like `concurrency` and `cohort`.
        check: Raises an exception if a game cannot be played.

    Raises:
        ValueError: If a number is below 1, or two games of a collection share an id.
    """

    def __init__(
        self,
        games: Iterable[Game],
        check: Callable[[Game], None],
        *,
        concurrency: int | None = None,
        cohort: int | None = None,
    ) -> None:
        check_least(1, concurrency=concurrency, cohort=cohort)
        if isinstance(games, Collection):
            if len({game.id for game in games}) < len(games):
                raise ValueError("games played together need distinct ids (pass game_id=)")
            for game in games:
                check(game)
            self._cohort_size = cohort or max(1, len(games))
        else:
            self._cohort_size = cohort or DEFAULT_COHORT
        self._concurrency = concurrency or self._cohort_size
        self._games: Iterator[Game] = iter(games)
        self._check = check
        self._exhausted = False
        self._admitted = 0
        self._active = 0
        self._alive: dict[str, _Place] = {}
        self._cohort = _Cohort()
        self._resumable: deque[_Place] = deque()
        self._asks: list[Ask] = []
        self._ended: list[Ended] = []
        self._failures = FailureLog()

    @property
    def done(self) -> bool:
        """Whether every game is over and was returned by `ended`."""
        return self._exhausted and not self._alive and not self._ended

    @property
    def alive(self) -> int:
        """Number of games in progress, including those that wait for their cohort."""
        return len(self._alive)

    def take(self) -> list[Ask]:
        """Start games if there is room, and return the requests that were not returned before.

        Raises:
            ValueError: If a game has the id of another game in progress or in its cohort.
        """
        self._fill()
        asks, self._asks = self._asks, []
        return asks

    def submit(self, ask: Ask, result: Result) -> None:
        """Take the result of a request; the game continues once all results of its stage are there."""
        place = ask.place
        place.results[ask.request.id] = result
        if len(place.results) < len(place.stage):
            return
        for request in place.stage:
            # A failure ends the game and closes its other requests.
            if place.game.outcome is None:
                place.game.submit(request.id, place.results[request.id])
        place.results = {}
        self._go_on(place)

    def ended(self) -> list[Ended]:
        """Return the games that are over and were not returned before, in the order of the games."""
        ended, self._ended = sorted(self._ended, key=lambda end: end.index), []
        for end in ended:
            if end.played:
                self._failures.add(end.game)
        if self.done:
            self._failures.close()
        return ended

    # -- starting, parking and ending games ------------------------------------------------------------

    def _fill(self) -> None:
        while self._active < self._concurrency:
            if self._resumable:
                self._active += 1
                self._hand_out(self._resumable.popleft())
            elif self._exhausted or self.alive >= self._concurrency + self._cohort_size:
                break
            else:
                self._admit()

    def _admit(self) -> None:
        game = next(self._games, None)
        cohort = self._cohort
        if game is None:
            self._exhausted = cohort.closed = True
            self._resume(cohort)
            return
        if game.id in self._alive or game.id in cohort.ids:
            raise ValueError(
                f"games played together need distinct ids (pass game_id=), got {game.id!r} twice"
            )
        self._check(game)
        place = _Place(self._admitted, game, cohort)
        self._admitted += 1
        cohort.ids.add(game.id)
        cohort.proposing += 1
        if len(cohort.ids) == self._cohort_size:
            self._cohort = _Cohort()
            cohort.closed = True
        if game.outcome is not None:
            self._stop_proposing(place)
            self._ended.append(Ended(place.index, game, played=False))
            return
        self._alive[game.id] = place
        self._active += 1
        self._go_on(place)

    def _go_on(self, place: _Place) -> None:
        """Hand out the next stage of an active game, or end the game, or park it for its cohort."""
        game = place.game
        if place.proposing and (game.phase != "propose" or game.outcome is not None):
            self._stop_proposing(place)
        if game.outcome is not None:
            self._active -= 1
            del self._alive[game.id]
            self._ended.append(Ended(place.index, game, played=True))
            return
        requests = game.requests()
        place.stage = _first_stage(requests)
        if isinstance(place.stage[0], Noise) and not place.cohort.complete:
            self._active -= 1
            place.cohort.parked.append(place)
        else:
            self._hand_out(place)

    def _hand_out(self, place: _Place) -> None:
        self._asks += [
            Ask(place.index, position, place.game, request, place.cohort.pool, place)
            for position, request in enumerate(place.stage)
        ]

    def _stop_proposing(self, place: _Place) -> None:
        place.proposing = False
        place.cohort.pool.add(place.index, place.game)
        place.cohort.proposing -= 1
        self._resume(place.cohort)

    def _resume(self, cohort: _Cohort) -> None:
        if cohort.complete:
            self._resumable.extend(sorted(cohort.parked, key=lambda place: place.index))
            cohort.parked = []


def _first_stage(requests: tuple[Request, ...]) -> tuple[Request, ...]:
    if len(requests) == 1:
        return requests
    stages = (tuple(request for request in requests if isinstance(request, kind)) for kind in _STAGES)
    return next(filter(None, stages))
