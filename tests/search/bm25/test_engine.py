import dataclasses
import itertools
import math
import pickle
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssp_env.game.passage import Passage
from ssp_env.scoring.words import fold
from ssp_env.search.bm25 import BM25Engine, eager_index, term_index
from ssp_env.search.bm25 import engine as engine_module
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.search.engine import PassageSampler, SearchEngine

pytestmark = pytest.mark.usefixtures("both_forms")

TERSE = [
    Passage("p3", "belin", "belin mother corun belin rival sarn belin home velmo"),
    Passage("p1", "corun", "corun mayor tavor corun friend dalis corun rival velmo"),
    Passage("p4", "tavor", "tavor mother belin tavor home corun tavor rival sarn"),
    Passage("p2", "dalis", "dalis friend tavor dalis home sarn dalis mother corun"),
    Passage("p5", "sarn", "sarn mayor velmo sarn friend corun sarn home dalis"),
    Passage("p6", "velmo", "velmo rival dalis velmo mayor sarn velmo friend corun"),
]


@pytest.fixture(scope="module")
def terse(both_forms):
    return BM25Engine(TERSE, stem=False)


def ids(found):
    return [passage.id for passage in found]


def textbook_bm25(corpus, query, k1=1.2, b=0.75):
    """Exact BM25 summed over title and text, from the formula; the ids of matching passages, best first."""
    scores = dict.fromkeys((passage.id for passage in corpus), 0.0)
    for field in ("title", "text"):
        bags = {passage.id: Counter(getattr(passage, field).split()) for passage in corpus}
        mean_length = sum(bag.total() for bag in bags.values()) / len(bags)
        for word in set(query.split()):
            frequency = sum(word in bag for bag in bags.values())
            idf = math.log(1 + (len(bags) - frequency + 0.5) / (frequency + 0.5))
            for identifier, bag in bags.items():
                norm = k1 * (1 - b + b * bag.total() / mean_length)
                scores[identifier] += idf * bag[word] * (k1 + 1) / (bag[word] + norm)
    return {identifier: score for identifier, score in scores.items() if score > 0}


def test_it_is_a_search_engine_and_a_sampler(terse):
    assert isinstance(terse, SearchEngine)
    assert isinstance(terse, PassageSampler)
    assert len(terse) == len(TERSE)


def test_passages_come_back_whole_with_scores(terse):
    (found,) = terse.search(["belin"], 2)
    assert [dataclasses.replace(passage, score=0.0) for passage in found] == [TERSE[0], TERSE[2]]
    assert found[0].score > found[1].score > 0


@pytest.mark.parametrize("passage", TERSE, ids=lambda passage: passage.title)
def test_a_name_finds_its_own_page_before_pages_that_mention_it(terse, passage):
    own, other = terse.search([passage.title], 2)[0]
    assert own.id == passage.id
    assert passage.title in other.text.split()


def test_scores_follow_the_textbook():
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    corpus = [
        Passage(
            f"{number:03}", " ".join(rng.choice(words, 2)), " ".join(rng.choice(words, rng.integers(5, 30)))
        )
        for number in range(200)
    ]
    engine = BM25Engine(corpus, stem=False)
    queries = [" ".join(rng.choice(words, size, replace=False)) for size in (1, 2, 3, 5) for _ in range(5)]
    for query, found in zip(queries, engine.search(queries, len(corpus)), strict=True):
        expected = textbook_bm25(corpus, query)
        assert {passage.id: passage.score for passage in found} == pytest.approx(expected, rel=1e-4)


def test_a_word_repeated_in_a_query_counts_once(terse):
    assert terse.search(["mother of mother of belin"], 6) == terse.search(["belin mother"], 6)


def test_all_words_first_puts_pages_with_every_word_above_the_rest():
    engine = BM25Engine(TERSE, stem=False, all_words_first=True)
    for first, second in itertools.permutations({word for page in TERSE for word in page.text.split()}, 2):
        both = [page.id for page in TERSE if {first, second} <= set(page.text.split())]
        found = engine.search([f"{first} {second}"], len(TERSE))[0]
        assert sorted(ids(found[: len(both)])) == sorted(both)


def test_all_words_first_changes_the_best_page_and_keeps_the_others():
    plain, strict = (
        BM25Engine(TERSE, stem=False, all_words_first=flag).search(["mayor tavor"], 6)[0]
        for flag in (False, True)
    )
    assert plain[0].id == "p4"
    assert strict[0].id == "p1"
    assert set(ids(plain)) == set(ids(strict))


def test_all_words_first_counts_a_word_in_the_title():
    corpus = [
        Passage("a", "Tavor", "is a city"),
        Passage("b", "Tavor", "Tavor, Tavor"),
        Passage("c", "x", "city city"),
    ]
    engine = BM25Engine(corpus, all_words_first=True)
    assert ids(engine.search(["city Tavor"], 1)[0]) == ["a"]


@pytest.mark.parametrize(
    "query", ["", "   ", 'AND " : (', "😀", "the", "\ud800", "\x00", "?!", "zzz", "x" * 100_000]
)
def test_a_query_without_a_known_word_finds_nothing(terse, query):
    assert terse.search([query], 3) == [[]]


@pytest.mark.parametrize(
    "query",
    [
        "title:belin",
        "belin AND (",
        '"belin',
        "-belin",
        "belin^9",
        "belin*~",
        "BELIN",
        "\ud800 belin",
        "belin 😀",
        "+belin",
    ],
)
def test_nothing_in_a_query_is_syntax(terse, query):
    # `title` is no word of any page.
    assert terse.search([query], 6) == terse.search(["belin"], 6)


@settings(max_examples=300, deadline=None)
@given(
    queries=st.lists(
        st.text(st.characters(exclude_categories=())) | st.sampled_from(["belin of corun", "the"])
    )
)
def test_any_text_is_a_query(terse, queries):
    found = terse.search(queries, 2)
    assert found == terse.search(queries, 2)
    assert found == [terse.search([query], 2)[0] for query in queries]
    for query, passages in zip(queries, found, strict=True):
        assert len(passages) <= 2
        words = set(re.findall(r"[a-z]+", fold(query)))
        assert all(words & set(passage.text.split()) for passage in passages)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.sampled_from(["belin", "corun", "belin corun", "belin belin", "corun tavor"]),
        min_size=1,
        max_size=80,
    ),
    top_k=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
)
def test_ties_are_broken_by_id_whatever_the_order_and_the_cut(texts, top_k, order):
    corpus = [Passage(str(number), "page", text) for number, text in enumerate(texts)]
    full = BM25Engine(corpus).search(["belin"], len(corpus))[0]
    assert full == sorted(full, key=lambda passage: (-passage.score, passage.id))
    order.shuffle(corpus)
    assert BM25Engine(corpus).search(["belin"], top_k)[0] == full[:top_k]


def test_a_tie_longer_than_the_margin_is_seen_whole():
    corpus = [Passage(f"{number:04}", "t", "same words") for number in range(1000)]
    engine = BM25Engine(corpus[::-1])
    assert ids(engine.search(["words"], 3)[0]) == ["0000", "0001", "0002"]


def test_ties_do_not_depend_on_where_passages_lie_in_the_index(monkeypatch):
    corpus = [Passage(f"{number:03}", "t", "same words" if number % 3 else "words") for number in range(300)]
    straight = BM25Engine(corpus)
    with monkeypatch.context() as patch:
        patch.setattr(term_index, "enumerate", lambda items: reversed(list(enumerate(items))), raising=False)
        backwards = BM25Engine(corpus)
    for query in ("words", "same", "same words"):
        for top_k in (1, 3, 99, 101, 250):
            assert backwards.search([query], top_k) == straight.search([query], top_k)


def test_threads_find_what_one_thread_finds(terse, monkeypatch):
    queries = [page.title for page in TERSE] + ["", "mayor velmo"]
    inline = terse.search(queries, 3)
    monkeypatch.setattr(engine_module, "_THREADED_WORK", 0)
    monkeypatch.setattr(engine_module, "_THREADED_PASSAGES", 0)
    monkeypatch.setattr(eager_index, "_WORTH_COMPILING", 0)
    for size in range(1, len(queries) + 1):
        assert terse.search(queries[:size], 3) == inline[:size]


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_must_be_positive(terse, top_k):
    with pytest.raises(ValueError, match=f"top_k must be at least 1, got {top_k}"):
        terse.search(["belin"], top_k)


def test_top_k_may_exceed_the_corpus(terse):
    assert len(terse.search(["corun"], 10**12)[0]) == 6


def test_queries_must_be_a_sequence_of_strings(terse):
    with pytest.raises(TypeError, match="sequence of strings"):
        terse.search("belin", 2)
    with pytest.raises(TypeError, match="strings, got NoneType, str"):
        terse.search(["belin", None], 2)


def test_an_empty_corpus_is_refused():
    with pytest.raises(ValueError, match="empty corpus"):
        BM25Engine([])


def test_duplicate_ids_are_refused_and_named():
    with pytest.raises(ValueError, match="'7' twice: 'one' and 'two'"):
        BM25Engine([Passage("7", "one", "x"), Passage("8", "three", "x"), Passage("7", "two", "y")])


def test_fingerprint_depends_on_corpus_and_settings_and_not_on_order():
    base = BM25Engine(TERSE).fingerprint()
    assert re.fullmatch(r"[0-9a-f]{64}", base)
    assert BM25Engine(iter(TERSE[::-1])).fingerprint() == base
    first = TERSE[0]
    others = [
        BM25Engine(TERSE, stem=False),
        BM25Engine(TERSE, drop_stop_words=False),
        BM25Engine(TERSE, all_words_first=True),
        BM25Engine(TERSE[1:]),
        BM25Engine([dataclasses.replace(first, id="p0"), *TERSE[1:]]),
        BM25Engine([dataclasses.replace(first, title="Belin"), *TERSE[1:]]),
        BM25Engine([dataclasses.replace(first, text=first.text + " "), *TERSE[1:]]),
        # The same characters, cut elsewhere.
        BM25Engine([dataclasses.replace(first, title="beli", text="n" + first.text), *TERSE[1:]]),
    ]
    assert len({base, *(engine.fingerprint() for engine in others)}) == 1 + len(others)


def test_a_directory_holds_the_index_and_is_reopened(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "index"
    built = BM25Engine(TERSE, path=path)
    assert ids(built.search(["corun"], 3)[0]) == ids(BM25Engine(TERSE).search(["corun"], 3)[0])
    assert [entry.name for entry in path.parent.iterdir()] == ["index"]
    monkeypatch.setattr(engine_module, "build_index", None)  # reopening must not build
    reopened = BM25Engine(TERSE[::-1], path=str(path))
    assert reopened.search(["rivals of sarn"], 3) == built.search(["rivals of sarn"], 3)
    assert reopened.fingerprint() == built.fingerprint()


def test_an_interrupted_build_leaves_nothing(tmp_path):
    def interrupted():
        yield from TERSE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BM25Engine(interrupted(), path=tmp_path / "index")
    assert list(tmp_path.iterdir()) == []
    assert BM25Engine(TERSE, path=tmp_path / "index").search(["belin"], 1)[0]


def test_a_directory_of_something_else_is_refused(tmp_path):
    BM25Engine(TERSE, path=tmp_path / "index")
    with pytest.raises(ValueError, match="something other than the index of this corpus"):
        BM25Engine(TERSE[1:], path=tmp_path / "index")
    with pytest.raises(ValueError, match="something other"):
        BM25Engine(TERSE, path=tmp_path / "index", stem=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="something other"):
        BM25Engine(TERSE, path=tmp_path / "full")
    with pytest.raises(ValueError, match="needs a directory, got the file"):
        BM25Engine(TERSE, path=tmp_path / "full" / "thesis.txt")


def test_an_empty_directory_is_filled(tmp_path):
    assert BM25Engine(TERSE, path=tmp_path / ".").search(["belin"], 1)[0]


def test_lone_surrogates_in_a_passage_are_kept_and_do_no_harm():
    passage = Passage("a", "t\ud800", "belin \udfff corun")
    (found,) = BM25Engine([passage]).search(["corun"], 1)
    assert dataclasses.replace(found[0], score=0.0) == passage
    assert (
        BM25Engine([passage]).fingerprint() != BM25Engine([Passage("a", "t?", "belin ? corun")]).fingerprint()
    )


class TestSample:
    def test_same_seed_same_passages_whatever_the_order_of_the_corpus(self, terse):
        drawn = terse.sample(np.random.default_rng(5), 3, ())
        assert drawn == BM25Engine(TERSE[::-1]).sample(np.random.default_rng(5), 3, ())
        assert len({passage.id for passage in drawn}) == 3

    def test_excluded_passages_are_never_drawn(self, terse):
        rng = np.random.default_rng(0)
        for _ in range(50):
            assert not {"p1", "p2"} & set(ids(terse.sample(rng, 3, ["p1", "p2", "unknown"])))

    def test_every_passage_left_is_drawn_equally_often(self, terse):
        rng = np.random.default_rng(0)
        counts = Counter(identifier for _ in range(3000) for identifier in ids(terse.sample(rng, 2, {"p6"})))
        assert set(counts) == {"p1", "p2", "p3", "p4", "p5"}
        # Each is Binomial(3000, 2/5): five standard deviations are 134.
        assert all(abs(count - 1200) < 134 for count in counts.values())

    def test_fewer_are_returned_where_fewer_are_left(self, terse):
        drawn = terse.sample(np.random.default_rng(0), 10, {"p1"})
        assert sorted(ids(drawn)) == ["p2", "p3", "p4", "p5", "p6"]
        assert terse.sample(np.random.default_rng(0), 0, ()) == []
        assert terse.sample(np.random.default_rng(0), 2, [page.id for page in TERSE]) == []

    def test_count_must_not_be_negative(self, terse):
        with pytest.raises(ValueError, match="count must be 0 or more, got -1"):
            terse.sample(np.random.default_rng(0), -1, ())


def test_the_page_a_question_is_made_from_ranks_high_in_a_large_corpus():
    rng = np.random.default_rng(1)
    words = [f"word{number}" for number in range(2000)]
    skew = 1 / np.arange(1, len(words) + 1)
    corpus = [
        Passage(str(number), f"page{number}", " ".join(rng.choice(words, 40, p=skew / skew.sum())))
        for number in range(2000)
    ]
    engine = BM25Engine(corpus)
    chosen = [corpus[row] for row in rng.choice(len(corpus), 200, replace=False)]
    queries = [" ".join(rng.choice(passage.text.split(), 8)) for passage in chosen]
    hits = [
        passage.id in ids(found) for passage, found in zip(chosen, engine.search(queries, 5), strict=True)
    ]
    assert np.mean(hits) > 0.95


@pytest.mark.parametrize("settings", [{}, {"stem": False, "drop_stop_words": False, "all_words_first": True}])
def test_an_engine_pickles_and_ranks_as_before(tmp_path, settings):
    pages = [
        Passage(str(number), f"Page {number}", "the rivers of Belin " * number) for number in range(1, 6)
    ]
    for path in (None, tmp_path / "index"):
        engine = BM25Engine(pages, path=path, **settings)
        copy = pickle.loads(pickle.dumps(engine))
        assert copy.fingerprint() == engine.fingerprint()
        queries = ["river belin", "the", "page 3"]
        assert copy.search(queries, 4) == engine.search(queries, 4)


def test_one_field_ranks_as_texts_that_begin_with_their_titles(both_forms):
    joined = [Passage(page.id, "", f"{page.title} {page.text}") for page in TERSE]
    queries = ["belin rival", "tavor", "corun velmo mayor", "mother dalis belin sarn"]
    one, expected = BM25Engine(TERSE, one_field=True), BM25Engine(joined)
    for found, same in zip(one.search(queries, 6), expected.search(queries, 6), strict=True):
        assert [(page.id, page.score) for page in found] == [(page.id, page.score) for page in same]
        assert all(page.title for page in found)
    assert one.search(queries, 6) != BM25Engine(TERSE).search(queries, 6)
    assert one.fingerprint() != BM25Engine(TERSE).fingerprint()
    assert pickle.loads(pickle.dumps(one)).fingerprint() == one.fingerprint()


def test_settings_of_two_fields_are_named_as_before():
    assert "one_field" not in str(BM25Settings()) and "one_field=True" in str(BM25Settings(one_field=True))
    with pytest.raises(ValueError, match="title_boost needs a field for titles"):
        BM25Settings(one_field=True, title_boost=2.0)
    with pytest.raises(TypeError, match="one_field must be True or False"):
        BM25Settings(one_field=1)
