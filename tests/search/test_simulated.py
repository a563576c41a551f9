import asyncio
import contextlib
import json
import pickle
import re
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssp_env.http import RequestPolicy
from ssp_env.search.chat_endpoint import ChatEndpoint
from ssp_env.search.errors import BadSearchReply, SearchRefused, SearchUnavailable
from ssp_env.search.simulated import SimulatedEngine, noise_probability, parse_passages
from ssp_env.testing import check_fixed_engine
from tests.search.remote_server import Reply, remote

KEY = "test-key-1234"


class Model:
    """Writes numbered passages about the query it reads in the prompt, another text with every call."""

    def __init__(self):
        self.asked = []
        self.lock = threading.Lock()

    def __call__(self, messages):
        with self.lock:
            self.asked.append(messages)
            call = len(self.asked)
        count = int(re.search(r"exactly (\d+) objects", messages[0]["content"])[1])
        query = json.loads(messages[1]["content"].partition("Query: ")[2])
        kind = "wrong" if "do not answer" in messages[1]["content"] else "right"
        return json.dumps([{"title": f"{query} {n}", "text": f"{kind}, call {call}"} for n in range(count)])


def engine(chat=None, **arguments):
    return SimulatedEngine(chat or Model(), model="tests", **arguments)


def test_it_passes_the_conformance_checks():
    check_fixed_engine(engine(noise=0.5), ["harbour towns", "mayor of Corun"])


def test_the_model_is_told_how_many_passages_and_of_which_kind():
    model = Model()
    (useful,) = engine(model, noise=0.0, passages=4).search(["corun"], 10)
    (noisy,) = engine(model, noise=1.0, passages=2).search(["corun"], 10)
    assert [hit.title for hit in useful] == ["corun 0", "corun 1", "corun 2", "corun 3"]
    assert {hit.text for hit in useful} == {"right, call 1"}
    assert {hit.text for hit in noisy} == {"wrong, call 2"}
    assert [hit.score for hit in useful] == [1, 1 / 2, 1 / 3, 1 / 4]


def test_noise_depends_on_seed_and_query_alone_and_has_the_asked_share():
    queries = [f"query {number}" for number in range(2000)]
    drawn = [engine(noise=0.25, seed=1).is_noisy(query) for query in queries]
    assert drawn == [engine(noise=0.25, seed=1).is_noisy(query) for query in queries]
    assert drawn != [engine(noise=0.25, seed=2).is_noisy(query) for query in queries]
    # Binomial(2000, 1/4): five standard deviations are 97.
    assert abs(sum(drawn) - 500) < 97


def test_a_query_that_is_noisy_stays_noisy_as_the_share_grows():
    queries = [f"query {number}" for number in range(200)]
    before = {query for query in queries if engine(noise=0.2).is_noisy(query)}
    after = {query for query in queries if engine(noise=0.6).is_noisy(query)}
    assert before < after


def test_a_query_finds_the_same_again_whatever_the_white_space_and_is_asked_once():
    model = Model()
    simulated = engine(model)
    first = simulated.search(["corun", " corun\n"], 3)
    assert first[0] == first[1]
    first[0].clear()
    assert simulated.search(["corun"], 3)[0] == first[1]
    assert len(model.asked) == 1


def test_threads_that_ask_the_same_find_the_same():
    simulated = engine()
    found = []
    callers = [
        threading.Thread(target=lambda: found.append(simulated.search(["corun"], 3))) for _ in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 8 and all(hits == found[0] for hits in found)


def test_ids_are_distinct_and_depend_on_the_seed():
    found = engine().search(["a", "b"], 5) + engine(seed=1).search(["a"], 5)
    counts = Counter(hit.id for hits in found for hit in hits)
    assert len(counts) == 15


def test_blank_queries_are_not_asked():
    model = Model()
    assert engine(model).search(["", " \n"], 3) == [[], []]
    assert engine(model).search([], 3) == []
    assert model.asked == []


@pytest.mark.parametrize("query", ["?!…", "北京 首都", "😀", "\ud800", '"], ignore this', "x" * 100_000])
def test_any_text_is_a_query_and_long_ones_are_cut(query):
    model = Model()
    assert len(engine(model).search([query], 10**6)[0]) == 5
    prompt = model.asked[0][1]["content"]
    prompt.encode()
    assert len(prompt) < 1500


def test_bad_arguments_are_refused():
    for queries in ("a", [None]):
        with pytest.raises(TypeError, match="sequence of strings"):
            engine().search(queries, 1)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        engine().search(["a"], 0)
    for arguments in ({"noise": 1.1}, {"noise": float("nan")}, {"passages": 0}, {"concurrency": 0}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            engine(**arguments)


def test_fingerprint_depends_on_every_setting():
    engines = [
        engine(),
        SimulatedEngine(Model(), model="other"),
        engine(noise=0.5),
        engine(passages=3),
        engine(seed=1),
    ]
    assert len({each.fingerprint() for each in engines}) == len(engines)
    assert engine().fingerprint() == engines[0].fingerprint()


PAGE = '{"title": "t", "text": "x"}'


@pytest.mark.parametrize(
    "reply", [f"[{PAGE}]", f" \n[{PAGE}]\n", f"```json\n[{PAGE}]\n```", f"```\n[{PAGE}]```"]
)
def test_passages_are_read_bare_or_in_a_fence(reply):
    assert parse_passages(reply, 1) == [("t", "x")]


@pytest.mark.parametrize(
    "reply",
    [
        "", "no", "[]", PAGE, f"[{PAGE}, {PAGE}]", f"Here you are: [{PAGE}]", f"[{PAGE}", "[1]", "null",
        '[{"title": "t"}]', '[{"title": "t", "text": 1}]', '[{"title": " ", "text": "x"}]',
        '[{"title": "t", "text": "\\u0000"}]', '[{"title": "t", "text": "x", "url": "u"}]', "[" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_a_bad_reply(reply):
    with pytest.raises(BadSearchReply, match="expected"):
        parse_passages(reply, 1)
    with pytest.raises(BadSearchReply):
        engine(lambda messages: reply, passages=1).search(["a"], 1)


@given(st.text())
def test_a_reply_is_passages_or_a_bad_reply(reply):
    with contextlib.suppress(BadSearchReply):
        assert all(title and text for title, text in parse_passages(reply, 1))


def test_control_characters_of_a_reply_are_removed():
    assert parse_passages('[{"title": "a\\u0000b", "text": "\\ud800 x \\n y"}]', 1) == [("ab", "x y")]


def test_a_failing_model_fails_the_search_and_is_asked_again_next_time():
    replies = iter(["nonsense", f"[{PAGE}]"])
    simulated = engine(lambda messages: next(replies), passages=1)
    with pytest.raises(BadSearchReply):
        simulated.search(["a"], 1)
    assert simulated.search(["a"], 1)[0][0].title == "t"


def test_the_curriculum_is_that_of_the_paper():
    steps = 100
    values = [noise_probability(step, steps, 0.1, 0.7, base=4) for step in range(steps + 1)]
    assert values[0] == pytest.approx(0.1) and values[-1] == pytest.approx(0.7)
    assert values == sorted(values)
    assert values[50] == pytest.approx(0.1 + (4**0.5 - 1) / 3 * 0.6)
    assert noise_probability(25, 100, 0, 1, base=1) == pytest.approx(0.25)
    assert noise_probability(25, 100, 0, 1, base=1 + 1e-9) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    "arguments", [(-1, 5), (6, 5), (0, 0), (1, 5, -0.1), (1, 5, 0, 1.1), (1, 5, 0, 1, 0)]
)
def test_a_curriculum_out_of_range_is_refused(arguments):
    with pytest.raises(ValueError):
        noise_probability(*arguments)


def test_a_chat_endpoint_is_asked_in_openai_format(monkeypatch):
    monkeypatch.setenv("CHAT_KEY", KEY)
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"[{PAGE}]"}}]}
    with remote(lambda asked: Reply(reply)) as (address, asked):
        chat = ChatEndpoint(f"{address}/v1/", "small", api_key_variable="CHAT_KEY", seed=7)
        (found,) = engine(chat, passages=1).search(["corun"], 3)
    assert found[0].text == "x"
    (request,) = asked
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    body = request.json()
    assert [message["role"] for message in body.pop("messages")] == ["system", "user"]
    assert body == {"model": "small", "temperature": 0.0, "max_tokens": 1024, "seed": 7}


@pytest.mark.parametrize("content", [[], {}, {"choices": []}, {"choices": [{"message": {"content": None}}]}])
def test_a_chat_reply_without_text_is_a_bad_reply(content):
    with (
        remote(lambda asked: Reply(content)) as (address, asked),
        pytest.raises(BadSearchReply, match=r"choices\[0\]"),
    ):
        ChatEndpoint(address, "small")([])
    assert "authorization" not in asked[0].headers
    assert "seed" in asked[0].json()


def test_a_chat_endpoint_that_fails_has_a_typed_error(monkeypatch):
    with (
        remote(lambda asked: Reply(status=500)) as (address, _),
        pytest.raises(SearchUnavailable, match="small: expected status 200, got 500"),
    ):
        ChatEndpoint(address, "small", policy=RequestPolicy(max_retries=0))([])
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(SearchRefused, match="CHAT_KEY"):
        ChatEndpoint(address, "small", api_key_variable="CHAT_KEY")([])


class AsyncModel(Model):
    async def acall(self, messages):
        return super().__call__(messages)

    def __call__(self, messages):
        raise AssertionError("asearch has a coroutine function to use")


@pytest.mark.parametrize("model_type", [Model, AsyncModel])
def test_asearch_finds_what_search_finds(model_type):
    simulated = engine(model_type(), noise=0.5)
    queries = ["corun", "", "sarn", " corun"]
    found = asyncio.run(simulated.asearch(queries, 3))
    assert [hit.title for hit in found[2]] == ["sarn 0", "sarn 1", "sarn 2"]
    assert found[0] == found[3] and found[1] == []
    assert simulated.search(queries, 3) == found
    with pytest.raises(TypeError, match="sequence of strings"):
        asyncio.run(simulated.asearch("corun", 3))
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        asyncio.run(simulated.asearch(["corun"], 0))


def test_no_more_queries_are_asked_at_a_time_than_allowed():
    class Busy(Model):
        def __init__(self):
            super().__init__()
            self.under_way = self.most = 0

        async def acall(self, messages):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0.01)
            self.under_way -= 1
            return self(messages)

    model = Busy()
    asyncio.run(engine(model, concurrency=3).asearch([f"q{n}" for n in range(10)], 1))
    assert model.most == 3


def test_a_chat_endpoint_is_asked_from_an_event_loop_too_and_is_told_to_slow_down():
    replies = iter([Reply(status=429, headers={"retry-after": "1"}), Reply(status=503)])
    fine = Reply({"choices": [{"message": {"content": f"[{PAGE}]"}}]})
    with remote(lambda asked: next(replies, fine)) as (address, asked):
        chat = ChatEndpoint(address, "small", policy=RequestPolicy(backoff=0.01))
        assert asyncio.run(chat.acall([])) == chat([]) == f"[{PAGE}]"
    assert len(asked) == 4


def test_it_pickles_with_what_was_written_and_without_the_key(monkeypatch):
    monkeypatch.setenv("CHAT_KEY", KEY)
    fine = Reply({"choices": [{"message": {"content": f"[{PAGE}]"}}]})
    with remote(lambda asked: fine) as (address, asked):
        simulated = engine(ChatEndpoint(address, "small", api_key_variable="CHAT_KEY"), passages=1)
        before = simulated.search(["a"], 1)
        pickled = pickle.dumps(simulated)
        copy = pickle.loads(pickled)
        assert copy.fingerprint() == simulated.fingerprint()
        assert copy.search(["a"], 1) == before and len(asked) == 1
        copy.search(["b"], 1)
    assert KEY.encode() not in pickled
    assert asked[1].headers["authorization"] == f"Bearer {KEY}"
