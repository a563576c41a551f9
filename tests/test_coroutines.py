"""Coroutine functions are told from others, wrapped or not."""

from functools import partial

import pytest

from ssp_env.coroutines import is_async


async def wait(query):
    return query


class Waiter:
    async def __call__(self, query):
        return query

    async def ask(self, query):
        return query


@pytest.mark.parametrize(
    "function", [wait, Waiter(), Waiter().ask, partial(wait, "a"), partial(partial(wait))]
)
def test_coroutine_functions_are_known(function):
    assert is_async(function)


@pytest.mark.parametrize("function", [len, str, lambda query: wait, partial(len), Waiter, None, 5])
def test_nothing_else_is_one(function):
    assert not is_async(function)
