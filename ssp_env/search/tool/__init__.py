"""The search tool for other environments, trainers and agent frameworks; no game needed."""

from ssp_env.search.tool.cache import ResultCache
from ssp_env.search.tool.calls import SearchCall
from ssp_env.search.tool.errors import ToolError
from ssp_env.search.tool.result import SearchResult
from ssp_env.search.tool.sources import as_engine, as_passage
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
