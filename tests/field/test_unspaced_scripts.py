"""Chinese without spaces: search, the leak rule, the length of questions and the scores."""

import pytest

from ssp_env.game.leaks import mentions
from ssp_env.game.passage import Passage
from ssp_env.scoring import cover_exact_match, f1_score
from ssp_env.scoring.words import count_words
from ssp_env.search.bm25 import BM25Engine


def test_a_name_is_found_in_a_sentence():
    engine = BM25Engine([Passage("1", "", "杭州是浙江省的省会"), Passage("2", "", "广州")])
    assert [passage.id for passage in engine.search(["杭州"], 1)[0]] == ["1"]


def test_a_question_that_names_its_answer_leaks_it():
    assert mentions("杭州市长是谁？", ["杭州"])


def test_a_question_has_as_many_words_as_its_script_says():
    assert count_words("2004年在杭州出生的著名作家是谁，她后来写了哪本书？") > 10


def test_answers_are_compared_by_characters():
    assert 0 < f1_score("杭州市", "杭州") < 1
    assert cover_exact_match("答案是杭州。", "杭州")


@pytest.mark.parametrize("query", ["札幌", "Sapporo", "оперный театр", "부산", "streets", "CAFÉ"])
def test_every_script_of_a_mixed_passage_is_found(query):
    mixed = "札幌市 (Sapporo) has streets, a café, Оперный театр and 부산에서 온 손님"
    engine = BM25Engine([Passage("1", "", mixed), Passage("2", "", "广州 Guangzhou теннис 대구 tram")])
    assert [passage.id for passage in engine.search([query], 2)[0]] == ["1"]
