"""Search engines opened by what a user writes."""

import re
from pathlib import Path

import pytest

from ssp_env.search import BM25Engine, DenseEngine, HybridEngine, Passage, RemoteEngine
from ssp_env.search.opening import needs_passages, open_engine
from tests.search.hashed_words import HASHED_WORDS

PASSAGES = [
    Passage("1", "Corun", "Corun is a town on the river Aller."),
    Passage("2", "Tavor", "Tavor was mayor of Corun."),
]


def unread():
    raise AssertionError("no passages are needed")


@pytest.fixture
def encoder(monkeypatch):
    asked = []

    def sentence_transformer(model):
        asked.append(model)
        return HASHED_WORDS

    monkeypatch.setattr("ssp_env.search.encoders.sentence_transformer", sentence_transformer)
    return asked


@pytest.mark.parametrize("search", [None, "bm25"])
def test_bm25_is_the_default_and_takes_its_options(search):
    engine = open_engine(search, lambda: PASSAGES, stem=False)
    assert engine.fingerprint() == BM25Engine(PASSAGES, stem=False).fingerprint()


def test_an_encoder_ranks_alone_or_beside_bm25(encoder):
    dense = open_engine("dense:my/model", lambda: PASSAGES)
    hybrid = open_engine("hybrid:my/model", lambda: PASSAGES)
    assert encoder == ["my/model", "my/model"]
    assert isinstance(dense, DenseEngine) and isinstance(hybrid, HybridEngine)
    weighted = HybridEngine([BM25Engine(PASSAGES), DenseEngine(PASSAGES, HASHED_WORDS)], weights=[4, 1])
    assert hybrid.fingerprint() == weighted.fingerprint()
    assert hybrid.search(["mayor of Corun"], 1)[0][0].title == "Tavor"
    told = []
    open_engine("dense:my/model", lambda: PASSAGES, encoding=lambda *how: told.append(how))
    assert told[-1] == ("Encoding", len(PASSAGES), len(PASSAGES))


def test_directories_and_addresses_need_no_passages(tmp_path):
    built = BM25Engine(PASSAGES, path=tmp_path / "index")
    assert open_engine(tmp_path / "index", unread).fingerprint() == built.fingerprint()
    assert open_engine(str(tmp_path / "index"), unread).fingerprint() == built.fingerprint()
    with open_engine("http://127.0.0.1:9", unread) as remote:
        assert isinstance(remote, RemoteEngine)


def own_engine():
    return BM25Engine(PASSAGES)


def test_an_object_is_named_by_its_module():
    name = f"{Path(__file__).stem}:own_engine"
    assert open_engine(f"{__name__}:own_engine", unread).search(["mayor"], 1)[0][0].title == "Tavor"
    with pytest.raises(ValueError, match=re.escape(f"search engine {name!r}: ")):
        open_engine(name, unread)


@pytest.mark.parametrize("search", ["dense", "hybrid:", "dense:"])
def test_an_encoder_has_to_be_named(search):
    with pytest.raises(ValueError, match="with the folder or package of an encoder"):
        open_engine(search, lambda: PASSAGES)


@pytest.mark.parametrize(
    ("search", "needed"),
    [
        (None, True),
        ("bm25", True),
        ("dense:x", True),
        ("hybrid:x", True),
        ("http://127.0.0.1:9", False),
        ("a.b:c", False),
        (Path("index"), False),
        (own_engine, False),
    ],
)
def test_it_is_known_beforehand_what_needs_passages(search, needed):
    assert needs_passages(search) is needed
