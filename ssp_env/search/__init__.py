r"""Search engines behind one protocol, and the search tool for language models; no game needed.

Everything that most programs need can be imported from here. A name is loaded when it is used first, so that
engines whose libraries are not installed do no harm.

>>> from ssp_env.search import BM25Engine, Passage, SearchTool
>>> tool = SearchTool(BM25Engine([Passage("0", "Whale", "The blue whale is large.")]))
>>> tool("whales")
'Doc 1 (Title: Whale)\nThe blue whale is large.'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssp_env.http import RequestPolicy
    from ssp_env.passage import Passage
    from ssp_env.search.adapters import as_engine, as_passage
    from ssp_env.search.bm25 import BM25Engine
    from ssp_env.search.chat_endpoint import ChatEndpoint
    from ssp_env.search.corpus import read_corpus
    from ssp_env.search.dense import DenseEngine
    from ssp_env.search.encoders import Encoder, sentence_transformer
    from ssp_env.search.engine import PassageSampler, SearchEngine
    from ssp_env.search.errors import (
        BadSearchReply,
        SearchError,
        SearchRefused,
        SearchTimeout,
        SearchUnavailable,
    )
    from ssp_env.search.hybrid import HybridEngine
    from ssp_env.search.remote import RemoteEngine
    from ssp_env.search.simulated import SimulatedEngine
    from ssp_env.search.tool import ResultCache, SearchCall, SearchResult, SearchTool, ToolError
    from ssp_env.search.vector_index import HNSW, IVFPQ, Flat
    from ssp_env.search.web import Brave, PageFetcher, SearXNG, Serper, Tavily, WebEngine

_MODULES = {
    "ssp_env.http": ("RequestPolicy",),
    "ssp_env.passage": ("Passage",),
    "ssp_env.search.adapters": ("as_engine", "as_passage"),
    "ssp_env.search.bm25": ("BM25Engine",),
    "ssp_env.search.chat_endpoint": ("ChatEndpoint",),
    "ssp_env.search.corpus": ("read_corpus",),
    "ssp_env.search.dense": ("DenseEngine",),
    "ssp_env.search.encoders": ("Encoder", "sentence_transformer"),
    "ssp_env.search.engine": ("PassageSampler", "SearchEngine"),
    "ssp_env.search.errors": (
        "BadSearchReply",
        "SearchError",
        "SearchRefused",
        "SearchTimeout",
        "SearchUnavailable",
    ),
    "ssp_env.search.hybrid": ("HybridEngine",),
    "ssp_env.search.remote": ("RemoteEngine",),
    "ssp_env.search.simulated": ("SimulatedEngine",),
    "ssp_env.search.tool": ("ResultCache", "SearchCall", "SearchResult", "SearchTool", "ToolError"),
    "ssp_env.search.vector_index": ("HNSW", "IVFPQ", "Flat"),
    "ssp_env.search.web": ("Brave", "PageFetcher", "SearXNG", "Serper", "Tavily", "WebEngine"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "HNSW",
    "IVFPQ",
    "BM25Engine",
    "BadSearchReply",
    "Brave",
    "ChatEndpoint",
    "DenseEngine",
    "Encoder",
    "Flat",
    "HybridEngine",
    "PageFetcher",
    "Passage",
    "PassageSampler",
    "RemoteEngine",
    "RequestPolicy",
    "ResultCache",
    "SearXNG",
    "SearchCall",
    "SearchEngine",
    "SearchError",
    "SearchRefused",
    "SearchResult",
    "SearchTimeout",
    "SearchTool",
    "SearchUnavailable",
    "Serper",
    "SimulatedEngine",
    "Tavily",
    "ToolError",
    "WebEngine",
    "as_engine",
    "as_passage",
    "read_corpus",
    "sentence_transformer",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
