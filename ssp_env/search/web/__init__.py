"""Search engines of the web behind the protocol of all engines: Serper, Brave, Tavily, SearXNG."""

from ssp_env.search.web.engine import WebEngine
from ssp_env.search.web.fetch import PageFetcher
from ssp_env.search.web.providers import Brave, SearXNG, Serper, Tavily

__all__ = ["Brave", "PageFetcher", "SearXNG", "Serper", "Tavily", "WebEngine"]
