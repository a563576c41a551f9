import numpy as np
import torch

from agents.kv_batch import Segment
from agents.kv_store import KVStore


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
