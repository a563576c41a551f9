"""Replies of chat endpoints: an error inside status 200, content in parts, null arguments."""

import pytest

from agents.chat_endpoint import ChatClient
from agents.chat_endpoint.completion import read_completion
from ssp_env.game import PROTOCOLS, Reply
from tests.agents.chat_server import ASK, KEY, chat_server, completion


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_an_error_in_a_good_reply_is_sent_again():
    with chat_server({"error": {"message": "overloaded", "code": 502}}, completion("Tavor")) as (url, asked):
        assert ChatClient(url).complete("small", ASK).text == "Tavor"
    assert len(asked) == 2


def test_the_text_of_parts_is_that_of_the_text_parts():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    read = read_completion(completion([thinking, {"type": "text", "text": "<answer> Tavor </answer>"}]))
    assert read.text == "<answer> Tavor </answer>"


def test_null_arguments_are_a_call_that_the_model_is_told_about():
    call = {"id": "1", "function": {"name": "search", "arguments": None}}
    read = read_completion(completion(None, "tool_calls", message={"tool_calls": [call]}))
    action = PROTOCOLS["openai"].parse(Reply(read.text, tool_calls=read.tool_calls), "answer")
    assert (action.kind, action.code) == ("malformed", "bad_call")
