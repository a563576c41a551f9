"""The client of chat endpoints against a real server: what it sends, faults, limits, money and the key."""

import asyncio
import json
import logging
import pickle
import socket
import threading
import time
import traceback

import pytest

from agents.chat_endpoint import (
    BadChatReply,
    ChatClient,
    ChatError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnavailable,
    Ledger,
    MaxCostReached,
    ModelNotFound,
    Price,
    Usage,
    read_prices,
)
from agents.chat_endpoint.client import Pacer
from agents.chat_endpoint.completion import read_completion
from ssp_env.game import PROTOCOLS
from ssp_env.game import Reply as GameReply
from tests.agents.chat_server import ASK, KEY, chat_server, completion
from tests.search.faulty_server import drip, faulty, half_a_head, half_closed, hang_up, not_http
from tests.search.remote_server import Reply

HELLO = completion("Hello")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


# -- what is sent -----------------------------------------------------------------------------------------


def test_a_completion_is_asked_for_as_the_api_says():
    with chat_server(HELLO) as (url, asked):
        got = ChatClient(url).complete("small", ASK, temperature=0.5, stop=None)
    assert (got.text, got.finish_reason, got.usage) == ("Hello", "stop", Usage(1, 100, 10, 40))
    (request,) = asked
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json() == {"model": "small", "messages": ASK, "temperature": 0.5}


def test_the_address_and_the_key_come_from_the_environment(monkeypatch):
    with chat_server(HELLO) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url + "/chat/completions/")
        monkeypatch.setenv("OTHER_KEY", "other")
        ChatClient(api_key_variable="OTHER_KEY").complete("small", ASK)
        monkeypatch.delenv("OPENAI_API_KEY")
        ChatClient().complete("small", ASK)
    assert [request.headers.get("authorization") for request in asked] == ["Bearer other", None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "expected the address of a chat endpoint"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "without user, password"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "without user, password"),
        ({"api_key_variable": "UNSET_KEY"}, "set the environment variable UNSET_KEY"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"silence_timeout": 0}, "silence_timeout must be above 0"),
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"tokens_per_minute": 0}, "must be above 0"),
    ],
)
def test_bad_arguments_are_refused_without_telling_the_key(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        ChatClient(**arguments)
    assert KEY not in repr(caught.value)


def test_a_malformed_key_is_not_repeated(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "two words")
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        ChatClient()
    assert "two words" not in str(caught.value)


# -- faults -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_faults_that_may_pass_are_met_by_sending_again(status):
    with chat_server(Reply({}, status), HELLO) as (url, asked):
        assert ChatClient(url).complete("small", ASK).text == "Hello"
    assert len(asked) == 2


def test_the_endpoints_retry_after_is_waited_for():
    with chat_server(Reply({}, 429, {"retry-after": "2"}), HELLO) as (url, asked):
        started = time.monotonic()
        ChatClient(url).complete("small", ASK)
        assert time.monotonic() - started >= 2
    with chat_server(Reply({}, 429, {"retry-after": "3600"})) as (url, asked):
        with pytest.raises(ChatRateLimited):
            ChatClient(url, timeout=30).complete("small", ASK)
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "says", "requests"),
    [
        (Reply({}, 429), ChatRateLimited, "429", 2),
        (Reply({"error": {"code": "insufficient_quota"}}, 429), ChatRefused, "the quota is used up", 2),
        (Reply({}, 500), ChatUnavailable, "500", 2),
        (Reply({"error": {"message": "no"}}, 401), ChatRefused, "is the key right", 1),
        (Reply({"error": {"message": "bad stop"}}, 400), ChatRefused, "bad stop", 1),
        (Reply({"error": {"message": "The model `x` does not exist."}}, 404), ModelNotFound, "does not", 1),
        (Reply({}, 404), ChatRefused, "is this the address", 1),
        (Reply({}, 307, {"location": "http://elsewhere/"}), ChatRefused, "307", 1),
        (Reply(b'{"choices": [{"mess'), BadChatReply, "expected JSON, got 19 bytes", 1),
        (Reply(b"<html>"), BadChatReply, "<html>", 1),
        (Reply({"choices": []}), BadChatReply, "expected a chat completion", 1),
        (Reply([1]), BadChatReply, "expected a chat completion", 1),
        (Reply(completion(["parts"])), BadChatReply, "content must be text", 1),
        (Reply({"a": "b" * 100}, cut=50), ChatUnavailable, "the connection failed", 2),
    ],
)
def test_faults_are_typed_and_sent_again_as_documented(reply, kind, says, requests):
    with chat_server(reply) as (url, asked):
        with pytest.raises(ChatError, match=says) as caught:
            ChatClient(url, max_retries=1).complete("small", ASK)
        assert type(caught.value) is kind
        assert caught.value.url == f"{url}/chat/completions"
        assert len(asked) == requests


@pytest.mark.parametrize("handler", [hang_up, half_a_head, half_closed, not_http], ids=lambda h: h.__name__)
def test_broken_connections_are_unavailability(handler):
    with faulty(handler) as server:
        with pytest.raises(ChatUnavailable, match="the connection failed"):
            ChatClient(server.address, max_retries=1).complete("small", ASK)
        assert len(server.requests) == 2


def test_a_refused_connection_is_unavailability():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ChatUnavailable, match="ConnectError"):
        ChatClient(f"http://127.0.0.1:{port}/v1", max_retries=1).complete("small", ASK)


def test_a_stalled_reply_is_sent_again():
    wait = threading.Event()
    with chat_server(Reply(HELLO, wait=wait), HELLO) as (url, asked):
        assert ChatClient(url, silence_timeout=0.3).complete("small", ASK).text == "Hello"
        assert len(asked) == 2
        wait.set()


def test_a_reply_that_stalls_in_its_middle_and_never_comes_is_a_timeout():
    def stall(connection, released):
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"choices": ')
        released.wait()

    with faulty(stall) as server:
        with pytest.raises(ChatTimeout, match="fell silent"):
            ChatClient(server.address, silence_timeout=0.2, max_retries=1).complete("small", ASK)
        assert len(server.requests) == 2


def test_a_reply_that_drips_is_stopped_at_the_deadline():
    with faulty(drip) as server, pytest.raises(ChatTimeout, match=r"within 0\.5 seconds"):
        ChatClient(server.address, timeout=0.5).complete("small", ASK)


# -- reading ----------------------------------------------------------------------------------------------


def test_calls_stop_reasons_and_tokens_are_read_and_reasoning_is_not():
    call = {"id": "", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}
    message = {"reasoning_content": "secret thoughts", "tool_calls": [call]}
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": 0}]}
    got = read_completion(
        completion(
            None, "tool_calls", message=message, logprobs=logprobs, token_ids=[7, 8], stop_reason="</answer>",
            top={"prompt_token_ids": [1, 2]},
        )
    )  # fmt: skip
    assert (got.text, got.tool_calls[0].name, got.tool_calls[0].id) == ("", "search", "call_0")
    assert (got.token_ids, got.logprobs, got.prompt_token_ids) == ((7, 8), (-0.5, 0.0), (1, 2))
    assert got.stop_string == "</answer>"
    assert read_completion(completion("", stop_reason=None)).stop_string == ""
    assert read_completion(completion("", matched_stop=2)).stop_string == ""
    assert read_completion(completion("")).stop_string is None
    assert read_completion(completion("", usage=None)).usage is None


# -- limits -----------------------------------------------------------------------------------------------


def test_no_more_requests_are_under_way_than_allowed():
    lock, under_way, most = threading.Lock(), [0], [0]

    def slow(request):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.05)
        with lock:
            under_way[0] -= 1
        return HELLO

    async def ask_all(client):
        await asyncio.gather(*(client.acomplete("small", ASK) for _ in range(9)))

    with chat_server(slow) as (url, asked):
        asyncio.run(ask_all(ChatClient(url, concurrency=3)))
    assert len(asked) == 9
    assert most == [3]


def test_requests_per_minute_spread_requests():
    with chat_server(HELLO) as (url, _):
        client = ChatClient(url, requests_per_minute=300)
        started = time.monotonic()
        for _ in range(3):
            client.complete("small", ASK)
    assert time.monotonic() - started >= 0.4


def test_tokens_are_paid_off_before_more_are_taken(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pacer = Pacer(per_minute=60)
    assert pacer.reserve(10) == 0
    assert pacer.reserve(5) == 10
    pacer.correct(-8)
    assert pacer.reserve(1) == 7
    now[0] += 60
    assert pacer.reserve(1) == 0


def test_tokens_per_minute_hold_back_the_next_request():
    with chat_server(HELLO) as (url, asked):
        client = ChatClient(url, tokens_per_minute=6_000)
        started = time.monotonic()
        client.complete("small", ASK, max_tokens=100_000)
        # What was assumed is corrected by the 110 tokens of the usage: 1.1 seconds.
        client.complete("small", ASK)
        assert time.monotonic() - started >= 1
        assert len(asked) == 2


# -- money ------------------------------------------------------------------------------------------------


def test_usage_is_added_up_by_role_and_model():
    ledger = Ledger({"small": Price(prompt=1, completion=10, cached=0.5)})
    with chat_server(HELLO) as (url, _):
        for role in ("solver", "solver", "judge"):
            ChatClient(url, ledger=ledger).complete("small", ASK, role=role)
        ChatClient(url, ledger=ledger).complete("free", ASK, role="judge")
    assert ledger.usage["solver", "small"] == Usage(2, 200, 20, 80)
    assert ledger.usage["judge", "small"] == ledger.usage["judge", "free"] == Usage(1, 100, 10, 40)
    assert ledger.cost() == pytest.approx(3 * (60 * 1 + 40 * 0.5 + 10 * 10) / 1e6)


def test_nothing_is_sent_once_the_money_is_spent():
    ledger = Ledger({"small": Price(1000, 1000)}, max_cost=0.2)
    with chat_server(HELLO) as (url, asked):
        client = ChatClient(url, ledger=ledger)
        client.complete("small", ASK)
        client.complete("small", ASK)
        with pytest.raises(MaxCostReached, match=r"\$0.2200 are spent, max_cost allows \$0.2"):
            client.complete("small", ASK)
        with pytest.raises(ValueError, match="needs the price of model 'other'; there are prices of: small"):
            client.complete("other", ASK)
        assert len(asked) == 2


def test_a_budget_cannot_be_kept_without_usage():
    with chat_server(completion("Hello", usage=None)) as (url, _):
        ChatClient(url).complete("small", ASK)
        ledger = Ledger({"small": Price(1, 1)}, max_cost=1)
        with pytest.raises(BadChatReply, match="max_cost cannot be kept"):
            ChatClient(url, ledger=ledger).complete("small", ASK)


def test_prices_are_read_from_json(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text('{"small": {"prompt": 0.1, "completion": 0.4}}')
    assert read_prices(path) == {"small": Price(0.1, 0.4)}
    for wrong in ("[]", "{", '{"small": 1}', '{"small": {"prompt": -1, "completion": 1}}'):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="dollars per million tokens"):
            read_prices(path)


# -- the key ----------------------------------------------------------------------------------------------


@pytest.fixture
def every_log():
    """All loggers there are write everything, for one test."""
    loggers = [logging.getLogger(name) for name in [*logging.root.manager.loggerDict]]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize(
    "reply",
    [
        HELLO,
        Reply({"error": f"Incorrect API key provided: {KEY}"}, 401),
        Reply({"error": "x" * 1190 + KEY}, 500),
        Reply(f"not JSON {KEY}".encode()),
        Reply({"choices": KEY}),
        Reply({"a": "b" * 100}, cut=50),
    ],
    ids=["200", "401", "500", "no JSON", "no completion", "cut"],
)
def test_the_key_is_in_no_log_error_or_pickle(reply, caplog, every_log):
    with caplog.at_level(logging.DEBUG), chat_server(reply) as (url, asked):
        client = ChatClient(url, max_retries=0)
        shown = [repr(client), repr(vars(client)), pickle.dumps(client).decode("latin-1")]
        try:
            client.complete("small", ASK)
        except ChatError as error:
            logging.getLogger("test").debug("failed", exc_info=error)
            shown += [repr(error), *traceback.format_exception(error)]
            shown += [pickle.dumps(error).decode("latin-1"), repr(pickle.loads(pickle.dumps(error)))]
        assert KEY in asked[0].headers["authorization"]
    for record in caplog.records:
        shown += [record.getMessage(), repr(record.args), logging.Formatter().format(record)]
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert not [text for text in shown if KEY in text or KEY[:12] in text]


def test_a_client_works_after_pickling_and_in_another_loop():
    with chat_server(HELLO) as (url, _):
        ledger = Ledger({"small": Price(1, 1)}, max_cost=1)
        client = pickle.loads(pickle.dumps(ChatClient(url, ledger=ledger, tokens_per_minute=1e9)))
        texts = [asyncio.run(client.acomplete("small", ASK)).text for _ in range(2)]
        assert texts == [client.complete("small", ASK).text] * 2
        assert client.ledger.usage["", "small"].requests == 3
        client.close()


def test_half_a_surrogate_pair_can_be_sent():
    with chat_server(HELLO) as (url, asked):
        ChatClient(url).complete("small", [{"role": "user", "content": "\ud800"}])
    assert json.loads(asked[0].body)["messages"][0]["content"] == "\ud800"


# -- what other endpoints send ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ({"error": {"message": "overloaded", "code": 502}}, ChatUnavailable, 3),
        ({"error": {"message": "overloaded", "code": "503"}}, ChatUnavailable, 3),
        ({"error": "overloaded"}, ChatUnavailable, 3),
        (
            {"choices": [{"error": {"message": "cut", "code": 502}, "message": {"content": ""}}]},
            ChatUnavailable,
            3,
        ),
        ({"error": {"message": "slow down", "code": 429}}, ChatRateLimited, 3),
        ({"error": {"message": "no", "code": 400}}, ChatRefused, 1),
    ],
)
def test_an_error_in_a_reply_of_status_200_is_that_error(body, kind, sent):
    with chat_server(body) as (url, asked), pytest.raises(kind, match=r"expected status 200, got \d+"):
        ChatClient(url, max_retries=2).complete("small", ASK)
    assert len(asked) == sent


def test_what_follows_an_error_in_a_reply_of_status_200_is_taken():
    with chat_server({"error": {"message": "overloaded", "code": 502}}, completion("On Funen.")) as (url, _):
        assert ChatClient(url).complete("small", ASK).text == "On Funen."


def test_a_null_error_beside_a_completion_is_none():
    with chat_server(completion("On Funen.", top={"error": None})) as (url, asked):
        assert ChatClient(url).complete("small", ASK).text == "On Funen."
    assert len(asked) == 1


def test_content_in_parts_is_the_text_of_the_text_parts():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "<answer> "},
        {"type": "text", "text": "Tavor </answer>"},
    ]
    read = read_completion(completion(parts))
    assert (read.text, read.reasoned) == ("<answer> Tavor </answer>", True)
    assert read_completion(completion([])).text == ""
    with pytest.raises(BadChatReply, match="content must be text or parts with text"):
        read_completion(completion([{"type": "text", "text": None}]))


def test_null_arguments_are_a_malformed_call_of_the_model():
    call = {"id": "1", "function": {"name": "search", "arguments": None}}
    read = read_completion(completion(None, "tool_calls", message={"tool_calls": [call]}))
    assert read.tool_calls[0].arguments == "{}"
    action = PROTOCOLS["openai"].parse(GameReply(read.text, tool_calls=read.tool_calls), "answer")
    assert (action.kind, action.code) == ("malformed", "bad_call")
