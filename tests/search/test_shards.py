"""Servers of shards search as one index of everything does, or fail: no part is taken for the whole."""

import asyncio
import pickle
from contextlib import ExitStack

import pytest

from ssp_env.game.passage import Passage
from ssp_env.http import RequestPolicy
from ssp_env.search import ReplicatedEngine, SearchTool, ShardedEngine
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.sharded_build import build_shards
from ssp_env.search.errors import SearchError, SearchTimeout, SearchUnavailable
from ssp_env.search.opening import open_engine
from ssp_env.search.shards import merge_rankings, whole_of
from ssp_env.testing import check_fixed_engine
from ssp_env.testing.engines import PASSAGES, QUERIES
from tests.search.faulty_server import faulty, hang_up, reply, silence
from tests.serve.running import process, running

app = pytest.importorskip("ssp_env.serve.app")
LOCAL = BM25Engine(PASSAGES)
ONCE = RequestPolicy(max_retries=0, timeout=2.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    path = tmp_path_factory.mktemp("index")
    build_shards(PASSAGES, path, 3, source=None)
    return sorted(path.iterdir())


@pytest.fixture(scope="module")
def served(folders):
    """A server for each of three shards."""
    from ssp_env.serve.access import Limits

    limits = Limits(max_query_chars=200_000, max_top_k=1000)
    with ExitStack() as stack:
        apps = [app.build_app(BM25Engine.open(folder), limits=limits, opens=True) for folder in folders]
        yield [stack.enter_context(running(one)) for one in apps]


def test_it_is_the_engine_that_has_all_passages(served):
    with ShardedEngine(served[::-1], max_queries=2) as engine:
        check_fixed_engine(engine, QUERIES)
        assert engine.search(QUERIES, 4) == LOCAL.search(QUERIES, 4)
        assert engine.fingerprint() == LOCAL.fingerprint()
        assert asyncio.run(engine.asearch(QUERIES, 2)) == LOCAL.search(QUERIES, 2)
        again = pickle.loads(pickle.dumps(engine))
        assert again.search(QUERIES, 4) == LOCAL.search(QUERIES, 4)
        again.close()
        hits = [hit.id for hit in LOCAL.search(["corun"], 3)[0]]
        assert engine.get_passages([*hits, "nothing"]) == [*LOCAL.get_passages(hits), None]


def test_equal_scores_are_in_the_order_of_ids_whichever_shard_comes_first():
    shards = [[Passage("c", "", "", 2.0), Passage("d", "", "", 1.0)], [Passage("a", "", "", 1.0)]]
    for order in (shards, shards[::-1]):
        assert [found.id for found in merge_rankings(order, 3)] == ["c", "a", "d"]


def test_a_name_with_plus_signs_means_shards_and_commas_their_replicas(served):
    first, *others = served
    with open_engine("+".join(served), list) as engine:
        found = SearchTool(engine, top_k=3).search("corun")
        assert [hit.id for hit in found] == [hit.id for hit in LOCAL.search(["corun"], 3)[0]]
    with (
        faulty(hang_up) as broken,
        open_engine(f"{first},{broken.address} + {' + '.join(others)}", list) as engine,
    ):
        assert engine.search(QUERIES, 4) == LOCAL.search(QUERIES, 4)


@pytest.mark.parametrize(("fault", "kind"), [(hang_up, SearchUnavailable), (silence, SearchTimeout)])
def test_a_shard_that_fails_fails_the_search(served, fault, kind):
    health = reply({"fingerprint": f"shard:1/3:{LOCAL.fingerprint()}"})
    with faulty(health, fault) as broken, ShardedEngine([broken.address, *served[1:]], policy=ONCE) as engine:
        with pytest.raises(kind, match="one of 3 shards failed") as error:
            engine.search(["corun"], 3)
        assert error.value.url == f"{broken.address}/retrieve"


def test_a_killed_server_fails_searches_until_it_is_back_and_no_other_shard_takes_its_place(folders, served):
    serve = ("-m", "tests.serve.run_ssp", "serve")
    policy = RequestPolicy(max_retries=0, timeout=20.0)
    with process(*serve, "--port", "0", "--index", folders[0]) as (first, address):
        engine = ShardedEngine([address, *served[1:]], policy=policy)
        assert engine.search(QUERIES, 4) == LOCAL.search(QUERIES, 4)
        first.kill()
        first.wait()
        for _ in range(2):
            with pytest.raises(SearchUnavailable):
                engine.search(["corun"], 3)
    port = address.rpartition(":")[2]
    with (
        process(*serve, "--port", port, "--index", folders[1]),
        pytest.raises(SearchError, match="shards of one index, each once"),
    ):
        engine.search(["corun"], 3)
    with process(*serve, "--port", port, "--index", folders[0]):
        assert engine.search(QUERIES, 4) == LOCAL.search(QUERIES, 4)
    engine.close()


@pytest.mark.parametrize(
    "fingerprints",
    [
        ["shard:1/2:a", "shard:1/2:a"], ["shard:1/2:a", "shard:2/2:b"], ["shard:1/3:a", "shard:2/3:a"],
        ["shard:1/1:a", "b"], ["b"], ["shard:1/2:a", "shard:2/2:a", "shard:2/2:a"],
    ],
)  # fmt: skip
def test_other_sets_of_servers_are_refused(fingerprints):
    with pytest.raises(SearchError, match="each once, got"):
        whole_of(fingerprints)


def test_servers_of_other_things_are_refused_before_a_search(served):
    with running(app.build_app(BM25Engine([Passage("1", "corun", "a town")]))) as other:
        with ShardedEngine([*served[:2], other]) as engine, pytest.raises(SearchError, match="each once"):
            engine.search(["corun"], 1)
        with ReplicatedEngine(served[:2]) as engine, pytest.raises(SearchError, match="other replicas"):
            engine.fingerprint()


@pytest.mark.parametrize(
    "shards", [[], "http://a", ["http://a", "http://a"], [["http://a"], ["http://a", "http://b"]]]
)
def test_bad_addresses_are_refused(shards):
    with pytest.raises(ValueError, match="expected"):
        ShardedEngine(shards)
