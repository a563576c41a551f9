"""A LlamaIndex retriever over a search tool."""

from __future__ import annotations

from ssp_env.game.passage import Passage
from ssp_env.objects import missing_extra
from ssp_env.search.tool import SearchTool

try:
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise missing_extra("llama-index-core", "llamaindex") from error


class SearchRetriever(BaseRetriever):
    """Nodes from a search tool, harmless for models; the title goes into the metadata.

    A failed search raises `ssp_env.search.tool.ToolError`.

    Args:
        tool: A search tool; its `top_k`, budget, cache and timeout hold.
        callback_manager: As for every retriever of LlamaIndex.

    >>> retriever = SearchRetriever(SearchTool(lambda query: [f"all about {query}"]))
    >>> [node.text for node in retriever.retrieve("blue whale")]
    ['all about blue whale']
    """

    def __init__(self, tool: SearchTool, callback_manager: CallbackManager | None = None) -> None:
        self._tool = tool
        super().__init__(callback_manager=callback_manager)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(self._tool.search(query_bundle.query_str))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(await self._tool.asearch(query_bundle.query_str))

    def _nodes(self, passages: list[Passage]) -> list[NodeWithScore]:
        return [
            NodeWithScore(
                node=TextNode(text=passage.text, id_=passage.id, metadata={"title": passage.title}),
                score=passage.score,
            )
            for passage in self._tool.harmless(passages)
        ]
