"""The benchmark of languages draws queries that fit one passage, and sees which engine finds it."""

import json
import random
import unicodedata

import pytest

from benchmarks import language_texts, languages

LETTERS = {"zh": range(0x4E00, 0x4E80), "th": range(0x0E01, 0x0E20), "el": range(0x03B1, 0x03C0)}


def sample(language, passages=30):
    """Passages of random words, joined where the script has no spaces."""
    rng = random.Random(language)
    letters = [chr(code) for code in LETTERS[language]]
    words = ["".join(rng.choices(letters, k=6)) for _ in range(60)]
    join = " " if language == "el" else ""
    return ["。".join(join.join(rng.choices(words, k=5)) for _ in range(3)) for _ in range(passages)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts")
    for language in LETTERS:
        (path / f"{language}.txt").write_text("\n\n".join(sample(language)), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", LETTERS)
def test_queries_fit_one_passage_alone(language):
    passages = sample(language)
    drawn = languages.draw_queries(passages, 20, random.Random(1))
    assert len(drawn) == 20
    assert drawn == languages.draw_queries(passages, 20, random.Random(1))
    for number, query in drawn:
        parts = query.split()
        assert len(parts) == (languages.WORDS if language == "el" else 2)
        assert [all(part in text for part in parts) for text in passages].index(True) == number
        assert not any(unicodedata.category(sign).startswith("P") for sign in query)


def test_nothing_is_drawn_from_short_passages():
    assert languages.draw_queries(["東京", "大阪", "a b", "Rome"], 5, random.Random(0)) == []


def test_the_report_compares_engines_by_language(folder, tmp_path, capsys):
    engines = [f"--engine={name}" for name in languages.ENGINES if name != "bm25s"]
    out = tmp_path / "results" / "languages.json"
    languages.main([str(folder), "--queries", "20", "--passages", "25", "--out", str(out), *engines])
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["el", "th", "zh"]
    for name, row in rows.items():
        assert (row["passages"], row["queries"]) == (25, 20)
        assert row["as_written"]["ssp-env"] >= 0.9
        assert row["as_written_ahead"] == row["as_typed_ahead"] == []
        assert (row["as_written"]["fts5 unicode61"] > 0.8) is (name == "el")
    printed = capsys.readouterr().out
    assert all(name in printed for name in rows)


def test_bm25s_is_asked_with_its_own_words():
    pytest.importorskip("bm25s")
    search = languages.open_bm25s(["the red house", "a blue ship sails", "ünter"])
    assert [search(query) for query in ("BLUE ships sails", "house", "东京")] == [1, 0, None]


def test_an_engine_is_ahead_only_if_chance_does_not_explain_it():
    passages = [f"page {number}" for number in range(40)]
    items = [(number, text) for number, text in enumerate(passages)]

    def right_below(bound):
        return lambda query: int(query.split()[1]) if int(query.split()[1]) < bound else None

    engines = {"ssp-env": right_below(30), "level": right_below(34), "better": right_below(40)}
    row = languages.measure(passages, items, engines)
    assert row["as_written"] == {"ssp-env": 0.75, "level": 0.85, "better": 1.0}
    assert row["as_written_ahead"] == ["better"]


def test_paragraphs_of_pages_are_collected_once(tmp_path, capsys):
    for language, texts in {
        "en": ["A paragraph that has some length.", "Short."],
        "de": ["Ein Absatz von einiger L\u00e4nge ist das.", "A paragraph that has some length."],
    }.items():
        (tmp_path / language).mkdir()
        page = "".join(f"<p>{text}</p>" for text in [*texts, *texts])
        (tmp_path / language / "page.html").write_text(f"<h1>x</h1><div>{page}</div>", encoding="utf-8")
    sources = [f"{name}={tmp_path / name}" for name in ("en", "de")]
    language_texts.main([str(tmp_path / "out"), *sources])
    assert (tmp_path / "out" / "en.txt").read_text(encoding="utf-8") == "A paragraph that has some length.\n"
    written = (tmp_path / "out" / "de.txt").read_text(encoding="utf-8")
    assert written == "Ein Absatz von einiger L\u00e4nge ist das.\n"
    assert "de: 1 paragraphs" in capsys.readouterr().out


def test_missing_texts_are_named(tmp_path):
    (tmp_path / "one.txt").write_text("a single passage", encoding="utf-8")
    with pytest.raises(ValueError, match=r"one\.txt: expected at least 2 passages.*got 1"):
        languages.main([str(tmp_path)])
    with pytest.raises(SystemExit, match=r"expected a folder of \*\.txt"):
        languages.main([str(tmp_path / "none")])
    with pytest.raises(FileNotFoundError, match="expected a page or a folder"):
        language_texts.collect(tmp_path / "none")
