"""Which corpora get scores by default: as many as fit into a memory, whatever made the engine."""

import json
from dataclasses import asdict, replace

import pytest

from ssp_env.search.bm25 import BM25Engine, terms
from ssp_env.search.bm25.builder import build_index
from ssp_env.search.bm25.directory import read_manifest
from ssp_env.search.bm25.passage_file import stored_bytes
from ssp_env.search.bm25.terms import BM25Settings
from tests.search.bm25.directories import in_memory, questions, same_engine, world

PAGES = [*world(199), replace(world(200)[-1], title="Łódź \ud800")]


@pytest.mark.parametrize("more", [0, -1])
def test_memory_and_directory_choose_alike(tmp_path, monkeypatch, more):
    monkeypatch.setattr(terms, "EAGER_MEMORY", terms.EAGER_BYTES * stored_bytes(PAGES) + more)
    manifest = build_index(PAGES, tmp_path / "index", source=None)
    assert stored_bytes(PAGES) == manifest.files["passages-1.bin"][0]
    assert manifest.settings.is_eager(200) == (more == 0)
    for engine in (BM25Engine(PAGES), BM25Engine(PAGES, path=tmp_path / "index")):
        same_engine(engine, BM25Engine(PAGES, eager_up_to=200 * (more == 0)), questions(5))


def test_an_index_with_the_number_of_an_earlier_default_is_opened_as_it_is(tmp_path):
    build_index(world(300), tmp_path / "index", BM25Settings(eager_up_to=200), source=None)
    same_engine(BM25Engine(world(300), path=tmp_path / "index"), in_memory(300, 200), questions(5))
    with pytest.raises(ValueError, match="holds something other than the index of this corpus"):
        BM25Engine(world(300), path=tmp_path / "index", eager_up_to=300)


def test_fingerprints_of_earlier_versions_stay():
    ranking = BM25Settings().fitted(10, 1000).ranking(10)
    assert ranking.startswith("bm25 eager=1 words of bm25 tantivy=")
    assert "prune_above=50000 eager_up_to=150000 tokenization=2" in ranking
    assert BM25Settings(eager_up_to=10).ranking(10) == ranking != BM25Settings(eager_up_to=9).ranking(10)


def test_a_manifest_names_the_number_that_fitted(tmp_path):
    settings = build_index(world(20), tmp_path / "index", source=None).settings
    assert settings.eager_up_to == terms.EAGER_MEMORY * 20 // (terms.EAGER_BYTES * stored_bytes(world(20)))
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["settings"] == asdict(settings)
    assert read_manifest(tmp_path / "index").settings == settings
