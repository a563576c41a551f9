"""Search engines of the web behind the protocol of all engines: Serper, Brave, Tavily, SearXNG."""

from ssp_env.search.web.brave import Brave
from ssp_env.search.web.engine import WebEngine
from ssp_env.search.web.fetch import PageFetcher
from ssp_env.search.web.searxng import SearXNG
from ssp_env.search.web.serper import Serper
from ssp_env.search.web.tavily import Tavily

__all__ = ["Brave", "PageFetcher", "SearXNG", "Serper", "Tavily", "WebEngine"]
