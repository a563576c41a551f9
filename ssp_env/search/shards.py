"""Shards of one index behind servers of their own as one search engine: rankings are those of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from itertools import chain

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy, arun, run
from ssp_env.http.concurrency import gather
from ssp_env.search.bm25.directory import Shard
from ssp_env.search.engine import check_search
from ssp_env.search.errors import SearchError
from ssp_env.search.remote import POLICY, RemoteEngine
from ssp_env.search.replicas import ReplicatedEngine


class ShardedEngine(AbstractContextManager["ShardedEngine"], AbstractAsyncContextManager["ShardedEngine"]):
    """Ranked retrieval by servers of which each has a shard, as `ssp index build --shards` makes them.

    Every search goes to all shards, and their rankings are merged by score and id. As scores are by the
    statistics of the whole corpus, the result is to the last bit that of one index of everything, and so is
    the fingerprint. A shard that fails fails the search: part of a corpus is another corpus.

    Which shards the servers have is compared before the first search, and again after one has failed.

    Args:
        shards: For each shard, in any order, the address of its server, or addresses of its replicas.
        api_key: As for `RemoteEngine`; sent to all of them.
        policy: As for `RemoteEngine` and, where there are replicas, for `ReplicatedEngine`.
        max_queries: As for `RemoteEngine`.

    Raises:
        ValueError: If an argument is out of range, or an address is malformed or given twice.
    """

    def __init__(
        self,
        shards: Sequence[str | Sequence[str]],
        *,
        api_key: str | None = None,
        policy: RequestPolicy = POLICY,
        max_queries: int = 256,
    ) -> None:
        if isinstance(shards, str) or not shards:
            raise ValueError(f"expected the addresses of the servers of one or more shards, got {shards!r}")
        self._shards = tuple((one,) if isinstance(one, str) else tuple(one) for one in shards)
        addresses = [*chain.from_iterable(self._shards)]
        if len({*addresses}) < len(addresses):
            raise ValueError(f"expected each server once, got {addresses!r}")
        self._options = {"policy": policy, "max_queries": max_queries}
        self._engines = [_client(one, api_key, policy, max_queries) for one in self._shards]
        self._whole: str | None = None

    def __reduce__(self) -> tuple[partial[ShardedEngine], tuple[tuple[tuple[str, ...], ...]]]:
        self._engines[0].__reduce__()  # It refuses to pickle a key.
        return partial(ShardedEngine, **self._options), (self._shards,)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self._shards]!r})"

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        for engine in self._engines:
            engine.close()

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages that the whole index ranks best, as `SearchEngine.search` says.

        Raises:
            SearchError: What the first shard raises that fails, or if the servers do not have all shards of
                one index.
        """
        return run(self._search(queries, top_k))

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking."""
        return await arun(self._search(queries, top_k))

    def get_passages(self, ids: Sequence[str]) -> list[Passage | None]:
        """Return passages by their ids, as `RemoteEngine.get_passages` does."""
        found: dict[str, Passage] = {}
        for engine in self._engines:
            given = engine.get_passages([one for one in ids if one not in found])
            found |= {passage.id: passage for passage in given if passage is not None}
        return [found.get(one) for one in ids]

    def fingerprint(self) -> str:
        """Return the fingerprint of the whole index.

        Raises:
            SearchError: If a server cannot be reached, or they do not have all shards of one index.
        """
        return run(self._check())

    # -- on the loop of ssp_env.http ---------------------------------------------------------------------

    async def _search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        check_search(queries, top_k)
        await self._check()
        try:
            rankings = await gather(
                [engine.asearch(queries, top_k) for engine in self._engines], len(self._engines)
            )
        except SearchError as error:
            self._whole = None
            problem = f"one of {len(self._engines)} shards failed: {error.problem}"
            raise type(error)(problem, error.url, error.status) from error
        return [merge_rankings(found, top_k) for found in zip(*rankings, strict=True)]

    async def _check(self) -> str:
        """Make sure that the servers have all shards of one index, unless that is known."""
        if self._whole is None:
            named = await gather([engine.afingerprint() for engine in self._engines], len(self._engines))
            self._whole = whole_of(named)
        return self._whole


def merge_rankings(rankings: Iterable[Sequence[Passage]], top_k: int) -> list[Passage]:
    """Return the best passages of the rankings of shards for one query, best first, ties by id."""
    return sorted(chain.from_iterable(rankings), key=lambda found: (-found.score, found.id))[:top_k]


def whole_of(fingerprints: Sequence[str]) -> str:
    """Return the fingerprint of the index whose shards have these fingerprints.

    Raises:
        SearchError: If they are not all shards of one index, each once.

    >>> whole_of(["shard:2/2:a1b2", "shard:1/2:a1b2"])
    'a1b2'
    """
    shards = [Shard.from_fingerprint(one) for one in fingerprints]
    first, of = shards[0], len(shards)
    if first is None or {*shards} != {Shard(number, of, first.whole) for number in range(1, of + 1)}:
        told = ", ".join(sorted(fingerprints))
        raise SearchError(f"expected servers of all {of} shards of one index, each once, got {told}")
    return first.whole


def _client(
    urls: Sequence[str], api_key: str | None, policy: RequestPolicy, max_queries: int
) -> RemoteEngine | ReplicatedEngine:
    if len(urls) == 1:
        return RemoteEngine(urls[0], api_key=api_key, policy=policy, max_queries=max_queries)
    return ReplicatedEngine(urls, api_key=api_key, policy=policy, max_queries=max_queries)
