"""Every provider against a server that replays an exchange in the provider's documented format."""

import dataclasses
import json
from pathlib import Path

import pytest

from ssp_env.search.errors import BadSearchReply, SearchRefused
from ssp_env.search.web import Brave, SearXNG, Serper, Tavily, WebEngine
from tests.search.remote_server import Reply, remote

CASSETTES = Path(__file__).parent / "cassettes"
QUERY = "harbour towns on the Aller"
KEY = "test-key-1234"
PROVIDERS = {"serper": Serper(), "brave": Brave(), "tavily": Tavily(), "searxng": SearXNG("http://x/search")}
VARIABLES = {"serper": "SERPER_API_KEY", "brave": "BRAVE_API_KEY", "tavily": "TAVILY_API_KEY"}

pytestmark = pytest.mark.parametrize("name", PROVIDERS)


def cassette(name):
    return json.loads((CASSETTES / f"{name}.json").read_text())


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, KEY)


def at(name, address):
    return dataclasses.replace(PROVIDERS[name], url=address + cassette(name)["request"]["path"])


def test_the_request_is_the_documented_one_and_the_reply_becomes_passages(name):
    tape = cassette(name)
    with remote(lambda asked: Reply(tape["response"])) as (address, asked):
        (found,) = WebEngine(at(name, address)).search([QUERY], 10)
    assert [[hit.id, hit.title, hit.text] for hit in found] == tape["passages"]
    assert [hit.score for hit in found] == [1 / rank for rank in range(1, len(found) + 1)]
    (request,) = asked
    expected = tape["request"]
    assert (request.method, request.path) == (expected["method"], expected["path"])
    assert request.query == expected.get("query", {})
    assert (request.json() if request.body else None) == expected.get("json")
    assert {header: request.headers[header] for header in expected["headers"]} == expected["headers"]


def test_the_default_address_is_the_documented_one(name):
    path = cassette(name)["request"]["path"]
    assert PROVIDERS[name].url.startswith("http") and PROVIDERS[name].url.endswith(path)
    assert PROVIDERS[name].request(QUERY, 10).url.path == path


@pytest.mark.parametrize("damage", [[], None, "text", {"organic": 1, "web": 1, "results": 1}])
def test_a_reply_of_another_form_is_a_bad_reply(name, damage):
    with pytest.raises(BadSearchReply, match=PROVIDERS[name].name):
        PROVIDERS[name].results(damage)


def test_a_result_without_an_address_is_a_bad_reply(name):
    row = {"title": "no address"}
    with pytest.raises(BadSearchReply, match="in every result"):
        PROVIDERS[name].results({"organic": [row], "web": {"results": [row]}, "results": [row]})


def test_no_results_are_an_empty_list(name):
    replies = {"serper": {"organic": []}, "brave": {"type": "search"}}
    assert PROVIDERS[name].results(replies.get(name, {"results": []})) == []


def test_without_a_key_the_engine_is_refused_at_once_and_the_variable_named(name, monkeypatch):
    if name == "searxng":
        assert PROVIDERS[name].request(QUERY, 10)
        return
    monkeypatch.delenv(VARIABLES[name])
    with pytest.raises(SearchRefused, match=VARIABLES[name]):
        WebEngine(PROVIDERS[name])


@pytest.mark.parametrize("key", ["secret\nInjected: 1", "sécret", "two secrets"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(name, key, monkeypatch):
    if name == "searxng":
        return
    monkeypatch.setenv(VARIABLES[name], key)
    with pytest.raises(SearchRefused, match=VARIABLES[name]) as caught:
        PROVIDERS[name].request(QUERY, 10)
    assert "cret" not in str(caught.value).replace(VARIABLES[name], "")


def test_the_key_is_in_no_fingerprint_and_no_representation(name, monkeypatch):
    engine = WebEngine(PROVIDERS[name])
    before = engine.fingerprint()
    assert KEY not in repr(PROVIDERS[name]) + repr(engine.__dict__)
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, "another-key")
    assert WebEngine(PROVIDERS[name]).fingerprint() == before
    assert WebEngine(PROVIDERS[name], max_results=5).fingerprint() != before
