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

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ssp_env.game import Game, Judge, Noise, Read, Search, Turn
from ssp_env.game.requests import Request, Result
from ssp_env.play.noise import EvidencePool
from ssp_env.play.results import FailureLog

DEFAULT_COHORT = 256
"""Number of consecutive games of an iterator whose evidence is noise for each other; a list is one cohort."""

_STAGES = (Search, Noise, (Turn, Read), Judge)


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
        for name, value in (("concurrency", concurrency), ("cohort", cohort)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
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
