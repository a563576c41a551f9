import pickle
import subprocess
import sys

import pytest

from agents.chat_endpoint.errors import ChatRefused
from ssp_env.objects import describe
from ssp_env.search.errors import SearchTimeout


@pytest.mark.parametrize("kind", [SearchTimeout, ChatRefused])
def test_an_error_of_a_service_pickles_with_all_it_says(kind):
    error = kind("too slow", "http://127.0.0.1:8000", 504)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) == "http://127.0.0.1:8000: too slow"
    assert (copy.problem, copy.url, copy.status) == ("too slow", "http://127.0.0.1:8000", 504)


def test_whoever_writes_an_engine_can_raise_search_errors_without_the_extra_for_http():
    code = "import sys; sys.modules['tenacity'] = None; from ssp_env.search.errors import SearchError"
    subprocess.run([sys.executable, "-c", code], check=True)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no\n route"), "ValueError: no route"),
        (TimeoutError(), "TimeoutError"),
        (Unspeakable(), "Unspeakable: its message cannot be read, str() raised RuntimeError"),
    ],
)
def test_any_exception_has_a_text(error, text):
    assert describe(error) == text
