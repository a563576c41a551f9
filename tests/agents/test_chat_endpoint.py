"""The player behind a chat endpoint: whole games, stop strings, native calls, faults, log-probabilities."""

import asyncio
import io
import json
import logging
import pickle

import pytest

from agents.chat_endpoint import ChatClient, ChatEndpointAgent, Completion, LogprobsMissing
from agents.chat_endpoint.agent import restored
from agents.sampling_params import LOCAL_MAX_NEW_TOKENS, SamplingParams
from ssp_env.game import PROTOCOLS, Message, View
from ssp_env.game.events import GameBroken
from ssp_env.play import blocking, play, play_async
from ssp_env.records import EpisodeWriter
from tests.agents.chat_server import KEY, chat_server, completion, games, model
from tests.game.doubles import QUESTION, Shelf
from tests.search.remote_server import Reply

DEFAULT, OPENAI = PROTOCOLS["default"], PROTOCOLS["openai"]
BOTH = ("</search>", "</answer>")


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def view(*messages, phase="solve", turns_left=3, **fields):
    return View("g", "solver_0", phase, messages or (Message("user", "?"),), turns_left, 3, **fields)


def acted(agent, *views):
    async def act_on_all():
        return [await agent.act(one) for one in views]

    return asyncio.run(act_on_all())


# -- whole games ------------------------------------------------------------------------------------------


def test_one_line_of_configuration_plays_every_role_asynchronously_and_blocking():
    with chat_server(model) as (url, asked):
        agent = ChatEndpointAgent("small", ChatClient(url))
        (outcome,) = asyncio.run(play_async(games(), proposer=agent, solver=agent, search=Shelf()))
        with blocking(agent) as player:
            assert play(games(), proposer=player, solver=player, search=Shelf()) == [outcome]
    assert (outcome.verdict, outcome.reason) == ("valid", "solved")
    assert {role for role, _ in agent.client.ledger.usage} == {"proposer", "solver", "reader"}
    assert agent.client.ledger.usage["proposer", "small"].requests == 8
    # Endpoints know no tool message without a call.
    assert {message["role"] for request in asked for message in request.json()["messages"]} <= {
        "system", "user", "assistant",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", ["default", "hermes", "openai"])
def test_a_pickled_player_has_no_key_and_plays_on_with_a_client_of_its_own(protocol):
    with chat_server(model) as (url, asked):
        agent = ChatEndpointAgent(
            {"solver": "small"},
            ChatClient(url, tokens_per_minute=1e9),
            protocol=PROTOCOLS[protocol],
            extra_body={"max_tokens": 7},
        )
        (said,) = acted(agent, view())
        pickled = pickle.dumps(agent)
        assert KEY.encode() not in pickled
        copy = pickle.loads(pickled)
        assert acted(copy, view()) == [said]
    assert copy.client is not agent.client
    assert copy.client.ledger.usage["solver", "small"].requests == 2
    assert agent.client.ledger.usage["solver", "small"].requests == 1
    first, second = asked
    assert first.body == second.body and first.json()["max_tokens"] == 7
    assert KEY in second.headers["authorization"]


def test_many_games_share_the_endpoint():
    with chat_server(model) as (url, _):
        agent = ChatEndpointAgent("small", ChatClient(url, concurrency=4))
        outcomes = asyncio.run(play_async(games(12), proposer=agent, solver=agent, search=Shelf()))
    assert {outcome.reason for outcome in outcomes} == {"solved"}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Reply({}, 500), "ChatUnavailable"),
        (Reply({}, 429), "ChatRateLimited"),
        (Reply({"error": {"message": f"model not_found {KEY}"}}, 404), "ModelNotFound"),
        (Reply(b'{"choices": [{'), "BadChatReply"),
    ],
)
def test_a_fault_ends_its_game_as_error_and_no_other_and_tells_no_key(fault, named, tmp_path, caplog):
    broken = iter([fault])

    def sometimes(request):
        is_first = any("Answer: Tavor" in message["content"] for message in request["messages"])
        return (next(broken, None) if is_first else None) or model(request)

    out = tmp_path / "games.jsonl"
    with caplog.at_level(logging.DEBUG), chat_server(sometimes) as (url, _), EpisodeWriter(out) as writer:
        agent = ChatEndpointAgent("small", ChatClient(url, max_retries=0))
        outcomes = asyncio.run(
            play_async(
                played := games(3), proposer=agent, solver=agent, search=Shelf(), on_outcome=writer.write
            )
        )
    reasons = sorted(outcome.reason for outcome in outcomes)
    assert reasons == ["error", "solved", "solved"]
    (detail,) = [event.detail for game in played for event in game.events if isinstance(event, GameBroken)]
    assert detail.startswith(f"proposer: {named}: {url}/chat/completions: ")
    assert KEY not in out.read_text() + detail + caplog.text


# -- requests ---------------------------------------------------------------------------------------------


def test_sampling_and_model_are_chosen_by_role_and_fields_can_be_added_and_left_out():
    sampling = {"solver": SamplingParams(temperature=0, top_p=0.5, max_new_tokens=50)}
    with chat_server(completion("hm")) as (url, asked):
        agent = ChatEndpointAgent(
            {"solver": "big", "reader": "small"},
            ChatClient(url),
            sampling=sampling,
            extra_body={"top_k": 5, "max_tokens": None, "max_completion_tokens": 7},
        )
        acted(agent, view(), view(phase="verify"), view(tokens_left=3))
        with pytest.raises(ValueError, match="model names no proposer"):
            acted(agent, view(phase="propose"))
    solver, reader, _ = (request.json() for request in asked)
    assert (solver["model"], solver["temperature"], solver["top_p"], solver["top_k"]) == ("big", 0, 0.5, 5)
    assert "max_tokens" not in solver and solver["max_completion_tokens"] == 7
    assert (reader["model"], reader["temperature"]) == ("small", 0.7)
    assert solver["seed"] != reader["seed"] and 0 <= solver["seed"] < 2**31
    assert solver["stop"] == [*BOTH] and reader["stop"] == ["</answer>"]


def test_the_budget_of_tokens_bounds_a_turn():
    with chat_server(completion("hm")) as (url, asked):
        acted(ChatEndpointAgent("small", ChatClient(url)), view(tokens_left=3), view())
    assert [request.json()["max_tokens"] for request in asked] == [3, LOCAL_MAX_NEW_TOKENS]


def test_unknown_roles_are_refused():
    with pytest.raises(
        ValueError, match="model is given by role, one of proposer, solver, reader; got judge"
    ):
        ChatEndpointAgent({"judge": "small"}, ChatClient("http://127.0.0.1:1"))


def test_native_tool_calls_play_a_game():
    def native(request):
        if "tools" in request:
            assert request["parallel_tool_calls"] is False
            assert [tool["function"]["name"] for tool in request["tools"]] == ["search"]
        said = sum(message["role"] == "assistant" for message in request["messages"])
        if "</question>" in request["stop"] and said < 2:
            arguments = json.dumps({"query": ["belin", "corun"][said]})
            function = {"name": "search", "arguments": arguments}
            call = {"id": f"c{said}", "type": "function", "function": function}
            return completion(None, "tool_calls", message={"tool_calls": [call]})
        if "</question>" in request["stop"]:
            roles = [message["role"] for message in request["messages"]]
            assert roles[-4:] == ["assistant", "tool", "assistant", "tool"]
            assert request["messages"][-1]["tool_call_id"] == "c1"
            return completion(f"<question> {QUESTION} ")
        return completion("<answer> Tavor ")

    with chat_server(native) as (url, asked):
        agent = ChatEndpointAgent("small", ChatClient(url), protocol=OPENAI)
        played = games(protocol="openai", min_searches=2)
        asyncio.run(play_async(played, proposer=agent, solver=agent, search=Shelf()))
    assert played[0].outcome.reason == "solved", played[0].events
    # A reader has no tool.
    assert ["tools" in request.json() for request in asked] == [True] * 3 + [False, True]


# -- stop strings -----------------------------------------------------------------------------------------


def back(text, finish_reason="stop", stop_string=None, protocol=DEFAULT, has_search_tool=True):
    stops = protocol.stop_strings("answer", has_search_tool=has_search_tool)
    said = Completion(text, finish_reason=finish_reason, stop_string=stop_string)
    return restored(said, stops, protocol, "answer", has_search_tool=has_search_tool).removeprefix(text)


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("<think> hm </think> <search> blue whale ", "</search>"),
        ("<answer> krill", "</answer>"),
        ("<answer> no, first <search> krill", "</search>"),
        ("<search> no: <answer> krill", "</answer>"),
        ("<think> perhaps <search> krill", "</search>"),
        ("<think> the tag <search> </think> hm", ""),
        ("<search> ", "</search>"),
        ("hm", ""),
        ("", ""),
        ("<search> krill </search>", ""),
        ("<question> what", ""),
    ],
)
def test_the_tag_of_the_action_left_open_is_given_back(text, closing):
    assert back(text) == closing


def test_nothing_is_given_back_to_a_text_that_was_cut():
    for reason in ("length", "content_filter", "tool_calls", ""):
        assert back("<answer> krill", finish_reason=reason) == ""


def test_an_endpoint_that_names_the_stop_string_is_believed():
    assert back("<search> krill ", stop_string="</search>") == "</search>"
    assert back("<search> krill ", stop_string="</answer>") == "</answer>"
    # The model ended its turn by itself, or at a string of somebody else's.
    assert back("<answer> krill ", stop_string="") == ""
    assert back("<answer> krill ", stop_string="\n") == ""


def test_a_reader_is_not_stopped_by_a_search():
    assert back("<search> krill ", has_search_tool=False) == ""
    assert back("<search> krill </search> <answer> krill ", has_search_tool=False) == "</answer>"


def test_calls_written_as_text_get_their_tag_back():
    hermes = '<tool_call>\n{"name": "search", "arguments": {"query": "krill"}}\n'
    assert back(hermes, protocol=PROTOCOLS["hermes"]) == "</tool_call>"
    assert back("<tool_call> x", protocol=OPENAI) == ""


# -- log-probabilities ------------------------------------------------------------------------------------


def with_tokens(prompt, sampled, text="hm"):
    content = [{"token": "?", "logprob": -float(token)} for token in sampled]
    top = {"prompt_token_ids": prompt}
    return completion(text, token_ids=sampled, logprobs={"content": content}, top=top)


def test_required_tokens_are_taken_over_while_the_conversation_only_grows():
    user, said, tool = Message("user", "?"), Message("assistant", "hm"), Message("tool", "-")
    first, second, third = (
        view(user),
        view(user, said, tool),
        view(user, said, tool, said, tool, turns_left=1),
    )
    replies = (
        with_tokens([1, 2], [3]),
        with_tokens([1, 2, 3, 4], [5, 6]),
        with_tokens([1, 2, 9, 9, 9, 9], [7]),
    )
    with chat_server(*replies, with_tokens([1], [2])) as (url, asked):
        agent = ChatEndpointAgent(
            "small", ChatClient(url), sampling=SamplingParams(temperature=1), require_logprobs=True
        )
        one, two, changed, anew = acted(agent, first, second, third, first)
    assert (one.context_ids, one.token_ids, one.logprobs) == ((1, 2), (3,), (-3.0,))
    assert (two.context_ids, two.token_ids) == ((4,), (5, 6))
    assert (changed.text, changed.token_ids, changed.context_ids) == ("hm", (), ())
    assert (anew.context_ids, anew.token_ids) == ((1,), (2,))
    assert asked[0].json()["return_token_ids"] is asked[0].json()["logprobs"] is True


def test_missing_log_probabilities_are_an_error_that_says_what_to_do():
    with chat_server(completion("hm")) as (url, _):
        agent = ChatEndpointAgent(
            "small", ChatClient(url), sampling=SamplingParams(temperature=1), require_logprobs=True
        )
        with pytest.raises(LogprobsMissing, match="play with the vLLM agent"):
            acted(agent, view())
    with pytest.raises(ValueError, match="needs temperature 1"):
        ChatEndpointAgent("small", ChatClient(url), require_logprobs=True)


def test_the_usage_is_shown_as_a_table():
    from rich.console import Console

    from agents.chat_endpoint.ledger import usage_table

    with chat_server(model) as (url, _):
        agent = ChatEndpointAgent("small", ChatClient(url))
        acted(agent, view())
    console = Console(file=io.StringIO(), width=120)
    console.print(usage_table(agent.client.ledger))
    shown = console.file.getvalue()
    assert "solver" in shown and "small" in shown and "100" in shown
