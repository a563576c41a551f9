"""One turn out of many completions, and what replies and reports of log-probabilities are taken for."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.conversation_tokens import ConversationTokens
from agents.sampling_params import SamplingParams
from agents.vllm.errors import ServerUnavailable
from agents.vllm.logprobs import mode_of
from agents.vllm.pool import UpdateGate
from agents.vllm.turn import Completion, SampledTurn, end_ids_of, read_completion, stop_texts
from ssp_env.game import PROTOCOLS, View
from tests.agents.byte_tokenizer import byte_tokenizer, spell

TOKENIZER = byte_tokenizer()
TALK = ConversationTokens(TOKENIZER, rendering="plain", max_prompt_tokens=9999)
VIEW = View("g", "solver_0", "solve", (), 3, 3)
PIECES = ["<search>", "</search>", "<answer>", "</answer>", "<think>", "</think>", "whale", " ", "é", ">"]
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)


def new_turn(limit=999, view=VIEW):
    return SampledTurn(
        view,
        (1, 2),
        SamplingParams(max_new_tokens=limit, seed=5),
        stop=stop_texts(PROTOCOLS["default"], view),
        end_ids=end_ids_of(TOKENIZER),
        is_finished=lambda ids: TALK.is_finished(view, ids),
    )


@given(LINES, st.booleans(), st.integers(1, 60), st.data())
def test_a_turn_ends_at_the_same_token_however_it_was_cut_into_completions(text, ends, limit, data):
    ids = spell(TOKENIZER.backend_tokenizer, text) + [TOKENIZER.eos_token_id] * ends
    ids += spell(TOKENIZER.backend_tokenizer, "x" * 60)  # the model would go on
    finished = (end for end in range(1, limit + 1) if TALK.is_finished(VIEW, ids[:end]))
    expected = ids[: next(finished, limit)]
    turn = new_turn(limit)
    while not turn.done:
        request = turn.request()
        begun = len(turn.token_ids)
        assert request["prompt"] == [1, 2, *ids[:begun]]
        assert request["max_tokens"] == limit - begun
        size = data.draw(st.integers(1, request["max_tokens"]))
        piece = tuple(ids[begun : begun + size])
        turn.add(Completion(piece, tuple(-float(begun + place) for place in range(len(piece)))))
    assert list(turn.token_ids) == expected
    assert turn.logprobs == tuple(-float(place) for place in range(len(expected)))


def test_a_turn_that_meets_new_weights_begins_anew():
    turn = new_turn()
    turn.add(Completion((5, 6), (-1.0, -1.0), "step 1"))
    turn.add(Completion((7,), (-1.0,), "step 2"))
    assert (turn.token_ids, turn.done) == ((), False)
    answer = tuple(spell(TOKENIZER.backend_tokenizer, "<answer> krill </answer>"))
    turn.add(Completion(answer, (-1.0,) * len(answer), "step 2"))
    assert (turn.token_ids, turn.weights_version, turn.done) == (answer, "step 2", True)


def test_a_completion_without_logprobs_leaves_the_whole_turn_without():
    turn = new_turn()
    turn.add(Completion((5,), (-1.0,)))
    turn.add(Completion((6,), ()))
    turn.add(Completion((7,), (-1.0,)))
    assert (turn.token_ids, turn.logprobs) == ((5, 6, 7), ())


def test_a_reader_stops_at_its_answer_only_and_native_calls_at_their_tag():
    assert stop_texts(PROTOCOLS["default"], replace(VIEW, phase="verify")) == ("</answer>",)
    assert stop_texts(PROTOCOLS["openai"], VIEW)[-1] == "</tool_call>"


def choice(**changes):
    whole = {"token_ids": [5, 6], "logprobs": {"token_logprobs": [-1.0, -2]}, "finish_reason": "stop"}
    return {"choices": [{**whole, **changes}]}


def test_a_reply_is_read():
    assert read_completion(choice(), weights_version="7") == Completion((5, 6), (-1.0, -2), "7")
    assert read_completion(choice(logprobs=None)).logprobs == ()


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        {},
        {"choices": []},
        {"choices": [1]},
        choice(finish_reason="abort"),
        choice(token_ids=None),
        choice(token_ids=[]),
        choice(token_ids=[5, True]),
        choice(token_ids=[5, -1]),
        choice(logprobs={"token_logprobs": [-1.0]}),
        choice(logprobs={"token_logprobs": [-1.0, None]}),
        choice(logprobs={"token_logprobs": [-1.0, float("nan")]}),
    ],
)
def test_anything_but_a_whole_reply_is_the_servers_fault(reply):
    with pytest.raises(ServerUnavailable):
        read_completion(reply)


def report(*values):
    top = {f"token_id:{place}": value for place, value in enumerate(values)}
    return {"choices": [{"logprobs": {"top_logprobs": [top]}}]}


@pytest.mark.parametrize(
    ("plain", "flattened", "mode"),
    [
        (report(-0.7, -3.0, -4.0), report(-0.7, -3.0, -4.0), "raw_logprobs"),
        (report(-0.7, -3.0, -4.0), report(-4.03, -5.18, -5.68), "processed_logprobs"),
        (report(9.0, 3.0, 1.0), report(9.0, 3.0, 1.0), "logits"),
        ({"choices": [{"logprobs": None}]}, report(-1.0), "none"),
        ({}, {}, "none"),
    ],
)
def test_the_mode_of_logprobs_is_told_from_two_reports(plain, flattened, mode):
    assert mode_of(plain, flattened) == mode


def test_an_update_waits_for_requests_and_requests_for_the_update():
    async def scene():
        gate, told = UpdateGate(), []

        async def request(name, seconds):
            async with gate.request():
                told.append(f"{name} begins")
                await asyncio.sleep(seconds)
                told.append(f"{name} ends")

        async def update():
            async with gate.update():
                told.append("update begins")
                await asyncio.sleep(0.01)
                told.append("update ends")

        first = asyncio.ensure_future(request("first", 0.02))
        await asyncio.sleep(0.001)
        updating = asyncio.ensure_future(update())
        await asyncio.sleep(0.001)
        await asyncio.gather(first, updating, request("second", 0))
        return told

    assert asyncio.run(scene()) == [
        "first begins", "first ends", "update begins", "update ends", "second begins", "second ends",
    ]  # fmt: skip
