"""Search engines of the web behind the protocol of all engines: Serper, Brave, Tavily, SearXNG."""

from ssp_env.search.web.engine import Brave, SearXNG, Serper, Tavily, WebEngine
from ssp_env.search.web.fetch import PageFetcher

__all__ = ["Brave", "PageFetcher", "SearXNG", "Serper", "Tavily", "WebEngine"]
