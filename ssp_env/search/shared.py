"""One engine for many games that are driven apart from each other, as trainers with a loop per game do."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ssp_env.game.passage import Passage
from ssp_env.objects import check_least, is_async
from ssp_env.search.engine import PassageSampler


class SharedEngine:
    """An engine whose noise comes from what other games have found, as it does for games played together.

    A blocking engine is called once at a time, whichever thread asks. Everything else is the engine's own.

    Args:
        engine: What searches.
        most: How many of the passages found last are kept to be noise.

    >>> from ssp_env.search import BM25Engine
    >>> pages = [Passage("1", "Corun", "A town."), Passage("2", "Belin", "A river.")]
    >>> engine = SharedEngine(BM25Engine(pages))
    >>> [passage.title for passage in engine.search(["town"], top_k=1)[0]]
    ['Corun']
    >>> [passage.title for passage in engine.sample(np.random.default_rng(0), 2, exclude={"2"})]
    ['Corun']
    """

    def __init__(self, engine: Any, most: int = 4096) -> None:
        check_least(1, most=most)
        self.engine = engine
        self._most = most
        self._found: OrderedDict[str, Passage] = OrderedDict()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        # What an engine offers beside searching decides which games can be played over it.
        if name.startswith("_") or name == "engine":
            raise AttributeError(name)
        return getattr(self.engine, name)

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search as the engine does, and remember what was found."""
        with self._lock:
            return self._kept(self.engine.search(queries, top_k))

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Search without blocking; side by side with other searches if the engine can."""
        search = getattr(self.engine, "asearch", self.engine.search)
        if is_async(search):
            return self._kept(await search(queries, top_k))
        return await asyncio.to_thread(self.search, queries, top_k)

    def fingerprint(self) -> str:
        """Return the fingerprint of the engine."""
        return str(self.engine.fingerprint())

    def sample(self, rng: np.random.Generator, count: int, exclude: Collection[str]) -> list[Passage]:
        """Draw passages that searches found lately, and from the corpus what is then missing, if it can."""
        found = [passage for name, passage in list(self._found.items()) if name not in exclude]
        drawn = [found[place] for place in rng.permutation(len(found))[:count].tolist()]
        if len(drawn) < count and isinstance(self.engine, PassageSampler):
            known = {*exclude, *(passage.id for passage in drawn)}
            drawn += self.engine.sample(rng, count - len(drawn), known)
        return drawn

    def _kept(self, results: list[list[Passage]]) -> list[list[Passage]]:
        for passages in results:
            for passage in passages:
                self._found[passage.id] = passage
                self._found.move_to_end(passage.id)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
        return results
