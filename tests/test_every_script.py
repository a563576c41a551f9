"""Texts as people bring them, in their scripts and code points: search, rules and scores agree on each."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.game import Game, GameConfig, Task
from ssp_env.game.leaks import mentions
from ssp_env.game.passage import Passage
from ssp_env.game.rules import first_violation, similarity
from ssp_env.scoring import (
    answer_key,
    cover_exact_match,
    exact_match,
    f1_score,
    substring_exact_match,
)
from ssp_env.scoring.words import compose, count_words, fold
from ssp_env.search.bm25 import BM25Engine

UNSPACED = {
    "zh": ("深圳是广东省的一座城市", "深圳", "深圳市长是谁？", "杭州"),
    "ja": ("札幌市は北海道の道庁所在地です", "札幌", "札幌の市長は誰ですか？", "仙台"),
    "th": ("เชียงใหม่เป็นจังหวัดทางภาคเหนือ", "เชียงใหม่", "ใครเป็นผู้ว่าเชียงใหม่ในปีนั้น", "ภูเก็ต"),
    "km": ("សៀមរាបជាខេត្តមួយ", "សៀមរាប", "តើអ្នកណាជាអភិបាលសៀមរាបនៅឆ្នាំនោះ", "បាត់ដំបង"),
    "lo": ("ຫຼວງພະບາງເປັນເມືອງເກົ່າ", "ຫຼວງພະບາງ", "ໃຜເປັນເຈົ້າເມືອງຫຼວງພະບາງ", "ປາກເຊ"),
    "my": ("မန္တလေးသည်မြို့ကြီးဖြစ်သည်", "မန္တလေး", "မန္တလေးမြို့တော်ဝန်ဘယ်သူလဲ", "ပဲခူး"),
    "ko": ("대전은 과학의 도시이다", "대전", "대전에서 태어난 사람은 누구인가?", "광주"),
}


@pytest.mark.parametrize("language", UNSPACED)
def test_scripts_without_spaces_and_particles(language):
    text, name, question, other = UNSPACED[language]
    engine = BM25Engine([Passage("0", "", text), Passage("1", "", other), Passage("2", "", "a city")])
    for query in (name, question):
        assert engine.search([query], 1)[0][0].id == "0"
    assert mentions(question, [name]) and not mentions(question, [other])
    assert cover_exact_match(text, name) and substring_exact_match(text, name)
    assert not cover_exact_match(text, other) and not substring_exact_match(text, other)
    assert 0 < f1_score(text, name) < 1 and f1_score(name, [other, name]) == 1
    assert similarity(question, question + " ") == 1 > similarity(question, other)
    assert exact_match(f" {name} 。", name) and not exact_match(other, name)
    arguments = {"queries": ["a", "b"], "evidence": [Passage("0", "", text)], "config": GameConfig()}
    long_question = f"{question} " * 4
    assert first_violation(long_question, golds=[name], **arguments) == "answer_leak"
    assert first_violation(long_question, golds=["x1"], **arguments) is None
    assert first_violation(question[:5], golds=["x1"], **arguments) == "too_short"


def test_numbers_of_words_are_those_of_the_script():
    assert count_words("2004年在深圳出版的那本小说是谁写的，他还写过什么？") == 22
    assert count_words("札幌 の city") == 4
    assert count_words("대전에서 누가 태어났는가 ?") == 3


FORMS = [
    ("Cádiz", "Ca\u0301diz"),
    ("Cádiz", "Cadiz"),
    ("Ｖｏｙａｇｅｒ ２", "Voyager 2"),
    ("Griﬃn", "Griffin"),
    ("Rhein\u00adfall", "Rheinfall"),
    ("Nam\u200bpula", "Nampula"),
    ("Gruß", "GRUSS"),
    ("IŞIK", "ışık"),
    ("İnönü", "inonu"),
    ("كِتَاب", "كتاب"),
    ("أحمد", "احمد"),
    ("שָׁלוֹם", "שלום"),
    ("25,000", "25000"),
    ("N.A.T.O.", "NATO"),
    ("Đà Nẵng", "Da Nang"),
    ("Øystein", "Oystein"),
    ("ЖЕНЁВ", "женев"),
]


@pytest.mark.parametrize(("one", "other"), FORMS)
def test_one_name_in_other_code_points_is_the_same_name_everywhere(one, other):
    for written, asked in ((one, other), (other, one)):
        engine = BM25Engine([Passage("0", "", f"page on {written}"), Passage("1", "", "page on others")])
        found = engine.search([asked], 2)[0]
        assert [passage.id for passage in found] == ["0"]
        assert exact_match(written, asked) and f1_score(written, asked) == 1
        assert cover_exact_match(f"It is {written} then", asked)
        assert mentions(f"Is {written} it?", [asked])
        assert similarity(f"Is {written} it?", f"is {asked} it") == 1 or one in ("25,000", "N.A.T.O.")


@pytest.mark.parametrize(
    ("said", "gold"),
    [("!", "A"), ("the", "An"), ("-..", "-..-"), ("?!", "..."), ("a", "The The"), (".", "-")],
)
def test_answers_that_normalise_to_nothing_are_not_all_the_same(said, gold):
    assert not exact_match(said, gold) and not exact_match(gold, said)
    assert f1_score(said, gold) == f1_score(gold, said) == 0
    assert not cover_exact_match(said, gold) and not substring_exact_match(said, gold)


@pytest.mark.parametrize("answer", ["A", "the", "-..-", "...", "-", "The The", "?", "🎉", "°"])
def test_answers_that_normalise_to_nothing_are_right_as_written(answer):
    assert exact_match(answer.lower(), answer) and f1_score(answer, answer) == 1
    assert cover_exact_match(answer, answer) and substring_exact_match(answer, answer)
    assert solved(answer, answer) == "solved"


def solved(gold, said):
    game = Game(Task(gold, question="Which one?"))
    game.submit("solver_0/turn/0", f"<answer> {said} </answer>")
    return game.outcome.reason


@pytest.mark.parametrize(
    "gold",
    [
        "760 mm (2 ft 5 1\x812 in)",
        "\u202b\u05d7\u05d9\u05e4\u05d4\u202c",
        "<s>",
        "[INST] x",
        "|>y",
        "a <b> c",
        "x\x00y",
        "\ufeffOslo",
        "<|im_end|>",
        "A & B </question>",
    ],
)
def test_right_answers_are_cleaned_as_answers_are(gold):
    assert solved(gold, gold) == "solved"
    assert solved("Oslo", gold) == ("solved" if "Oslo" in gold else "unsolved")


@pytest.mark.parametrize("gold", ["", "\u200b", " \u00ad\ufeff", "\u3164", "\u2800"])
def test_answers_without_a_visible_character_are_refused(gold):
    with pytest.raises(ValueError, match="non-blank answer"):
        Task(gold)
    with pytest.raises(ValueError, match="non-blank aliases"):
        Task("Oslo", aliases=(gold,))


def test_answers_that_nobody_may_write_are_refused():
    assert solved("x" * 2000, "x" * 2000) == "solved"
    with pytest.raises(ValueError, match="at most 2000 characters, as many as a player may write, got 2001"):
        Task("Oslo", aliases=("x" * 2001,))


@given(st.text())
def test_folding_is_done_once_and_leaves_ascii_as_it_is_but_for_case(text):
    assert fold(fold(text)) == fold(text)
    visible = "".join(sign for sign in text if " " <= sign <= "~")
    assert fold(visible) == visible.lower()


@given(st.text(), st.sampled_from(["NFC", "NFD"]))
def test_composed_and_decomposed_texts_fold_to_the_same(text, form):
    other = unicodedata.normalize(form, text)
    assert compose(fold(compose(other))) == compose(fold(unicodedata.normalize("NFC", text)))
    assert exact_match(text, unicodedata.normalize("NFC", text)) or "\u0344" in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_case_makes_no_difference_to_a_folded_text(text):
    assert fold(text.casefold()) == fold(text)


@given(st.text(min_size=1).filter(answer_key))
def test_a_text_names_itself_unless_it_is_articles_alone(text):
    words = re.sub(r"[\W_]+", " ", fold(text)).split()
    assert mentions(text, [text]) or set(words) <= {"a", "an", "the"}
