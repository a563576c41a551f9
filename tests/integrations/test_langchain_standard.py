"""LangChain's own tests of retrievers, whole, on ours."""

import pytest

pytest.importorskip("langchain_tests", reason="needs langchain-tests: make adapters")

from langchain_tests.integration_tests import RetrieversIntegrationTests

from ssp_env.integrations.langchain import SearchRetriever
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.tool import SearchTool
from ssp_env.testing.engines import PASSAGES

# The asynchronous one among them is run by anyio's plugin, which is there with anyio.
pytestmark = pytest.mark.anyio
TOWNS = [
    *PASSAGES,
    *(type(PASSAGES[0])(f"town {number}", f"Town {number}", "A harbour town.") for number in range(5)),
]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestSearchRetriever(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self):
        return SearchRetriever

    @property
    def retriever_constructor_params(self):
        return {"tool": SearchTool(BM25Engine(TOWNS))}

    @property
    def retriever_query_example(self):
        return "harbour town"
