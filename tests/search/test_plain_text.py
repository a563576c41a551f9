import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.search.plain_text import clean, page_text, snippet_text


@given(st.text(st.characters(exclude_categories=())))
def test_clean_text_has_no_control_characters_and_single_spaces(text):
    cleaned = clean(text)
    assert not [sign for sign in cleaned if unicodedata.category(sign) in {"Cc", "Cs", "Co"}]
    assert cleaned == " ".join(cleaned.split())
    assert clean(cleaned) == cleaned
    cleaned.encode()


def test_control_characters_are_those_of_unicode():
    for sign in map(chr, range(0x110000)):
        removed = unicodedata.category(sign) in {"Cc", "Cs", "Co"} and not sign.isspace()
        direction = sign in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
        assert clean(sign) == ("" if removed or direction or sign.isspace() else sign), hex(ord(sign))


def test_scripts_and_emoji_that_need_joiners_stay_whole():
    for text in ("苏黎世", "👩‍🚀", "نمی‌خواهم"):
        assert clean(text) == text


@pytest.mark.parametrize(
    ("snippet", "text"),
    [
        ("<b>Corun</b> is <a href='x>'>", "Corun is '>"),
        ("if a<b and c > d", "if a d"),
        ("3 < 4 & 5", "3 < 4 & 5"),
        ("&lt;b&gt; is bold", "<b> is bold"),
        ("a<!-- no -->b", "ab"),
        ("<b<i>>x</<i>b>", "< b>x< /b>"),
        ("\u202eevil\x07", "evil"),
        ("<\x00b>x", "x"),
    ],
)
def test_snippets_lose_their_tags(snippet, text):
    assert snippet_text(snippet) == text


@given(st.text(st.sampled_from("<>/!-ab &;#x \x00")))
def test_no_tag_survives_in_a_snippet_without_character_references(snippet):
    assert not re.search(r"<[a-z/][^<>]*>", snippet_text(snippet.replace("&", "")))


def test_a_page_gives_title_and_visible_text():
    page = """<!doctype html><html><head><title>Corun &amp; co</title><style>p {}</style></head>
    <body><svg><title>drawing</title></svg><h1>Corun</h1><script>if (a < b) {}</script>
    <p>A <i>town</i>.<br>It lies on the <a href=x>Aller</a>.</p><noscript>Turn it on</noscript>
    <ul><li>one<li>two</ul><!-- hidden --></body></html>"""
    assert page_text(page) == ("Corun & co", "Corun\nA town.\nIt lies on the Aller.\none\ntwo")


@pytest.mark.parametrize(
    "page", ["", "<", "<p", "</", "<head><p>x", "<script>", "<title>", "<body>" * 500, "&#xd800;"]
)
def test_broken_pages_do_no_harm(page):
    title, text = page_text(page)
    (title + text).encode()


def test_a_head_that_is_never_closed_does_not_hide_the_body():
    assert page_text("<head><title>t</title><body>seen")[1] == "seen"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h1>A</h1>B", ("", "A\nB")),
        ("one\ntwo <b>thr</b>ee<br>four", ("", "one two three\nfour")),
        ("<script>x<b></script><style>y</style>seen<!-- not -->", ("", "seen")),
        ("a &lt;b&gt; &amp; &eacute; &#x41; &nope;", ("", "a <b> & é A &nope;")),
        ("<title>T</title><svg><title>U</title></svg>x", ("T", "x")),
        ("<table><tr><td>1<td>2</table>", ("", "1\n2")),
        ("</script></p>still", ("", "still")),
        ("", ("", "")),
    ],
)
def test_html_becomes_what_a_reader_sees(page, expected):
    assert page_text(page) == expected


@given(st.text("<>/!-&;#\"'= abptitlescr\n"))
def test_no_page_is_too_malformed(page):
    title, text = page_text(page)
    assert isinstance(title, str) and isinstance(text, str)


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<div>", "<a><b>", "<table><tr><td>", "<svg>", "&", "<title>"]
)
def test_tag_soup_is_read_in_linear_time(piece):
    """Other parsers take minutes for one of these, in the length or in the depth of the page."""
    assert page_text(f"<p>seen</p>{piece * (1_000_000 // len(piece))}")[1].startswith("seen")


def test_text_behind_many_open_tags_or_a_long_text_is_kept():
    assert page_text("<div>" * 100_000 + "<!-- " + "x" * 11_000_000 + " -->seen")[1] == "seen"
