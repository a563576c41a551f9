"""Which words of texts and queries the engine takes for the same: forms, spellings and scripts."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine, terms
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer

pytestmark = pytest.mark.usefixtures("both_forms")


def ids(found):
    return [passage.id for passage in found]


def test_stemming_joins_forms_of_a_word_and_can_be_turned_off():
    corpus = [Passage("a", "Rhine", "One of the major rivers"), Passage("b", "Alps", "A mountain range")]
    assert ids(BM25Engine(corpus).search(["river"], 5)[0]) == ["a"]
    assert BM25Engine(corpus, stem=False).search(["river"], 5) == [[]]


def test_stop_words_of_a_query_are_dropped_only_if_asked():
    corpus = [Passage("a", "x", "the tower of the town"), Passage("b", "y", "bridge")]
    assert BM25Engine(corpus).search(["of the bridge"], 5) == BM25Engine(corpus).search(["bridge"], 5)
    assert ids(BM25Engine(corpus, drop_stop_words=False).search(["the"], 5)[0]) == ["a"]


def test_words_of_other_scripts_are_found():
    engine = BM25Engine([Passage("a", "北京", "中国 首都"), Passage("b", "Köln", "Stadt am Rhein")])
    assert [ids(found) for found in engine.search(["首都", "KÖLN", "koln"], 2)] == [["a"], ["b"], ["b"]]


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("上海是中国最大的城市", ["上海", "上海市", "海"]),
        ("富士山は日本で一番高い山です", ["富士山", "高い山"]),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", ["กรุงเทพ", "เมืองหลวง"]),
        ("ភ្នំពេញគឺជារាជធានី", ["ភ្នំពេញ"]),
        ("ວຽງຈັນແມ່ນນະຄອນຫຼວງ", ["ວຽງຈັນ"]),
        ("ရန်ကုန်မြို့သည်", ["ရန်ကုန်"]),
        ("부산은 항구 도시이다", ["부산", "부산에서", "도시"]),
        ("مُحَمَّد من مكة", ["محمد"]),
        ("वह दिल्ली में रहता है", ["दिल्ली"]),
        ("Die Straße in Málaga", ["STRASSE", "Malaga", "Ma\u0301laga", "ｍａｌａｇａ"]),
        ("Die Donau\u00addampf\u200bschiffe", ["Donaudampfschiffe"]),
        ("Der Griﬃth aus Malmo\u0308", ["Griffith", "Malmö"]),
        ("Diyarbakır ve İzmir", ["DIYARBAKIR", "izmir"]),
        ("It cost 10,000 in the U.S.A.", ["10000", "10,000", "USA", "U.S.A."]),
        ("It cost 10000 in the USA", ["10000", "10,000", "１０，０００", "U.S.A."]),
        ("Łódź lies north", ["Lodz", "ŁÓDŹ"]),
        ("Ёлка стоит", ["елка"]),
    ],
)
def test_every_spelling_and_script_is_found(text, queries):
    engine = BM25Engine([Passage("0", "", text), Passage("1", "", "南方 other text 대구 दूसरा другой")])
    for query in queries:
        assert ids(engine.search([query], 1)[0]) == ["0"], query


@pytest.mark.parametrize("query", ["IT", "to be or not to be"])
def test_a_query_of_stop_words_alone_falls_back_to_them(query):
    engine = BM25Engine([Passage("a", "", "It is a novel. To be."), Passage("b", "", "Carrie")])
    assert ids(engine.search([query], 2)[0]) == ["a"]
    assert ids(engine.search([f"{query} Carrie"], 2)[0]) == ["b"]


def test_the_words_of_earlier_versions_can_be_had():
    pages = [Passage("a", "", "上海是城市"), Passage("b", "", "Köln")]
    before, now = BM25Engine(pages, tokenization=1), BM25Engine(pages)
    assert before.search(["上海", "koln"], 1) == [[], []]
    assert before.fingerprint() != now.fingerprint()
    assert pickle.loads(pickle.dumps(before)).fingerprint() == before.fingerprint()
    with pytest.raises(ValueError, match="tokenization must be from 1 to 2, got 3"):
        BM25Engine(pages, tokenization=3)


COMMON = terms._common_characters()[:200]
PIECES = [
    "U.S.A.",
    "10,000",
    "1,2,3",
    "a.b",
    "é" * 127,
    "ß",
    "œ",
    *("x" * length for length in (126, 130, 255, 256)),
]


@settings(max_examples=400)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(COMMON, max_size=6)), max_size=12))
def test_words_of_common_texts_are_those_that_tantivy_finds(pieces):
    words = Tokenizer(BM25Settings())
    for text in ("".join(pieces), " ".join(pieces)):
        assert words.unstemmed(text) == words._words.analyze(words.prepare(text))
