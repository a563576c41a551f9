"""Search engines by name: a kind of ranking, a directory, an address, or an object of the user."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from ssp_env.game.passage import Passage
from ssp_env.objects import is_object_name, load_object
from ssp_env.search.adapters import as_engine
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.engine import SearchEngine

Encoding: TypeAlias = Callable[[str, int, int], object]
"""Called with the stage of an encoder, how much of it is done and how much there is."""
_ENCODED = ("dense", "hybrid")
BM25_WEIGHT = 4.0
"""Weight of BM25's ranking in a hybrid engine, where the encoder's has 1; the best on held-out questions."""


def untold(stage: str, done: int, total: int) -> None:
    """Tell nobody how far an encoder is."""


def needs_passages(search: Any) -> bool:
    """Return whether a user's choice of engine names one that is built over passages."""
    return search is None or (isinstance(search, str) and search.partition(":")[0] in ("bm25", *_ENCODED))


def open_engine(
    search: Any,
    passages: Callable[[], Iterable[Passage]],
    *,
    encoding: Encoding = untold,
    **bm25: Any,
) -> SearchEngine:
    """Open a search engine.

    Args:
        search: None or `bm25` for BM25 over the passages; `dense:MODEL` or `hybrid:MODEL` with the folder or
            package of a sentence-transformers encoder; an index directory that `ssp index build` made; the
            URL of a server of Search-R1's protocol, those of its replicas with commas between them, or
            those of shards with `+` between them; `module:object`; or an engine or what `as_engine` takes.
        passages: Called for the passages if an engine is built over them.
        encoding: Told how many texts an encoder has done.
        bm25: Further arguments of `BM25Engine`.

    Raises:
        ValueError: If `search` does not name an engine that can be opened; the message says why.
    """
    if search is None or search == "bm25":
        return BM25Engine(passages(), **bm25)
    if not isinstance(search, str | os.PathLike):
        try:
            return as_engine(search)
        except TypeError as error:
            raise TypeError(f"search: {error}") from error
    name = os.fspath(search)
    kind, _, model = name.partition(":")
    if kind in _ENCODED:
        return _with_encoder(kind, model, list(passages()), encoding, bm25)
    if kind in ("http", "https"):
        return _of_servers(name)
    if is_object_name(name) and not Path(name).exists():
        return load_object(name, "search engine", as_engine)
    return BM25Engine.open(name)


def _of_servers(addresses: str) -> SearchEngine:
    shards = [
        [address.strip() for address in shard.split(",")]
        for shard in re.split(r"\s*\+\s*(?=https?://)", addresses)
    ]
    if len(shards) > 1:
        from ssp_env.search.shards import ShardedEngine

        return ShardedEngine(shards)
    if len(shards[0]) > 1:
        from ssp_env.search.replicas import ReplicatedEngine

        return ReplicatedEngine(shards[0])
    from ssp_env.search.remote import RemoteEngine

    return RemoteEngine(addresses)


def _with_encoder(
    kind: str, model: str, passages: list[Passage], encoding: Encoding, bm25: dict[str, Any]
) -> SearchEngine:
    if not model:
        raise ValueError(
            f"expected {kind}:MODEL with the folder or package of an encoder, got {kind!r} alone"
        )
    from ssp_env.search.dense import DenseEngine
    from ssp_env.search.encoders import sentence_transformer
    from ssp_env.search.hybrid import HybridEngine

    dense = DenseEngine(passages, sentence_transformer(model), progress=encoding)
    if kind == "dense":
        return dense
    return HybridEngine([BM25Engine(passages, **bm25), dense], weights=[BM25_WEIGHT, 1.0])
