"""A player on the servers of another framework keeps to its window, and says where a prompt is too long."""

import asyncio

import pytest

pytest.importorskip("torch")

from agents.vllm.turn import Completion
from baselines.hosted_player import HostedPlayer
from ssp_env.game import PROTOCOLS, Message
from tests.agents import chatty
from tests.agents.chatty import QUESTION, view_of

TOKENIZER = chatty.build_tokenizer(words=chatty.TAGS)


def player(said, window=200, **limits):
    """A player whose server says one text after the other, and what the server was asked."""
    texts, asked = iter(said), []

    async def complete(conversation, request):
        asked.append((conversation, request))
        ids = TOKENIZER(next(texts), add_special_tokens=False)["input_ids"]
        return Completion(tuple(ids), (-1.0,) * len(ids), "3")

    lengths = {"prompt_length": 150, "response_length": 200, "max_new_tokens": 60} | limits
    made = HostedPlayer(
        complete, TOKENIZER, PROTOCOLS["default"], context_window=window, prompt_option="max_len", **lengths
    )
    return made, asked


def act(made, view):
    return asyncio.run(made.act(view))


def test_a_turn_comes_with_its_tokens_and_the_version_of_the_weights():
    made, asked = player(["<answer> krill </answer>"])
    reply = act(made, view_of(QUESTION))
    ((conversation, request),) = asked
    assert request["prompt"] == list(reply.context_ids) and conversation.endswith("solver_0/solve")
    assert (reply.text, reply.weights_version, request["max_tokens"]) == (
        "<answer> krill </answer>",
        "3",
        60,
    )
    assert TOKENIZER.decode(list(reply.token_ids)) == reply.text


def test_a_turn_gets_what_is_left_of_the_window_and_then_nothing():
    made, asked = player(["<search> krill </search>"] * 2, window=120)
    first = act(made, view_of(QUESTION))
    read = len(first.context_ids) + len(first.token_ids)
    said = [QUESTION, Message("assistant", first.text), Message("tool", "x" * 10)]
    second = act(made, view_of(*said))
    total = read + len(second.context_ids)
    assert asked[1][1]["max_tokens"] == min(60, 120 - total) < 60
    said += [Message("assistant", second.text), Message("tool", "y" * 100)]
    assert act(made, view_of(*said)).text == "" and len(asked) == 2
    assert act(made, view_of(*said, Message("assistant", ""), QUESTION)).token_ids == ()


def test_a_prompt_that_does_not_fit_is_refused():
    for window, length in ((200, 20), (30, 29)):
        made, _ = player([], window=window, prompt_length=length)
        with pytest.raises(ValueError, match=r"solver_0.* has \d+ tokens.*: raise max_len"):
            act(made, view_of(QUESTION))


def test_a_reading_that_does_not_fit_is_cut_in_its_middle():
    made, asked = player(["<answer> krill </answer>"])
    told = Message("user", "begins " + "a long page " * 60 + " ends")
    reply = act(made, view_of(told, phase="verify"))
    ((_, request),) = asked
    text = TOKENIZER.decode(request["prompt"])
    assert len(request["prompt"]) == 200 - 60 and "begins" in text and "ends" in text
    assert reply.text == "<answer> krill </answer>" and request["max_tokens"] == 60
