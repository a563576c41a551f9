"""The embedded search engine: BM25 in memory, or in a directory that any number of processes open."""

from ssp_env.search.bm25.engine import BM25Engine

__all__ = ["BM25Engine"]
