"""Several servers of one corpus as one search engine: work is spread, and a server that fails is left out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count
from typing import TypeVar

import anyio

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy, arun, run
from ssp_env.http.concurrency import gather
from ssp_env.search.engine import check_search
from ssp_env.search.errors import BadSearchReply, SearchError, SearchTimeout, SearchUnavailable
from ssp_env.search.remote import NAMED_BY_ADDRESS, POLICY, RemoteEngine

_log = logging.getLogger("ssp_env.search")
_FAILS_OVER = (SearchTimeout, SearchUnavailable, BadSearchReply)

Value = TypeVar("Value")


@dataclass(eq=False, slots=True)
class _Replica:
    """One server, and what is known of it."""

    engine: RemoteEngine
    under_way: int = 0
    last_asked: int = 0
    down_until: float = 0.0
    is_checked: bool = False
    was_used: bool = False


class ReplicatedEngine(
    AbstractContextManager["ReplicatedEngine"], AbstractAsyncContextManager["ReplicatedEngine"]
):
    """Ranked retrieval by any of several servers of one corpus, for instance `ssp serve` on several ports.

    A request goes to the server with the fewest under way. If that does not answer, breaks off, fails (5xx)
    or sends a malformed result, the request goes to another, and the server is left out for `rest` seconds;
    then one request tries it again, as all do where no other server answers. Nothing is lost as long as one
    is left. A request that a server refuses (4xx) is not sent to another.

    What a server searches is compared when it is first used and whenever it comes back: by the fingerprint
    of its `/health`, so that results of all replicas may share a cache. Servers without one are trusted.

    Args:
        urls: Addresses, two or more.
        api_key: As for `RemoteEngine`; sent to all of them.
        policy: As for `RemoteEngine`. `timeout` is for a request with all its tries, of which each gets an
            equal share; `max_retries` is how often all servers are tried again, and `concurrency` is that of
            each.
        max_queries: As for `RemoteEngine`; parts of a longer search go to different servers.
        rest: Seconds for which a server that failed is left out.

    Raises:
        ValueError: If an argument is out of range, or an address is malformed or given twice.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        api_key: str | None = None,
        policy: RequestPolicy = POLICY,
        max_queries: int = 256,
        rest: float = 5.0,
    ) -> None:
        addresses = [url.rstrip("/").removesuffix("/retrieve") for url in urls]
        if isinstance(urls, str) or len(addresses) < 2 or len({*addresses}) < len(addresses):
            raise ValueError(f"expected the addresses of two or more servers, each once, got {urls!r}")
        if not rest >= 0:
            raise ValueError(f"rest must be 0 or more, got {rest}")
        self._urls = tuple(urls)
        self._policy, self._max_queries, self._rest = policy, max_queries, rest
        once = replace(policy, max_retries=0, timeout=policy.timeout / len(addresses))
        make = partial(RemoteEngine, api_key=api_key, policy=once, max_queries=max_queries)
        self._replicas = [_Replica(make(address)) for address in addresses]
        self._named: str | None = None
        self._turns = count(1)

    def __reduce__(self) -> tuple[partial[ReplicatedEngine], tuple[tuple[str, ...]]]:
        self._replicas[0].engine.__reduce__()  # It refuses to pickle a key.
        options = {"policy": self._policy, "max_queries": self._max_queries, "rest": self._rest}
        return partial(ReplicatedEngine, **options), (self._urls,)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self._urls]!r})"

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        for replica in self._replicas:
            replica.engine.close()

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages that a server ranks best for each query, as `SearchEngine.search` says.

        Raises:
            SearchError: If a server refuses, searches something else, or none answers.
        """
        return run(self._search(queries, top_k))

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking."""
        return await arun(self._search(queries, top_k))

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return passages by their ids, as `RemoteEngine.get_passages` does.

        A server gives out what its own searches have listed, so all are asked until everything is found.

        Raises:
            SearchError: If a server refuses, or none answers.
        """
        return run(self._open(list(ids)))

    def fingerprint(self) -> str:
        """Return the fingerprint of what all servers search that can be reached.

        Raises:
            SearchError: If two of them search something else, or none can be reached.
        """
        return run(self._compare())

    async def afingerprint(self) -> str:
        """Do the same as `fingerprint` without blocking."""
        return await arun(self._compare())

    # -- on the loop of ssp_env.http ---------------------------------------------------------------------

    async def _search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        check_search(queries, top_k)
        step = self._max_queries
        parts = [
            self._ask(partial(RemoteEngine.asearch, queries=queries[start : start + step], top_k=top_k))
            for start in range(0, len(queries), step)
        ]
        return [*chain.from_iterable(await gather(parts, self._policy.concurrency * len(self._replicas)))]

    async def _open(self, ids: list[str]) -> list[Passage | None]:
        found: dict[str, Passage] = {}
        failures: list[SearchError] = []
        for replica in self._in_order():
            missing = [one for one in ids if one not in found]
            if not missing and found:
                break
            try:
                given = await self._try(replica, partial(RemoteEngine.aget_passages, ids=missing))
            except _FAILS_OVER as error:
                failures.append(error)
            else:
                found |= {passage.id: passage for passage in given if passage is not None}
        if len(failures) == len(self._replicas):
            raise _nobody(failures)
        return [found.get(one) for one in ids]

    async def _compare(self) -> str:
        failures: list[SearchError] = []
        for replica in self._replicas:
            try:
                await self._check(replica)
            except (SearchTimeout, SearchUnavailable) as error:
                failures.append(error)
        if len(failures) == len(self._replicas):
            raise _nobody(failures)
        addresses = "\n".join(sorted(self._urls))
        return self._named or NAMED_BY_ADDRESS + hashlib.sha256(addresses.encode()).hexdigest()

    async def _ask(self, request: Callable[[RemoteEngine], Awaitable[Value]]) -> Value:
        """Send a request to one server after another until one answers it, within the time there is."""
        failures: list[SearchError] = []
        pause, asked = self._policy.backoff, ""
        with anyio.move_on_after(self._policy.timeout):
            for turn in range(1 + self._policy.max_retries):
                if turn:
                    await asyncio.sleep(min(pause, self._policy.max_backoff))
                    pause *= 2
                failures = []
                for replica in self._in_order():
                    asked = str(replica.engine)
                    try:
                        return await self._try(replica, request)
                    except _FAILS_OVER as error:
                        failures.append(error)
            raise _nobody(failures)
        told = "; ".join([*map(str, failures), f"the last that was asked is {asked}"])
        raise SearchTimeout(f"no replica answered within {self._policy.timeout:g} seconds: {told}")

    async def _try(self, replica: _Replica, request: Callable[[RemoteEngine], Awaitable[Value]]) -> Value:
        replica.under_way += 1
        replica.last_asked = next(self._turns)
        try:
            value = await self._served(replica, request)
        except _FAILS_OVER as error:
            if isinstance(error, OtherCorpusError) and not replica.was_used:
                raise SearchError(error.problem, error.url) from error
            if replica.is_checked or replica.down_until == 0.0:
                _log.warning("%s is left out for %g seconds: %s", replica.engine, self._rest, error)
            replica.is_checked = False
            replica.down_until = asyncio.get_running_loop().time() + self._rest
            raise
        finally:
            replica.under_way -= 1
        replica.was_used = True
        replica.down_until = 0.0
        return value

    async def _served(self, replica: _Replica, request: Callable[[RemoteEngine], Awaitable[Value]]) -> Value:
        try:
            await self._check(replica)
            return await request(replica.engine)
        except SearchError as error:
            if isinstance(error, _FAILS_OVER) or error.status not in self._policy.retried_statuses:
                raise
            # Too many requests for this server are not too many for another.
            raise SearchUnavailable(error.problem, error.url, error.status) from error

    async def _check(self, replica: _Replica) -> None:
        """Make sure that a server searches what the others do, unless that is known."""
        if replica.is_checked:
            return
        named = await replica.engine.afingerprint()
        if not named.startswith(NAMED_BY_ADDRESS):
            if named != (self._named or named):
                raise OtherCorpusError(
                    f"expected a server of the corpus {self._named!r}, as the other replicas are, got one "
                    f"of {named!r}",
                    repr(replica.engine),
                )
            self._named = named
        replica.is_checked = True

    def _in_order(self) -> list[_Replica]:
        """Servers that are not left out first; of these those with the least to do, and they in turn."""
        now = asyncio.get_running_loop().time()

        def is_left_out(one: _Replica) -> bool:
            # Of a server that failed one request at a time finds out whether it is back.
            return one.down_until > now or (one.down_until > 0 and one.under_way > 0)

        return sorted(self._replicas, key=lambda one: (is_left_out(one), one.under_way, one.last_asked))


class OtherCorpusError(BadSearchReply):
    """A replica that searches something else than the others."""


def _nobody(failures: Sequence[SearchError]) -> SearchError:
    """The error of a request that no server has answered, of the kind of the last failure."""
    told = "; ".join(str(failure) for failure in failures)
    last = failures[-1]
    return type(last)(f"none of {len(failures)} replicas answered: {told}", "", last.status)
