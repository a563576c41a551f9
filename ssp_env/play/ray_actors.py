"""Play games on Ray actors of one machine or many; each has players of its own and plays cohorts of games."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from ssp_env.game import Failure, Game
from ssp_env.objects import check_least, describe, missing_extra
from ssp_env.play.async_driver import play_async
from ssp_env.play.schedule import DEFAULT_COHORT, Ended

Setup = Callable[[int], Mapping[str, Any]]
"""Called in an actor with its number; returns the arguments of `play_async` other than the games."""


def play_on_actors(
    games: Iterable[Game],
    setup: Setup,
    *,
    actors: int,
    cohort: int = DEFAULT_COHORT,
    in_hand: int = 2,
    tries: int = 3,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Ended]:
    """Play games on Ray actors and yield them as their cohorts end.

    The games are those of `play(games, cohort=cohort)` with the same players, event by event, whichever actor
    plays them and when. At most `actors * in_hand` cohorts are in progress, and no more games are read. If an
    actor dies, another one plays its cohorts again. After `tries` deaths of actors that had a cohort, its
    games end as `error`.

    Args:
        games: Games with distinct ids.
        setup: Opens players and engines in each actor, whose number may choose, say, the server they use.
            Ray pickles it for the actors: by value if it is a lambda or an inner function, otherwise by name,
            so that its module must be importable there.
        actors: Number of actors.
        cohort: Number of consecutive games that are played together, whose evidence is noise for each other.
        in_hand: The most cohorts of an actor at a time: the one that it plays, and those that wait there.
        tries: The most actors that are given a cohort, one after the other, as each of them dies.
        options: Options of the actors, as `ray.remote` takes them, such as `num_cpus` and `resources`.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        ValueError: If a number is below 1.
        Exception: Whatever `setup` or `play_async` raises in an actor.
    """
    check_least(1, actors=actors, cohort=cohort, in_hand=in_hand, tries=tries)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise missing_extra("ray", "ray") from error
    pool = _Actors(ray, setup, actors, options or {})
    waiting = _cohorts(games, cohort)
    again: list[_Cohort] = []
    try:
        while True:
            while (place := pool.free(in_hand)) is not None:
                next_one = again.pop() if again else next(waiting, None)
                if next_one is None:
                    break
                pool.give(place, next_one)
            if not pool.busy:
                return
            ended, lost = pool.wait()
            again += [one for one in lost if one.died < tries]
            for one in [*ended, *(one.failed() for one in lost if one.died >= tries)]:
                yield from (Ended(one.start + place, game, True) for place, game in enumerate(one.games))
    finally:
        pool.kill_all()


@dataclass
class _Cohort:
    """Games that are played together.

    Attributes:
        start: Place of the first one among all games.
        games: The games.
        died: Number of actors that died while they had the cohort.
        reason: The error with which the last of these actors died.
    """

    start: int
    games: Sequence[Game]
    died: int = 0
    reason: str = ""

    def failed(self) -> _Cohort:
        """End the games that are not over as `error`."""
        for game in self.games:
            if game.outcome is None:
                game.submit(game.requests()[0].id, Failure(f"{self.died} Ray actors died: {self.reason}"))
        return self


def _cohorts(games: Iterable[Game], size: int) -> Iterator[_Cohort]:
    left = iter(games)
    for start in count(0, size):
        if not (some := list(islice(left, size))):
            return
        yield _Cohort(start, some)


@dataclass
class _Actors:
    """The actors, and the cohorts that each of them has."""

    ray: Any
    setup: Setup
    count: int
    options: Mapping[str, Any]
    _actors: dict[int, Any] = field(default_factory=dict)
    _given: dict[Any, tuple[int, _Cohort]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return bool(self._given)

    def free(self, in_hand: int) -> int | None:
        """Return the number of the actor that has least to do, if that is less than it may have."""
        loads = dict.fromkeys(range(self.count), 0)
        for place, _ in self._given.values():
            loads[place] += 1
        least = min(loads, key=loads.__getitem__)
        return least if loads[least] < in_hand else None

    def give(self, place: int, cohort: _Cohort) -> None:
        """Have an actor play a cohort, behind those that it has."""
        if place not in self._actors:
            actor = self.ray.remote(max_restarts=0, **self.options)(_Player)
            self._actors[place] = actor.remote(self.setup, place)
        self._given[self._actors[place].play.remote(cohort.games)] = (place, cohort)

    def wait(self) -> tuple[list[_Cohort], list[_Cohort]]:
        """Wait until something ends; return cohorts that were played, and those of actors that died."""
        (reference,), _ = self.ray.wait(list(self._given), num_returns=1)
        place, cohort = self._given.pop(reference)
        try:
            cohort.games = self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            return [], self._remove(place, cohort, describe(error))
        except self.ray.exceptions.RayTaskError as error:
            # What the actor raised, so that callers can catch it by its type.
            raise error.as_instanceof_cause() from None
        return [cohort], []

    def _remove(self, place: int, cohort: _Cohort, reason: str) -> list[_Cohort]:
        """Forget a dead actor, and return the cohorts that it had."""
        logging.getLogger("ssp_env.play").warning("Ray actor %d died: %s", place, reason)
        self._actors.pop(place, None)
        lost = [cohort, *(one for number, one in self._given.values() if number == place)]
        self._given = {ref: given for ref, given in self._given.items() if given[0] != place}
        for one in lost:
            one.died, one.reason = one.died + 1, reason
        return lost

    def kill_all(self) -> None:
        """End all actors; whatever they still play is lost."""
        for actor in self._actors.values():
            self.ray.kill(actor)
        self._actors.clear()
        self._given.clear()


class _Player:
    """An actor: plays cohorts one after the other with what `setup` opened."""

    def __init__(self, setup: Setup, number: int) -> None:
        self._setup, self._number = setup, number
        self._services: Mapping[str, Any] | None = None
        # One for all cohorts, because connections of clients belong to the loop that opened them.
        self._loop = asyncio.new_event_loop()

    def play(self, games: Sequence[Game]) -> list[Game]:
        """Play games to their end and return them."""
        if self._services is None:
            # Opened with the first games: an error is theirs then, and the actor does not die of it.
            self._services = self._setup(self._number)
        played = list(games)
        self._loop.run_until_complete(play_async(played, **self._services))
        return played
