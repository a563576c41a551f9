"""The search tool for environments, trainers and agent frameworks; it needs no game."""

from ssp_env.search.adapters import as_engine, as_passage
from ssp_env.search.tool.calls import SearchCall, SearchResult, ToolError
from ssp_env.search.tool.lookup import ResultCache
from ssp_env.search.tool.tool import SearchTool

__all__ = [
    "ResultCache",
    "SearchCall",
    "SearchResult",
    "SearchTool",
    "ToolError",
    "as_engine",
    "as_passage",
]
