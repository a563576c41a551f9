"""The page without a browser: what is in it, what it leaves out, and that no text in it can become code."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from ssp_env.data.lines import DataFileError
from ssp_env.game.outcome import REASON_CODES
from ssp_env.records import read_episodes
from ssp_env.viewer.assets import REASONS, SCRIPTS, content_security_policy, script
from ssp_env.viewer.page import write_page
from ssp_env.viewer.sources import COLUMNS
from tests.viewer.recorded import HOSTILE, LINES, write_games, write_run


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.styles, self.blocks, self._inside = [], [], [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = (tag, dict(attributes)) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            return
        tag, attributes = self._inside
        if "id" in attributes:
            self.blocks[attributes["id"]] = json.loads(gzip.decompress(base64.b64decode(data)))
        else:
            {"script": self.scripts, "style": self.styles}[tag].append(data)


@pytest.fixture(scope="module")
def games(tmp_path_factory):
    return write_games(tmp_path_factory.mktemp("games") / "games.jsonl")


@pytest.fixture(scope="module")
def page(games, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "games.html"
    write_page([games], out)
    return out.read_text(encoding="utf-8")


def bodies(outline, source=0):
    names = [name for name in outline.blocks if name.startswith(f"part-{source}-")]
    return [body for name in names for body in outline.blocks[name]]


def test_every_game_is_in_the_page_whole(games, page):
    outline = Outline(page)
    episodes = list(read_episodes(games))
    assert len(episodes) == LINES == len(bodies(outline))
    for number, (episode, body) in enumerate(zip(episodes, bodies(outline), strict=True), start=1):
        assert body["line"] == number
        assert "inputs" not in body["snapshot"]
        assert body["events"] == list(episode.events) and body["outcome"] == episode.outcome
        assert body["extra"] == episode.extra and body["snapshot"]["task"] == episode.snapshot["task"]


def test_the_list_has_what_filters_and_search_need(page):
    columns = Outline(page).blocks["games-0"]
    assert set(columns) == {*COLUMNS, "part"} and {len(values) for values in columns.values()} == {LINES}
    assert columns["reason"] == [
        *("solved", "too_few_words", "solved", "error", "unsolved"),
        *("solved", "solved", "misquoted", "unknown"),
    ]
    assert columns["label"] == [True, True, False, None, True, None, None, None, None]
    assert columns["step"] == [0, 0, 10, 10, 20, 30, None, None, None]
    assert columns["forged"][2] == 2 and columns["malformed"][2] == 1 and columns["attempts"][2] == 2
    assert columns["tokens"] == [False] * 5 + [True] + [False] * 3
    assert "belin" in columns["words"][0] and "the model is down" in columns["words"][3]


def test_equal_games_give_equal_pages(games, page, tmp_path):
    for name in ("one.html", "two.html"):
        write_page([games], tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == page


def test_no_text_of_a_game_stands_in_the_page_as_it_is(page):
    assert "hacked" not in page and "\u2028" not in page and "belin" not in page.lower()
    outline = Outline(page)
    executed = [
        given for tag, given in outline.elements if tag == "script" and given.get("type") != "text/plain"
    ]
    assert executed == [{}] and len(outline.scripts) == 1
    hostile = bodies(outline)[4]
    assert hostile["snapshot"]["task"]["aliases"] == ["other " + HOSTILE]
    assert HOSTILE in hostile["events"][1]["passages"][0]["text"]


def test_the_title_is_text(tmp_path):
    name = tmp_path / "<b>&games.jsonl"
    write_games(name)
    write_page([name], tmp_path / "out.html")
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<title>&lt;b&gt;&amp;games.jsonl" in text


def test_the_browser_runs_our_script_alone_and_asks_nobody(page):
    outline = Outline(page)
    (policy,) = [
        given["content"]
        for tag, given in outline.elements
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == content_security_policy()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for name, (text,) in (("script-src", outline.scripts), ("style-src", outline.styles)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")
    assert "connect-src 'self'" in content_security_policy(follows=True)
    loaded = {name for _, given in outline.elements for name in given} & {"src", "href", "srcset", "action"}
    assert not loaded
    assert re.findall(r"https?://[^\s\"'<]+", page) == ["http://www.w3.org/2000/svg"]


FORBIDDEN = (
    *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment"),
    *("eval(", "Function(", 'setTimeout("', "srcdoc", "DOMParser", "import(", ".href", "window.open"),
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_no_markup_out_of_texts(name):
    text = files("ssp_env.viewer").joinpath("page", name).read_text(encoding="utf-8")
    assert [word for word in FORBIDDEN if word in text] == []
    assert len(text.splitlines()) < 450 and text.startswith("// ")


def test_all_scripts_are_in_the_page():
    found = {
        path.name for path in files("ssp_env.viewer").joinpath("page").iterdir() if path.name.endswith(".js")
    }
    assert found == set(SCRIPTS)
    assert "</script" not in script() and "<!--" not in script()


def test_every_reason_has_a_meaning():
    assert set(REASONS) == {*REASON_CODES, "unknown"}


def test_a_run_has_its_metrics_and_what_it_says_of_itself(tmp_path):
    run = write_run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('[1]\n{"step": 60, "x": NaN, "stage": "self-play"}\n{"step": 61, "sol')
    write_page([run, run / "episodes.jsonl"], tmp_path / "out.html")
    outline = Outline((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert [row["step"] for row in outline.blocks["metrics-0"]] == list(range(61))
    assert "x" not in outline.blocks["metrics-0"][-1] and outline.blocks["metrics-1"] == []
    first, second = outline.blocks["about"]["sources"]
    assert first["descriptions"] == {"config.json": {"preset": "tiny"}} and second["descriptions"] == {}
    assert "metrics.jsonl:61: expected an object with the metrics" in " ".join(first["problems"])
    assert len(bodies(outline, 1)) == LINES


def about(path, tmp_path, **options):
    write_page([path], tmp_path / "out.html", **options)
    outline = Outline((tmp_path / "out.html").read_text(encoding="utf-8"))
    return outline.blocks["about"]["sources"][0], outline


def test_a_file_that_is_being_written_and_records_of_another_version(games, tmp_path):
    lines = games.read_text().splitlines()
    old = json.dumps(json.loads(lines[0]) | {"schema": 1})
    odd = json.loads(lines[0])
    odd["snapshot"]["task"] = {"answer": "Tavor"}
    path = tmp_path / "growing.jsonl"
    path.write_text("\n".join([lines[0], old, json.dumps(odd), lines[1], lines[2][:100]]))
    source, outline = about(path, tmp_path)
    assert [body["line"] for body in bodies(outline)] == [1, 4]
    assert (source["shown"], source["bad"], source["torn"]) == (2, 2, True)
    assert "growing.jsonl:2: expected a record of schema 2, got schema int 1" in source["problems"][0]
    assert "growing.jsonl:3: expected a whole game" in source["problems"][1]
    assert "torn last line" in source["problems"][2]


def test_an_empty_run_and_an_empty_file(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(DataFileError, match=r"expected the folder of a run, with episodes.jsonl"):
        write_page([run], tmp_path / "out.html")
    (run / "config.json").write_text("{")
    source, outline = about(run, tmp_path)
    assert source["shown"] == 0 and source["isRun"] and "config.json: cannot be read" in source["problems"][0]
    (tmp_path / "empty.jsonl").touch()
    source, outline = about(tmp_path / "empty.jsonl", tmp_path)
    assert source["total"] == 0 and bodies(outline) == []
    with pytest.raises(DataFileError, match="found neither"):
        write_page([tmp_path / "nowhere"], tmp_path / "out.html")


def test_of_a_long_file_the_last_games_are_shown(tmp_path):
    line = json.dumps({"schema": 1})
    path = write_games(tmp_path / "long.jsonl")
    path.write_text(f"{line}\n" * 500 + path.read_text())
    source, outline = about(path, tmp_path, limit=3)
    assert (source["total"], source["leftOut"], source["shown"]) == (500 + LINES, 497 + LINES, 3)
    assert source["bad"] == 0, "lines that are left out are not read"
    assert [body["line"] for body in bodies(outline)] == [498 + LINES, 499 + LINES, 500 + LINES]
    with pytest.raises(ValueError, match="at least 1 game, got the limit 0"):
        write_page([path], tmp_path / "out.html", limit=0)


def test_a_page_replaces_a_page_and_nothing_else(games, tmp_path):
    target = tmp_path / "notes.html"
    target.write_text("<p>mine</p>")
    with pytest.raises(FileExistsError, match="is no page of games: choose another file"):
        write_page([games], target)
    assert target.read_text() == "<p>mine</p>" and list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match="or two side by side, got 3"):
        write_page([games] * 3, tmp_path / "out.html")


def test_gzipped_games_are_shown(games, tmp_path):
    packed = tmp_path / "games.jsonl.gz"
    packed.write_bytes(gzip.compress(games.read_bytes()))
    source, _ = about(packed, tmp_path)
    assert source["shown"] == LINES
