"""The page in a headless Chromium: filters, games, links, keys, a phone, hostile texts, no requests."""

import json
import os
from pathlib import Path

import pytest

from benchmarks.chromium import EXECUTABLE, NEEDED, Browser
from ssp_env.game import Game, Task
from ssp_env.records import EpisodeWriter
from ssp_env.viewer.page import write_page
from tests.game.doubles import answer
from tests.viewer.recorded import LINES, write_games, write_run

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
ROWS = "#list .row"
MANY = 10_000


@pytest.fixture(scope="module")
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page_of_games(tmp_path_factory):
    folder = tmp_path_factory.mktemp("games")
    write_page([write_games(folder / "games.jsonl")], folder / "games.html")
    return folder / "games.html"


@pytest.fixture(scope="module")
def page_of_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_page([write_run(folder / "first"), write_run(folder / "second", steps=30)], folder / "runs.html")
    return folder / "runs.html"


@pytest.fixture
def show(browser):
    """Open a page; whatever the test does, nothing complains and nothing is asked of anybody."""
    opened = []

    def open_page(path, fragment="", **options):
        page = browser.page(**options)
        opened.append((page, Path(path).as_uri()))
        page.goto(Path(path).as_uri() + fragment)
        return page

    yield open_page
    for page, address in opened:
        assert page.errors == []
        assert {asked.split("#")[0] for asked in page.requests} <= {address}
        assert page.evaluate("window.hacked === undefined")
        page.close()


def opened(page, text):
    page.wait(f"document.querySelector('#game').innerText.includes({json.dumps(text)})")


def test_games_are_filtered_by_what_came_of_them(show, page_of_games):
    page = show(page_of_games)
    assert page.text("#found") == f"{LINES} of {LINES} games" and page.count(ROWS) == LINES
    page.choose("#filter-verdict", "error")
    page.wait(f"document.querySelectorAll('{ROWS}').length === 1")
    assert page.text("#found") == f"1 of {LINES} games" and "verdict=error" in page.evaluate("location.hash")
    page.choose("#filter-verdict", "")
    for name, value, count in (
        ("label", "false", 1),
        ("step", "10", 2),
        ("has", "forged", 2),
        ("hops", "2", 8),
    ):
        page.choose(f"#filter-{name}", value)
        page.wait(f"document.querySelector('#found').innerText.startsWith('{count} of')")
        page.choose(f"#filter-{name}", "")
    page.choose("#filter-reason", "too_few_words")
    page.wait(f"document.querySelectorAll('{ROWS}').length === 1")
    page.click("#clear")
    page.wait(f"document.querySelectorAll('{ROWS}').length === {LINES}")
    assert page.evaluate("document.querySelector('#filter-reason').value") == ""


def test_texts_are_searched_in_the_list_and_in_whole_games(show, page_of_games):
    page = show(page_of_games)
    page.press("/")
    page.type("MODEL is down")
    page.wait(f"document.querySelectorAll('{ROWS}').length === 1")
    page.evaluate("document.querySelector('#search').value = ''")
    page.type("fictional or in no list")
    page.wait("document.querySelector('#found').innerText.startsWith('0 of')")
    page.evaluate("document.querySelector('#search').select()")
    page.type("has her home in corun")
    page.wait("document.querySelector('#found').innerText.startsWith('0 of')")
    page.click("#deep")
    page.wait(f"document.querySelectorAll('{ROWS}').length >= 5")


def test_a_game_is_shown_as_it_was_played(show, page_of_games):
    page = show(page_of_games)
    page.click("#row-2")
    opened(page, "Turn 1")
    text = page.text("#game")
    for said in (
        *("searches", "forged tag", "malformed: no complete action", "all rules kept", "dropped"),
        *("2 of them noise", "solver_0", "solver_1", "wrong", "Success rate", "Label", "false"),
        *("has her home in Corun", "1 of 2 right", "notice: the turn had no complete action"),
    ):
        assert said.lower() in text.lower(), said
    assert page.count("#game .is-noise") == 2 and page.count("#game .attempt") == 2
    assert page.text("#game .evidence .place").startswith("1.")
    page.evaluate("document.querySelectorAll('#game details').forEach((one) => { one.open = true; })")
    page.wait("document.querySelector('#game .raw') !== null")
    assert '"EvidenceMixed"' in page.text("#game .raw")


def test_games_that_failed_or_are_unknown_say_what_is_missing(show, page_of_games):
    page = show(page_of_games, "#game=A4")
    opened(page, "TimeoutError: the model is down")
    assert "solver_0/turn/0 was open. Whatever would have come after it was never played." in page.text(
        "#game"
    )
    page = show(page_of_games, f"#game=A{LINES}")
    opened(page, "its record does not tell how it ends")
    page = show(page_of_games, "#game=A7")
    opened(page, "Nobody proposed: the game began with a known question.")
    page = show(page_of_games, "#game=A8")
    opened(page, "Tavor is the queen of Ruvia")
    for said in ("stands in a passage", "in no passage", "misquoted", "refused"):
        assert said in page.text("#game")
    page = show(page_of_games, "#game=A99")
    opened(page, "which is not here")


def test_tokens_are_shown_when_somebody_asks(show, page_of_games):
    page = show(page_of_games, "#game=A6")
    opened(page, "weights 41")
    assert page.count("#game .tokens table") == 0
    page.evaluate("[...document.querySelectorAll('.attempt .tokens')].forEach((one) => { one.open = true; })")
    page.wait("document.querySelector('.attempt .tokens table') !== null")
    text = page.text(".attempt .tokens")
    for said in (
        "3 sampled, 3 read",
        "The loss covers the sampled tokens",
        "entropy (nats)",
        "advantage",
        "-0.25",
    ):
        assert said in text
    assert page.count(".attempt .bars rect") == 3
    page.choose(".attempt .tokens select", "advantages")
    page.wait(
        "document.querySelector('.attempt .bars').getAttribute('aria-label').startsWith('advantage of 3')"
    )


def test_hostile_texts_stay_texts(show, page_of_games):
    page = show(page_of_games, "#game=A5")
    opened(page, "window.hacked")
    page.evaluate("document.querySelectorAll('#game details').forEach((one) => { one.open = true; })")
    assert page.count("#game img, #game a, #game script, #game iframe, #main [href], #main [src]") == 0
    assert page.count("#game .hidden-char") > 10
    marks = set(
        page.evaluate("[...document.querySelectorAll('#game .hidden-char')].map((one) => one.textContent)")
    )
    assert marks >= {"U+202E", "U+202C", "U+200B", "U+2028"}
    seen = page.evaluate("document.querySelector('#main').textContent")
    assert not set(seen) & set("\u202e\u202c\u200b\u2028")
    page.evaluate("location.hash = 'game=A5&q=' + encodeURIComponent('<img src=x onerror=window.hacked=1>')")
    page.wait("document.querySelector('#search').value.startsWith('<img')")


def test_records_that_somebody_forged_hide_nothing_and_break_nothing(show, tmp_path):
    path = write_games(tmp_path / "forged.jsonl")
    record = json.loads(path.read_text().splitlines()[2])
    override = "\u202e<img src=x onerror='window.hacked = 1'>"
    record["outcome"]["reason"] = override
    record["outcome"]["rewards"] = {override: 1.0, "proposer_0": 0.5}
    for event in record["events"]:
        event |= {name: override for name in ("seat", "scorer", "code", "notice", "probe") if name in event}
    record["events"].insert(0, {"type": "Unheard", "seat": "solver_0", "x": [override]})
    record["events"].append(
        {"type": "SearchReturned", "seat": "solver_0", "query": 7, "passages": [{"text": 5}]}
    )
    record["extra"]["step"] = override
    bare = record | {"events": [{"type": "TurnTaken"}, {"type": "ReadingGiven", "reply": 4}]}
    path.write_text(f"{json.dumps(record)}\n{json.dumps(bare)}\n")
    write_page([path], tmp_path / "forged.html")
    for line in (1, 2):
        page = show(tmp_path / "forged.html", f"#game=A{line}")
        opened(page, "U+202E")
        spoken = "[...document.querySelectorAll('[aria-label]')].map((one) => one.getAttribute('aria-label'))"
        seen = page.evaluate(f"document.title + document.body.textContent + {spoken}.join()")
        assert "\u202e" not in seen and "U+202E" in seen
        assert page.count("#main img") == 0


def test_what_would_run_is_blocked_by_the_policy(browser, page_of_games):
    page = browser.page()
    page.goto(page_of_games.as_uri())
    done = page.evaluate(
        "(async () => { const script = document.createElement('script');"
        " script.textContent = 'window.hacked = 1';"
        " document.body.append(script); let blocked = 0;"
        " try { await fetch('http://127.0.0.1:9/'); } catch { blocked += 1; }"
        " return [window.hacked ?? 0, blocked]; })()"
    )
    assert done == [0, 1] and any("Content Security Policy" in json.dumps(one) for one in page.errors)
    page.close()


def test_links_lead_back_and_the_way_back_works(show, page_of_games):
    page = show(page_of_games, "#reason=solved&game=A3")
    opened(page, "solver_1")
    assert page.evaluate("document.querySelector('#filter-reason').value") == "solved"
    assert "Tavor" in page.text(".row.open") and page.evaluate("document.title").startswith("task-0")
    page.click(".row:not(.open)")
    page.wait("!location.hash.includes('game=A3')")
    page.click("[data-view='figures']")
    page.wait("document.querySelector('.figures') !== null")
    page.evaluate("history.back()")
    page.wait("document.querySelector('[data-view=games]').getAttribute('aria-current') === 'page'")
    assert "reason=solved" in page.evaluate("location.hash")


def test_keys_are_enough(show, page_of_games):
    page = show(page_of_games)
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.press("/")
    page.wait("document.activeElement.id === 'search'")
    page.type("tavor")
    for _ in range(12):
        page.press("Tab")
        if page.evaluate("document.activeElement.id") == "list":
            break
    page.press("ArrowDown", "ArrowDown", "Enter")
    opened(page, "Question and rules")
    assert page.evaluate("document.querySelector('#list').getAttribute('aria-activedescendant')") == "row-1"
    page.wait("document.activeElement.id === 'game-title'")
    page.press("n", "n")
    assert "turn" in page.evaluate("document.activeElement.className")
    page.press("j")
    page.wait("location.hash.includes('game=A3')")
    page.press("Escape")
    page.wait("!location.hash.includes('game=')")
    assert page.evaluate("document.activeElement.id") == "list"
    page.press("?")
    page.wait("document.querySelector('#help').open")
    page.press("Escape")
    page.wait("!document.querySelector('#help').open")
    page.press("3")
    page.wait("document.querySelector('.figures') !== null")
    page.press("t", "t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.press("t")


def test_a_phone_shows_the_list_or_the_game(show, page_of_games):
    page = show(page_of_games, width=390, height=844, mobile=True, dark=True)
    narrow = "document.documentElement.scrollWidth <= innerWidth"
    assert (
        page.evaluate(narrow)
        and page.evaluate("getComputedStyle(document.querySelector('#game')).display") == "none"
    )
    background = "getComputedStyle(document.body).backgroundColor"
    assert sum(map(int, page.evaluate(background)[4:-1].split(","))) < 128, "dark"
    page.click("#row-0")
    opened(page, "Turn 1")
    assert page.evaluate("getComputedStyle(document.querySelector('.listing')).display") == "none"
    assert page.evaluate(narrow)
    page.click(".back")
    page.wait(f"document.querySelector('{ROWS}').offsetParent !== null")
    for view in ("figures", "curves"):
        page.evaluate(f"location.hash = 'view={view}'")
        page.wait("document.querySelector('.page .notice, .figures') !== null")
        assert page.evaluate(narrow)


def test_points_of_curves_lead_to_their_games(show, page_of_runs):
    page = show(page_of_runs, "#view=curves")
    page.wait("document.querySelectorAll('.charts .curve').length === 3")
    assert "A solver_reward" in page.text(".charts") and "B solver_reward" in page.text(".charts")
    page.evaluate("document.querySelector('.plot').focus()")
    page.press("Home", "Enter")
    page.wait("location.hash.includes('step=0')")
    assert page.text("#found") == f"4 of {2 * LINES} games"
    page.evaluate("history.back()")
    page.wait("document.querySelector('.plot')?.offsetParent")
    page.click(".plot")
    page.wait("/step=\\d+/.test(location.hash)")


def test_lines_of_a_panel_look_different_and_begin_at_zero(show, tmp_path):
    run = write_run(tmp_path / "run")
    reasons = {f"invalid/reason_{number}": 0.1 + 0.05 * number for number in range(8)}
    rows = [{"stage": "self-play", "step": step, "mean_hops": 2 + step, **reasons} for step in range(3)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_page([run], tmp_path / "run.html")
    page = show(tmp_path / "run.html", "#view=curves")
    page.wait("document.querySelectorAll('.charts .curve').length === 2")
    fails, hops = page.evaluate(
        "[...document.querySelectorAll('.charts .curve')].map((one) => one.innerText)"
    )
    assert "Why questions fail: the 6 highest of 8" in fails and "reason_7" in fails
    assert "reason_0" not in fails and "reason_1" not in fails
    looks = "[...document.querySelectorAll('.charts .curve')[0].querySelectorAll('.legend .line')]"
    dashes = page.evaluate(f"{looks}.map((line) => line.getAttribute('stroke-dasharray'))")
    assert len(dashes) == len(set(dashes)) == 6
    ticks = "[...document.querySelectorAll('.charts .curve')[1].querySelectorAll('.chart text')]"
    assert page.evaluate(f"{ticks}.map((text) => text.textContent)")[:3] == ["0", "2", "4"]
    assert "mean_hops" in hops


def test_two_sources_are_seen_side_by_side(show, page_of_runs):
    page = show(page_of_runs, "#view=figures")
    page.wait("document.querySelector('.figures') !== null")
    assert "A: first" in page.text(".figures") and "B: second" in page.text(".figures")
    page.click(".figures button")
    page.wait("location.hash.includes('source=A') && location.hash.includes('reason=')")
    page.click("#row-0")
    opened(page, "Beside it")
    page.click("#game .tools button")
    page.wait("document.querySelectorAll('.one-game').length === 2")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_ten_thousand_games_are_a_list_of_a_few_rows(show, tmp_path):
    path = tmp_path / "many.jsonl"
    with EpisodeWriter(path) as writer:
        for said in ("Tavor", "Sarn"):
            game = Game(Task("Tavor", question="Who is the mother of Sarn?"))
            game.submit("solver_0/turn/0", answer(said))
            writer.write(game)
    path.write_text(path.read_text() * (MANY // 2))
    write_page([path], tmp_path / "many.html")
    page = show(tmp_path / "many.html")
    assert page.text("#found") == "10,000 of 10,000 games" and page.count(ROWS) < 50
    page.evaluate("document.querySelector('#list').focus()")
    page.press("End", "Enter")
    opened(page, f"line {MANY:,}")
    assert page.count(ROWS) < 50 and page.evaluate(f"document.querySelector('#row-{MANY - 1}') !== null")
    page.choose("#filter-reason", "solved")
    page.wait("document.querySelector('#found').innerText.startsWith('5,000 of')")


def test_axe_finds_no_violation(show, page_of_games, page_of_runs):
    axe = Path(os.environ.get("SSP_AXE", ""))
    if not axe.is_file():
        pytest.skip("needs the file axe.min.js of the npm package axe-core, named by SSP_AXE")
    views = [(page_of_games, "#game=A3"), (page_of_games, "#game=A6"), (page_of_runs, "#view=curves")]
    views += [(page_of_runs, "#view=figures"), (page_of_runs, "#game=A1&beside=B1")]
    for path, fragment in views:
        for options in ({}, {"width": 390, "height": 844, "mobile": True, "dark": True}):
            page = show(path, fragment, **options)
            page.wait("document.querySelector('.part, .curve, .figures') !== null")
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            page.evaluate(axe.read_text(encoding="utf-8") + "; 0")
            found = page.evaluate(
                "axe.run().then((found) => found.violations.map((one) => [one.id, one.nodes.length,"
                " one.nodes[0].html, one.nodes[0].failureSummary]))"
            )
            assert found == [], f"{fragment} {options}"
