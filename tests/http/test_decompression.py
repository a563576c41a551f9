"""Replies are bounded after every step of unpacking, whatever a server compresses and however often."""

import gzip
import tracemalloc
import zlib

import httpx
import pytest

from agents.chat_endpoint import BadChatReply, ChatClient
from ssp_env.http import HTTPService, ReplyTooLong, RequestPolicy
from ssp_env.search.errors import BadSearchReply
from ssp_env.search.remote import RemoteEngine
from tests.search.remote_server import Reply, remote

TEXT = b"a harbour town " * 100
BOMB = gzip.compress(gzip.compress(bytes(10_000_000)))


def named(value):
    """Leave bytes out of the names of tests: compressed ones hold the time."""
    return value if isinstance(value, str) else "bytes"


def fetched(content, encoding, max_bytes=1_000_000):
    with remote(lambda asked: Reply(content, headers={"content-encoding": encoding})) as (address, _):
        return HTTPService(RequestPolicy(max_bytes=max_bytes)).send(httpx.Request("GET", address)).body


def bare(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(TEXT), "gzip"),
        (gzip.compress(TEXT), "X-GZIP"),
        (gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]), "gzip, identity"),
        (zlib.compress(TEXT), "deflate"),
        (bare(TEXT), "deflate"),
        (TEXT, "identity"),
        (TEXT, ""),
    ],
    ids=named,
)
def test_one_layer_is_unpacked(content, encoding):
    assert fetched(content, encoding) == TEXT


def test_a_long_text_comes_whole():
    text = bytes(range(256)) * 3_000
    assert fetched(gzip.compress(text), "gzip") == text
    assert fetched(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("content", "encoding", "problem"),
    [
        (BOMB, "gzip, gzip", "compressed once at most, got one of 2 layers"),
        (TEXT, "br", "expected a reply in gzip, deflate or uncompressed, got 'br'"),
        (TEXT, "gzip", "can be decompressed"),
        (gzip.compress(TEXT)[:-4], "gzip", "cut short"),
        (gzip.compress(TEXT) + b"tail", "gzip", "can be decompressed"),
        (b"x", "deflate", "cut short"),
    ],
    ids=named,
)
def test_what_cannot_be_unpacked_is_refused(content, encoding, problem):
    with pytest.raises(httpx.DecodingError, match=problem):
        fetched(content, encoding)


def test_a_reply_is_not_unpacked_beyond_the_longest_allowed():
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ReplyTooLong, match="at most 1,000,000 bytes"):
            fetched(bomb, "gzip")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_every_client_names_a_reply_of_several_layers(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    packed = Reply(BOMB, headers={"content-encoding": "gzip, gzip"})
    with remote(lambda asked: packed) as (address, _):
        with pytest.raises(BadSearchReply, match="got one of 2 layers"):
            RemoteEngine(address).search(["a"], 1)
        with pytest.raises(BadChatReply, match="got one of 2 layers"):
            ChatClient(address).complete("m", [{"role": "user", "content": "a"}])
