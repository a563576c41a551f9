"""Both kinds of index, for tests that hold for each."""

import pytest

from ssp_env.search.bm25.terms import BM25Settings


@pytest.fixture(scope="module", params=["scores", "postings"])
def both_forms(request):
    """Every test holds for both kinds of index."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postings":
            patch.setattr(BM25Settings, "is_eager", lambda settings, passages: False)
        yield request.param
