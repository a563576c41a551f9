"""Requests of many coroutines become batches, in which nobody suffers from the requests of others."""

import asyncio
import pickle

import pytest

from ssp_env.http.concurrency import Coalescer, OverloadedError


async def shout(words, key):
    if "bad" in words:
        raise ValueError("a bad word")
    return [f"{word}{key}" for word in words]


def test_equal_keys_share_a_call_and_others_have_their_own():
    calls = []

    async def note(words, key):
        calls.append((words, key))
        return await shout(words, key)

    async def ask():
        joined = Coalescer(note, max_batch=3)
        requests = [(["a"], "!"), (["b"], "?"), (["c", "d"], "!"), (["e"], "!"), ([], "!")]
        return await asyncio.gather(*(joined.submit(*request) for request in requests))

    assert asyncio.run(ask()) == [["a!"], ["b?"], ["c!", "d!"], ["e!"], []]
    assert calls == [(["a", "c", "d"], "!"), (["b"], "?"), (["e"], "!")]


@pytest.mark.parametrize("split", [True, False])
def test_a_failure_is_split_only_if_asked_for(split):
    async def ask():
        joined = Coalescer(shout, max_batch=8, split_failures=split)
        return await asyncio.gather(
            *(joined.submit([word], "!") for word in ("a", "bad")), return_exceptions=True
        )

    good, bad = asyncio.run(ask())
    assert good == ["a!"] if split else isinstance(good, ValueError)
    assert isinstance(bad, ValueError)


def test_a_copy_has_the_settings_and_none_of_the_requests():
    async def ask():
        joined = Coalescer(shout, max_batch=2, max_waiting=3, split_failures=True)
        waiting = asyncio.ensure_future(joined.submit(["a", "b", "c"], "!"))
        await asyncio.sleep(0)
        copy = pickle.loads(pickle.dumps(joined))
        with pytest.raises(OverloadedError, match="3 queries wait; 1 more would exceed 3"):
            await joined.submit(["d"], "!")
        return copy.waiting, await copy.submit(["d"], "!"), await waiting

    assert asyncio.run(ask()) == (0, ["d!"], ["a!", "b!", "c!"])
