import numpy as np
import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from agents.kv_cache import COLUMNS, OPENING_TOKENS, KVBatch, KVStore, Segment
from tests.agents.chatty import build_model

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MODELS = {
    "llama": lambda: build_model(40),
    "llama, eager": lambda: build_model(40, attn_implementation="eager"),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4)),
}


def made(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MODELS[name]().eval()


def plain_logits(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([list(ids)])).logits[0, -1]


def random_ids(rng, low, high):
    return rng.integers(0, 40, size=int(rng.integers(low, high))).tolist()


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_rows_that_come_grow_and_go_read_as_if_each_were_alone(name):
    model, rng = made(name), np.random.default_rng(0)
    batch = KVBatch(model, 1000)
    rows: list[list[int]] = []
    longest = 0
    for _ in range(12):
        new = [random_ids(rng, 1, 40) for _ in range(int(rng.integers(1, 4)))]
        first = len(rows)
        for _ in new:
            batch.append(())
        rows += new
        logits = batch.feed(first, new)
        for row, ids in zip(logits, new, strict=True):
            torch.testing.assert_close(row, plain_logits(model, ids), atol=1e-4, rtol=0)
        chunks = [random_ids(rng, 1, 60) for _ in rows]
        rows = [ids + chunk for ids, chunk in zip(rows, chunks, strict=True)]
        for row, ids in zip(batch.feed(0, chunks), rows, strict=True):
            torch.testing.assert_close(row, plain_logits(model, ids), atol=1e-4, rtol=0)
        longest = max(longest, *batch.lengths)
        assert batch.lengths == [len(ids) for ids in rows]
        for _ in range(min(2, len(rows) - 1)):
            leaving = int(rng.integers(len(rows)))
            batch.remove(leaving)
            rows[leaving] = rows[-1]
            rows.pop()
    # The buffers have grown beyond their first size on the way.
    assert longest > COLUMNS


@torch.inference_mode()
def test_a_row_can_begin_with_what_another_has_read():
    model, rng = made("llama"), np.random.default_rng(1)
    batch = KVBatch(model, 1000)
    shared, tail, other = (rng.integers(0, 40, size=size).tolist() for size in (30, 10, 5))
    batch.append(())
    batch.feed(0, [shared + tail])
    opening, rest = batch.read(0, 0), batch.read(0, 25)
    batch.clear()
    assert batch.append(((opening, 30),)) == 30
    logits = batch.feed(0, [other])
    torch.testing.assert_close(logits[0], plain_logits(model, shared + other), atol=1e-4, rtol=0)
    assert batch.append(((opening, 25), (rest, 15))) == 40
    logits = batch.feed(1, [other])
    torch.testing.assert_close(logits[0], plain_logits(model, shared + tail + other), atol=1e-4, rtol=0)
    assert batch.fed_tokens == 40 + 5 + 5


@torch.inference_mode()
def test_a_copied_row_goes_its_own_way():
    model, rng = made("llama"), np.random.default_rng(3)
    batch = KVBatch(model, 1000)
    first, second = (rng.integers(0, 40, size=size).tolist() for size in (20, 33))
    for _ in range(2):
        batch.append((), rows=2)
    batch.feed(0, [first, second])
    batch.fork(0)
    assert batch.lengths == [20, 33, 20]
    news = [rng.integers(0, 40, size=size).tolist() for size in (40, 1, 7)]
    rows = [first + news[0], second + news[1], first + news[2]]
    for logits, ids in zip(batch.feed(0, news), rows, strict=True):
        torch.testing.assert_close(logits, plain_logits(model, ids), atol=1e-4, rtol=0)


@torch.inference_mode()
def test_many_short_rows_and_then_few_long_ones_need_no_more_room_than_either():
    model, rng = made("llama"), np.random.default_rng(2)
    batch = KVBatch(model, 16 * COLUMNS)
    rows = [rng.integers(0, 40, size=COLUMNS - 10).tolist() for _ in range(16)]
    for row, ids in enumerate(rows):
        batch.append(())
        batch.feed(row, [ids])
    assert batch.room == 16 * COLUMNS
    while len(batch.lengths) > 2:
        batch.remove(len(batch.lengths) - 1)
    longer = [rng.integers(0, 40, size=7 * COLUMNS).tolist() for _ in range(2)]
    for logits, ids, more in zip(batch.feed(0, longer), rows, longer, strict=False):
        torch.testing.assert_close(logits, plain_logits(model, ids + more), atol=1e-4, rtol=0)
    assert batch.room == 16 * COLUMNS
    # One long row more than there is room for, and short ones again.
    batch.append(())
    batch.feed(2, [[1]])
    assert batch.room == 3 * 8 * COLUMNS
    for _ in range(3):
        batch.remove(0)
    assert (batch.room, batch.lengths) == (0, [])


def test_a_sliding_window_is_refused():
    model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8))
    with pytest.raises(ValueError, match="MistralForCausalLM keeps DynamicSlidingWindowLayer"):
        KVBatch(model, 1000)


def test_attention_that_takes_no_mask_by_rows_is_refused():
    model = build_model(40, attn_implementation="flex_attention")
    with pytest.raises(ValueError, match="load it with attn_implementation='sdpa'"):
        KVBatch(model, 1000)


def segment(tokens):
    return Segment(((torch.zeros(1, tokens, 2), torch.zeros(1, tokens, 2)),), tokens)


def ids(text):
    return np.array([ord(letter) for letter in text])


def known(store, text, key="new", adapter=None):
    return sum(tokens for _, tokens in store.longest_prefix(key, adapter, ids(text)))


def test_the_longest_common_opening_is_found_whoever_has_it():
    store = KVStore(1000)
    store.put("a", None, ids("question one"), ((segment(12), 12),))
    store.put("b", None, ids("question two"), ((segment(12), 12),))
    assert known(store, "question two, long") == 12
    assert known(store, "question other") == len("question o")
    assert known(store, "no") == 0


def test_the_last_token_is_always_left_to_be_read():
    store = KVStore(1000)
    store.put("a", None, ids("question"), ((segment(8), 8),))
    assert known(store, "question") == 7
    assert known(store, "question", key="a") == 7
    assert known(store, "q") == 0


def test_a_conversation_that_went_another_way_keeps_what_still_holds():
    store = KVStore(1000)
    first, second = segment(5), segment(5)
    store.put("a", None, ids("helloworld"), ((first, 5), (second, 5)))
    assert store.longest_prefix("a", None, ids("hellowoman")) == ((first, 5), (second, 2))


def test_few_shared_tokens_are_not_looked_for():
    store = KVStore(1000)
    store.put("a", None, ids("abcdef"), ((segment(6), 6),))
    size = OPENING_TOKENS
    assert known(store, "abcdef"[:size] + "xyz") == size
    assert known(store, "abcdef"[: size - 1] + "xyz") == 0
    assert known(store, "abcdef"[: size - 1] + "xyz", key="a") == 0


def test_adapters_do_not_share():
    store = KVStore(1000)
    store.put("a", "solver", ids("question"), ((segment(8), 8),))
    assert known(store, "question!", adapter="solver") == 8
    assert known(store, "question!") == known(store, "question!", key="a", adapter="proposer") == 0


def test_what_is_shared_is_kept_and_counted_once():
    store = KVStore(1000)
    shared = segment(8)
    store.put("a", None, ids("question a"), ((shared, 8), (segment(2), 2)))
    store.put("b", None, ids("question b"), ((shared, 8), (segment(2), 2)))
    assert store.tokens == 12
    store.drop("a")
    assert store.tokens == 10
    assert known(store, "question a") == 9
    store.drop("b")
    assert store.tokens == 0


def test_the_least_used_go_when_there_is_no_room():
    store = KVStore(20)
    for key in "abc":
        store.put(key, None, ids(key * 9), ((segment(9), 9),))
        assert store.tokens <= 20
    assert [key in store for key in "abc"] == [False, True, True]
    assert known(store, "b" * 9, key="b") == 8
    store.put("d", None, ids("d" * 9), ((segment(9), 9),))
    assert [key in store for key in "bcd"] == [True, False, True]


def test_of_finished_conversations_the_last_of_each_role_stays():
    store = KVStore(1000)
    for key in "ab":
        store.put(key, None, ids(f"you ask: {key}"), ((segment(10), 10),))
        store.finish(key, "proposer")
    store.put("c", None, ids("you answer: c"), ((segment(13), 13),))
    store.finish("c", "solver")
    assert len(store) == 2
    assert store.tokens == 23
    assert known(store, "you ask: b!") == 10
    assert known(store, "you answer: d") == 12


def test_nothing_is_kept_without_room_or_after_clearing():
    store = KVStore(0)
    store.put("a", None, ids("question"), ((segment(8), 8),))
    assert (len(store), store.tokens) == (0, 0)
    store = KVStore(10)
    store.put("a", None, ids("question"), ((segment(8), 8),))
    store.clear()
    assert (len(store), store.tokens, known(store, "question")) == (0, 0, 0)
