"""Templates and endpoints without a system role, BOS before plain text, and the role of what is returned."""

import pytest
from tokenizers.processors import TemplateProcessing

from agents.chat_endpoint import ChatClient, ChatEndpointAgent
from agents.chat_roles import knows_system_role, without_system
from agents.conversation_tokens import ConversationTokens
from ssp_env.game import Message
from ssp_env.play import chat_messages
from tests.agents.chat_server import KEY, chat_server, completion
from tests.agents.chatty import CHATML, QUESTION, build_tokenizer, dictate, view_of
from tests.agents.test_chat_endpoint import acted

SYSTEM = Message("system", "You search.")
# Gemma 2 and Mistral 7B Instruct raise so; other templates leave the message out.
REFUSING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
)
DROPPING = CHATML.replace(
    "{{ message['content'] }}", "{{ message['content'] if message['role'] != 'system' }}"
)
FOUND = Message("tool", "<information> krill </information>")
SEARCH = "<search> whale </search>"


@pytest.mark.parametrize("template", [REFUSING, DROPPING], ids=["refused", "left out"])
def test_a_system_message_goes_into_the_first_user_message_where_the_template_takes_none(template):
    tokenizer = build_tokenizer(template)
    assert not knows_system_role(tokenizer)
    talk = ConversationTokens(tokenizer, max_prompt_tokens=4096)
    first, said = dictate(talk, view_of(SYSTEM, QUESTION), SEARCH)
    asked = f"<|start|>user\nYou search.\n\n{QUESTION.content}<|end|>\n<|start|>assistant\n"
    assert tokenizer.decode(first.token_ids) == asked
    second = talk.prompt(view_of(SYSTEM, QUESTION, Message("assistant", said.text), FOUND))
    assert tokenizer.decode(second.token_ids) == (
        f"{asked}{SEARCH}<|end|>\n<|start|>user\n{FOUND.content}<|end|>\n<|start|>assistant\n"
    )


def test_a_template_with_a_system_role_gets_it():
    tokenizer = build_tokenizer(CHATML)
    prompt = ConversationTokens(tokenizer, max_prompt_tokens=4096).prompt(view_of(SYSTEM, QUESTION))
    assert tokenizer.decode(prompt.token_ids).startswith(
        "<|start|>system\nYou search.<|end|>\n<|start|>user\n"
    )


def test_system_messages_without_a_user_message_become_one():
    said = {"role": "assistant", "content": "Hm."}
    system = {"role": "system", "content": "Search."}
    assert without_system([system, said]) == [{"role": "user", "content": "Search."}, said]
    assert without_system([said]) == [said]


# -- BOS -------------------------------------------------------------------------------------------------


def tokenizer_with_bos(adds_it):
    tokenizer = build_tokenizer(None)
    tokenizer.add_special_tokens({"bos_token": "<|start|>"})
    if adds_it:
        bos = tokenizer.bos_token_id
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|start|> $A", special_tokens=[("<|start|>", bos)]
        )
    return tokenizer


@pytest.mark.parametrize("adds_it", [True, False])
def test_plain_text_begins_with_bos_where_the_tokenizer_does(adds_it):
    tokenizer = tokenizer_with_bos(adds_it)
    talk = ConversationTokens(tokenizer, rendering="plain", max_prompt_tokens=4096)
    first, said = dictate(talk, view_of(QUESTION), SEARCH)
    assert list(first.token_ids) == tokenizer(f"{QUESTION.content}\n")["input_ids"]
    assert first.token_ids.count(tokenizer.bos_token_id) == adds_it
    assert first.context_ids == first.token_ids
    second = talk.prompt(view_of(QUESTION, Message("assistant", said.text), FOUND))
    assert second.token_ids == (*first.token_ids, *said.token_ids, *second.context_ids)
    assert second.token_ids.count(tokenizer.bos_token_id) == adds_it


def test_a_text_that_has_bos_gets_no_second_one():
    tokenizer = tokenizer_with_bos(True)
    talk = ConversationTokens(tokenizer, rendering="plain", max_prompt_tokens=4096)
    prompt = talk.prompt(view_of(Message("user", "<|start|>Who?")))
    assert prompt.token_ids.count(tokenizer.bos_token_id) == 1


# -- endpoints -------------------------------------------------------------------------------------------


def test_an_endpoint_gets_the_roles_that_its_model_takes(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    view = view_of(SYSTEM, QUESTION, Message("assistant", SEARCH), FOUND)
    with chat_server(completion("hm")) as (url, asked):
        acted(ChatEndpointAgent("gemma", ChatClient(url), system_role="user"), view)
        acted(ChatEndpointAgent("qwen", ChatClient(url), tool_role="tool"), view)
    roles = [[message["role"] for message in request.json()["messages"]] for request in asked]
    assert roles == [["user", "assistant", "user"], ["system", "user", "assistant", "tool"]]
    assert asked[0].json()["messages"][0]["content"] == f"You search.\n\n{QUESTION.content}"


def test_a_view_is_told_in_the_role_that_is_wanted():
    answered = Message("tool", "krill", tool_call_id="c1")
    view = view_of(QUESTION, FOUND, answered)
    assert [message["role"] for message in view.to_openai()] == ["user", "tool", "tool"]
    assert [message["role"] for message in view.to_openai("user")] == ["user", "user", "tool"]
    assert chat_messages(view) == view.to_openai("user")
    assert chat_messages(view, "tool") == view.to_openai()
