"""A LangChain retriever over a search tool."""

from __future__ import annotations

from ssp_env.game.passage import Passage
from ssp_env.objects import missing_extra
from ssp_env.search.tool import SearchTool

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise missing_extra("langchain-core", "langchain") from error


class SearchRetriever(BaseRetriever):
    """Documents from a search tool, harmless for models; id, title and score go into the metadata.

    A failed search raises `ssp_env.search.tool.ToolError`.

    Attributes:
        tool: A search tool; its budget, cache and timeout hold.
        k: Most documents per search; the tool's `top_k` if None. `invoke(query, k=5)` sets it for one call.

    >>> from langchain_core.tools import create_retriever_tool
    >>> retriever = SearchRetriever(tool=SearchTool(lambda query: [f"all about {query}"]))
    >>> create_retriever_tool(retriever, "search", "Search the corpus.").invoke({"query": "blue whale"})
    'all about blue whale'
    """

    tool: SearchTool
    k: int | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return self._documents(self.tool.search(query, self.k if k is None else k))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return self._documents(await self.tool.asearch(query, self.k if k is None else k))

    def _documents(self, passages: list[Passage]) -> list[Document]:
        return [
            Document(
                page_content=passage.text,
                metadata={"id": passage.id, "title": passage.title, "score": passage.score},
                id=passage.id,
            )
            for passage in self.tool.harmless(passages)
        ]
