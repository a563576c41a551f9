"""The benchmark of reading HTML makes pages of the size it says, and notices what is not linear."""

import pytest

from benchmarks import html


def test_soups_have_their_size_and_repeat_themselves():
    assert html.soup("<a ", 10) == "<a <a <a <"
    assert len(html.mixed_soup(1, 5000)) == 5000
    assert html.mixed_soup(1, 5000) == html.mixed_soup(1, 5000) != html.mixed_soup(2, 5000)


@pytest.mark.parametrize("quadratic", [False, True])
def test_a_quadratic_reader_is_told_from_a_linear_one(monkeypatch, capsys, quadratic):
    def read(page):
        return sum(range(40 * len(page) ** 2 // 400 if quadratic else 40 * len(page)))

    monkeypatch.setattr(html, "page_text", read)
    monkeypatch.setattr(html, "SIZES", (400, 1_600, 12_000))
    monkeypatch.setattr(html, "PIECES", ("<a ",))
    assert html.main(["--mixed", "1"]) == quadratic
    assert "2 soups; ratio above 8: " + ("'<a '" if quadratic else "none") in capsys.readouterr().out
