"""Keys that services echo: gone from errors with all that they hold, logs, records and pickles."""

import json
import logging
import pickle
import time
import traceback

import httpx
import pytest

from agents.chat_endpoint import ChatClient, ChatError
from agents.vllm.errors import VLLMError
from agents.vllm.server import Server
from ssp_env.http import HTTPService, RequestPolicy, redact, run
from ssp_env.http.secrets import redact_reply, secrets_of
from ssp_env.search.chat_endpoint import ChatEndpoint
from ssp_env.search.errors import SearchError
from ssp_env.search.remote import RemoteEngine
from ssp_env.search.web import Brave, Serper, WebEngine
from tests.http.escapings import KEY, escapings, traces
from tests.search.faulty_server import faulty, reply

WRITTEN = escapings(KEY)
ONCE = RequestPolicy(max_retries=0)
JSON_TYPE = "Content-Type: application/json"

CLIENTS = {
    "RemoteEngine": lambda address: lambda: RemoteEngine(address, policy=ONCE).search(["a"], 3),
    "fingerprint": lambda address: lambda: RemoteEngine(address, policy=ONCE).fingerprint(),
    "Serper": lambda address: lambda: WebEngine(Serper(url=address), policy=ONCE).search(["a"], 3),
    "Brave": lambda address: lambda: WebEngine(Brave(url=address), policy=ONCE).search(["a"], 3),
    "ChatEndpoint": lambda address: lambda: ChatEndpoint(
        address, "m", api_key_variable="OPENAI_API_KEY", policy=ONCE
    )([]),
    "ChatClient": lambda address: lambda: ChatClient(address, max_retries=0).complete("m", []),
    "vLLM": lambda address: lambda: run(
        Server(address, HTTPService(ONCE), KEY).complete({"prompt": [1]}, "m")
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for name in ("OPENAI", "SERPER", "BRAVE", "SSP_SEARCH"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)


def everything(error):
    """All texts that an exception holds, with those of its causes and contexts, their notes and requests."""
    seen, waiting = [], [error]
    while waiting:
        error = waiting.pop()
        if error is None or any(error is other for other in seen):
            continue
        seen.append(error)
        waiting += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from getattr(error, "__notes__", ())
        for value in vars(error).values():
            if isinstance(value, httpx.Request):
                yield repr([*value.headers.raw])
        yield pickle.dumps(error).decode("latin-1")


def echoing(written):
    """Replies with a key in every place where a service may put it."""
    document = {"id": "1", "contents": "A text\nwith WRITTEN."}
    found = {"result": [[{"document": document, "score": 1.0}]], "fingerprint": "WRITTEN"}
    said = {"choices": [{"message": {"content": "You sent WRITTEN."}, "finish_reason": "stop"}]}
    usable = json.dumps({**found, **said, "web": {"results": [said]}, "organic": [document]})
    body = f"expected another key than {written}, which is wrong".encode()
    padded = f"{'x' * 170}{written}".encode()
    one_line = written.replace("\r", "").replace("\n", "")
    return {
        "401": reply(body, f"401 No {one_line}\r\nX-Key: {one_line}\r\n{JSON_TYPE}"),
        "500, at the end of the excerpt": reply(padded, "500 Oops"),
        "500, behind a longer excerpt": reply(b"y" * 100 + padded, "500 Oops"),
        "500, nested": reply(f'{{"error": {{"message": "{written}"}}}}'.encode(), f"500 Oops\r\n{JSON_TYPE}"),
        "200, no JSON": reply(body, f"200 OK\r\n{JSON_TYPE}"),
        "200, other JSON": reply(json.dumps([written]).encode(), f"200 OK\r\n{JSON_TYPE}"),
        "200, usable": reply(usable.replace("WRITTEN", written).encode(), f"200 OK\r\n{JSON_TYPE}"),
        "no HTTP": lambda connection, _: connection.sendall(f"{one_line} is no status\r\n\r\n".encode()),
        "too long": reply(b"", f"200 OK\r\nContent-Encoding: {one_line}"),
    }


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_key_that_is_echoed_is_in_no_error_log_or_result(client, written, caplog):
    # A service that escapes its JSON escapes what it echoes; other text is quoted within it.
    for place, answer in echoing(WRITTEN[written]).items():
        caplog.clear()
        with caplog.at_level(logging.DEBUG), faulty(answer) as server:
            for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
                logging.getLogger(name).setLevel(logging.DEBUG)
            try:
                shown = [repr(CLIENTS[client](server.address)())]
            except (SearchError, ChatError, VLLMError, ValueError) as error:
                shown = [*everything(error), *traceback.format_exception(error)]
        assert KEY.encode() in server.requests[0]
        assert any(record.name == "httpcore.http11" for record in caplog.records)
        for record in caplog.records:
            shown += [record.getMessage(), repr(record.args), logging.Formatter().format(record)]
        for text in shown:
            assert [*traces(text, KEY)] == [], (place, text)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_text_is_cleaned_before_anybody_shortens_it(written):
    text = "before " + WRITTEN[written] + " after"
    cleaned = redact(text, [KEY])
    assert cleaned.startswith("before ") and cleaned.endswith(" after") and "[API key]" in cleaned
    assert [*traces(cleaned, KEY)] == []
    for end in range(len(text)):
        assert [*traces(redact(text[:end], [KEY]), KEY)] == []


def test_pieces_of_a_key_that_the_service_has_cut_itself_are_cut_out():
    for piece in (KEY[:8], KEY[:-1], KEY[-8:], KEY[1:], KEY[5:20]):
        assert redact(f"<{piece}>", [KEY]) == "<[API key]>"
    assert redact(f"<{KEY[:7]}>", [KEY]) == f"<{KEY[:7]}>"


def test_all_else_stays_as_it_is():
    text = "100 % of it: %41, &amp; \\u0041 \\\\ é\ud800 \\u00e9 &#65; sk-proj &unknown; 中"
    assert redact(text, [KEY, ""]) == text
    assert redact(f"%41{KEY}&amp;\\u0041", [KEY]) == "%41[API key]&amp;\\u0041"
    assert redact(f"{KEY}{KEY} {KEY}", [KEY]) == "[API key][API key] [API key]"


def test_what_is_left_is_still_json():
    for written in WRITTEN.values():
        body = json.dumps({"text": f"\n{written}\n", "more": [1]})
        for text in (body, body.replace("\\\\", "\\")):
            assert json.loads(redact(text, [KEY]))["more"] == [1]


def test_short_keys_are_words_in_results_and_cut_out_of_errors():
    body = b'{"contents": "EMPTY streets"}'
    assert redact_reply(body, ["EMPTY"], is_error=False) == body
    assert redact_reply(body, ["EMPTY"], is_error=True) == b'{"contents": "[API key] streets"}'


def test_of_a_long_error_the_beginning_is_kept_and_nothing_is_cut_in_the_middle_of_a_key():
    body = redact_reply(b"a" * 65_520 + KEY.encode() * 100_000, [KEY], is_error=True)
    assert 60_000 < len(body) <= 65_536 and [*traces(body.decode(), KEY)] == []


@pytest.mark.parametrize("unit", ["\\", "%25", "&amp;", "\\u0061", KEY[:8], KEY[:-1], "&#", "\\\\u00", "a"])
def test_no_text_takes_long(unit):
    def seconds(size):
        text = unit * (size // len(unit))
        started = time.thread_time()
        redact(text, [KEY])
        return time.thread_time() - started

    seconds(1000)
    assert seconds(400_000) < 40 * max(seconds(40_000), 0.002)


def test_keys_are_found_in_headers_and_addresses():
    request = httpx.Request(
        "GET",
        "http://name:pass-word@a/?api_key=one&page=2&max_tokens=5&sig=x",
        headers={
            "Authorization": "Basic dXNlcjpwYXNz",
            "X-Subscription-Token": "two",
            "X-API-KEY": "three",
            "Ocp-Apim-Subscription-Key": "four",
            "Accept": "application/json",
        },
    )
    assert {*secrets_of(request)} == {"dXNlcjpwYXNz", "pass", "one", "two", "three", "four", "pass-word"}
    assert secrets_of(httpx.Request("GET", "http://a", headers={"Authorization": "bearer  five"})) == (
        "five",
    )


def test_a_key_in_the_address_is_in_no_log(caplog):
    with caplog.at_level(logging.DEBUG), faulty(reply(b"{}")) as server:
        HTTPService(ONCE).send(httpx.Request("GET", f"{server.address}/?key={KEY}"))
        HTTPService(ONCE).send(httpx.Request("GET", f"{server.address}/?page=1"))
    said = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert "key=[API key]" in said[0] and "page=1" in said[1]
