"""A run that goes on: what is new is handed out, to browsers of this machine alone."""

import json

import pytest

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from benchmarks.chromium import EXECUTABLE, NEEDED, Browser
from ssp_env.data.lines import DataFileError
from ssp_env.viewer.follow import build_follow_app
from tests.serve.running import running
from tests.viewer.recorded import LINES, write_games, write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", steps=3)


def client_of(*paths, **options):
    return TestClient(build_follow_app(paths, **options), base_url="http://127.0.0.1")


def changes(client, generation=0, games=0, metrics=0, source=0):
    address = f"/changes?source={source}&generation={generation}&games={games}&metrics={metrics}"
    reply = client.get(address)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_what_is_new_is_handed_out_once(run):
    client = client_of(run)
    first = changes(client, -1)
    assert len(first["games"]["id"]) == LINES and len(first["metrics"]) == 3
    nothing = changes(client, first["generation"], LINES, 3)
    assert nothing["games"]["id"] == [] and nothing["metrics"] == []
    lines = (run / "episodes.jsonl").read_text().splitlines(keepends=True)
    with (run / "episodes.jsonl").open("a") as games, (run / "metrics.jsonl").open("a") as metrics:
        games.write(lines[0] + lines[1][:100])
        metrics.write('{"stage": "self-play", "step": 3, "solver_reward": 1.0}\n{"stage"')
    new = changes(client, first["generation"], LINES, 3)
    assert new["games"]["line"] == [LINES + 1] and [row["step"] for row in new["metrics"]] == [3]
    with (run / "episodes.jsonl").open("a") as games:
        games.write(lines[1][100:])
    assert changes(client, first["generation"], LINES + 1, 4)["games"]["reason"] == ["too_few_words"]


def test_bodies_come_in_parts(run):
    client = client_of(run)
    changes(client)
    bodies = client.get("/part?source=0&generation=0&part=0").json()
    assert [body["line"] for body in bodies] == list(range(1, LINES + 1))
    for query in (
        "source=0&generation=0&part=1",
        "source=0&generation=3&part=0",
        "source=2&generation=0&part=0",
    ):
        assert client.get(f"/part?{query}").status_code == 404
    for query in (
        "source=0&generation=0&part=x",
        "source=0&generation=0",
        f"source=0&generation=0&part={'9' * 99}",
    ):
        assert client.get(f"/part?{query}").status_code == 422


def test_a_run_that_was_resumed_is_read_anew(run):
    client = client_of(run)
    changes(client)
    lines = (run / "episodes.jsonl").read_text().splitlines(keepends=True)
    (run / "episodes.jsonl").write_text("".join(lines[:2]))
    new = changes(client, 0, LINES, 3)
    assert new["generation"] == 1 and new["games"]["line"] == [1, 2] and len(new["metrics"]) == 3


def test_a_run_that_has_nothing_yet_and_bad_lines(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{")
    client = client_of(run)
    assert changes(client)["games"]["id"] == []
    lines = write_games(tmp_path / "games.jsonl").read_text().splitlines(keepends=True)
    nested = "[" * 100_000 + "\n"
    (run / "episodes.jsonl").write_text(lines[0] + '{"schema": 1}\n\n[1]\n' + nested + lines[1])
    (run / "metrics.jsonl").write_text("oops\n")
    new = changes(client)
    assert new["games"]["line"] == [1, 6] and new["about"]["bad"] == 3
    assert changes(client)["about"]["problems"] == new["about"]["problems"]
    assert "config.json: cannot be read" in json.dumps(new["about"]["problems"])


def test_only_the_last_games_of_a_long_file_are_read(run):
    new = changes(client_of(run, limit=2))
    assert new["games"]["line"] == [LINES - 1, LINES] and new["about"]["leftOut"] == LINES - 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost"}, 200),
    ],
)
def test_pages_of_other_machines_learn_nothing(run, headers, status):
    for path in ("/", "/changes?source=0&generation=0&games=0&metrics=0"):
        reply = client_of(run).get(path, headers=headers)
        assert reply.status_code == status
        assert status != 200 or reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert client_of(run).post("/changes").status_code == 405


def test_what_cannot_be_followed_is_refused(tmp_path, run):
    (tmp_path / "games.jsonl.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataFileError, match="got a gzipped one"):
        build_follow_app([tmp_path / "games.jsonl.gz"])
    with pytest.raises(ValueError, match=r"at loopback, such as 127.0.0.1, got '0.0.0.0'"):
        build_follow_app([run], host="0.0.0.0")


@pytest.mark.skipif(EXECUTABLE is None, reason=NEEDED)
def test_a_browser_follows_a_run(run):
    browser = Browser()
    with running(build_follow_app([run])) as address:
        page = browser.page()
        page.goto(address)
        page.wait(f"document.querySelector('#found').innerText === '{LINES} of {LINES} games'")
        page.click("#row-2")
        page.wait("document.querySelector('#game').innerText.includes('forged tag')")
        page.press("/")
        page.type("tav")
        lines = (run / "episodes.jsonl").read_text().splitlines(keepends=True)
        with (run / "episodes.jsonl").open("a") as games:
            games.write(lines[0])
        page.wait(f"document.querySelector('#found').innerText.endsWith('of {LINES + 1} games')")
        assert page.evaluate("document.activeElement.id") == "search", "whoever types is left in peace"
        assert page.evaluate("document.querySelector('#search').value") == "tav"
        assert "forged tag" in page.text("#game")
        assert page.errors == [] and {url.split("/")[2] for url in page.requests} == {address.split("/")[2]}
        page.close()
    browser.close()
