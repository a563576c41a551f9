"""What is fuzzed: readers of foreign data, each with valid inputs to start from and what must always hold."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from agents.chat_endpoint import BadChatReply
from agents.chat_endpoint.completion import error_status, read_completion
from agents.vllm import turn
from agents.vllm.errors import VLLMError
from baselines.config import preset
from ssp_env.cli.rules import read_toml
from ssp_env.data import read_answers, read_questions
from ssp_env.data.lines import DataFileError
from ssp_env.game import Failure, Game, GameConfig
from ssp_env.game.passage import Passage
from ssp_env.http import ReplyTooLong, redact
from ssp_env.http.decompression import read_body
from ssp_env.objects import ForeignFault, faults
from ssp_env.records import Episode, rescore
from ssp_env.records.export import recorded_trajectories
from ssp_env.records.files import numbered_episodes
from ssp_env.records.replay import first_difference, replay
from ssp_env.scenario import ScenarioConfig
from ssp_env.search.bm25 import BM25Engine
from ssp_env.search.bm25.builder import add_passages, build_index
from ssp_env.search.corpus import read_corpus, read_folder
from ssp_env.search.documents import from_reply, to_document
from ssp_env.search.errors import BadSearchReply
from ssp_env.search.plain_text import clean, page_text, snippet_text
from ssp_env.search.web import Brave, SearXNG, Serper, Tavily
from ssp_env.serve.access import Limits
from ssp_env.serve.app import read_request, write_reply
from tests.game.doubles import PAGES
from tests.records.games import refused_game, solved_game

MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        check: Gives it an input; raises whatever it should not have raised, or an AssertionError.
        seeds: Valid inputs.
        structured: Valid inputs as decoded JSON, if it reads JSON.
    """

    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    structured: tuple[Any, ...] = field(default=())


@contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ssp-fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path


def check_message(error: Exception, named: str = "") -> None:
    """What is said is no longer than a page and names the file, and can be printed."""
    said = str(error)
    assert len(said) < 5000, f"{len(said):,} characters: {said[:300]}"
    assert named in said, said
    said.encode("utf-8")


# -- pages ---------------------------------------------------------------------------------------------------

_PAGE = b"""<!doctype html><html><head><title>Corun &amp; Belin</title><style>p {}</style></head><body>
<h1>A <b>ci</b>ty</h1><script>var x = "<p>";</script><p>in Belin<br>with <a href="x">links</a> &lt; 3</p>
<!-- no comment --><svg><text>drawn</text></svg><ul><li>one<li>two</ul><![CDATA[data]]></body></html>"""


def check_page(data: bytes) -> None:
    """Any bytes are a page, whose text has one clean line per block."""
    page = data.decode("utf-8", "replace")
    title, text = page_text(page)
    for line in (title, *text.split("\n")):
        assert line == clean(line), line
    snippet = snippet_text(page)
    assert snippet == clean(snippet)
    with tempfile.TemporaryDirectory(prefix="ssp-fuzz-") as folder, suppress(DataFileError):
        for name in ("page.html", "page.md", "page.txt"):
            Path(folder, name).write_bytes(data)
        list(read_folder(Path(folder), on_bad=lambda error: None))


# -- records and snapshots -----------------------------------------------------------------------------------


@cache
def records() -> tuple[dict[str, Any], ...]:
    """Valid records as JSON."""
    games = [Episode.of(solved_game()), Episode.of(refused_game())]
    made = [*games, rescore(games[0], GameConfig(attempts=2, judge=True), lambda asked: True)]
    return tuple(json.loads(episode.to_line()) for episode in made)


def check_records(data: bytes) -> None:
    """A file of records is read line by line or not at all, and what is read is replayed or refused."""
    problems: list[Exception] = []
    with _file(data, "games.jsonl") as path, suppress(DataFileError):
        for _, episode in numbered_episodes(path, on_torn=problems.append, on_bad=problems.append):
            for use in (
                replay,
                first_difference,
                _rescored,
                lambda read: recorded_trajectories(replay(read)),
            ):
                with suppress(ValueError):
                    use(episode)
            assert Episode.from_data(json.loads(episode.to_line())) == episode
    for problem in problems:
        check_message(problem)


def _rescored(episode: Episode) -> Episode:
    return rescore(episode, GameConfig(attempts=2, min_searches=0), lambda asked: False)


def check_snapshot(data: bytes) -> None:
    """What is no snapshot is a ValueError; what is one goes on and can be stored again."""
    try:
        decoded = json.loads(data)
    except (ValueError, RecursionError):
        decoded = data
    try:
        game = Game.restore(decoded)
    except ValueError as error:
        check_message(error)
        return
    copy = Game.restore(json.loads(json.dumps(game.snapshot())))
    assert (copy.events, copy.outcome, copy.requests()) == (game.events, game.outcome, game.requests())
    for _ in range(50):
        if not game.requests():
            break
        game.submit(game.requests()[0].id, Failure("down"))
    assert game.outcome is not None


# -- files of an index ---------------------------------------------------------------------------------------

_QUERIES = ["river", "mayor of Corun", "walnuts page 7", "a"]


@cache
def _index() -> tuple[Path, list[str], list[list[Passage]]]:
    """An index directory with two segments, its files, and what it finds."""
    folder = Path(tempfile.mkdtemp(prefix="ssp-fuzz-index-")) / "index"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    passages = [
        Passage(f"{n}", f"River {n % 7}", f"Page {n} of walnuts, a mayor of Corun and more.")
        for n in range(60)
    ]
    build_index(passages[:40], folder, source=None)
    add_passages(folder, passages[40:])
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return folder, files, BM25Engine.open(folder).search(_QUERIES, 5)


def check_index(data: bytes) -> None:
    """An index with one damaged file finds what it should, or says that it is damaged.

    The first byte of the input chooses the file, the next three the place, one more what is done there with
    the rest.
    """
    if len(data) < 5:
        return
    folder, files, right = _index()
    name = files[data[0] % len(files)]
    with tempfile.TemporaryDirectory(prefix="ssp-fuzz-") as parent:
        copy = Path(parent, "index")
        shutil.copytree(folder, copy, copy_function=os.link)
        content = (folder / name).read_bytes()
        (copy / name).unlink()
        (copy / name).write_bytes(_damaged(content, int.from_bytes(data[1:4], "big"), data[4], data[5:]))
        with suppress(ValueError, ForeignFault), faults():
            assert BM25Engine.open(copy).search(_QUERIES, 5) == right, name


def _damaged(content: bytes, number: int, kind: int, rest: bytes) -> bytes:
    place = number % (len(content) + 1)
    if kind % 4 == 0:
        return content[:place]
    if kind % 4 == 1:
        return content[:place] + rest + content[place:]
    if kind % 4 == 2:
        return content[:place] + rest + content[place + len(rest) :]
    return content[:place] + content[place + len(rest) + 1 :]


# -- bodies of HTTP ------------------------------------------------------------------------------------------

_REQUESTS = (
    {"queries": ["mayor of Corun", "b"], "topk": 3, "return_scores": True},
    {"query": "sky", "top_k": 2},
    {"query": "a", "k": 1, "return_scores": None},
)


def check_request(data: bytes) -> None:
    """A request to a server is read or is a ValueError, and can be answered."""
    try:
        asked = read_request(data)
        asked.check(Limits())
    except ValueError as error:
        check_message(error)
        return
    found = [[Passage("1", "a", "b")]] * len(asked.texts)
    for packed in (True, False):
        assert write_reply(asked, found, packed)


_PASSAGE = to_document(Passage("1", "Corun", "A town."))
_RESULT = {
    "title": "A",
    "url": "http://a",
    "content": "b",
    "link": "http://a",
    "snippet": "c",
    "description": "d",
}
_CALL = {"id": "c", "type": "function", "function": {"name": "search", "arguments": '{"query": "a"}'}}
_CHOICE = {
    "index": 0,
    "message": {"role": "assistant", "content": "Hello", "tool_calls": [_CALL], "reasoning_content": "hm"},
    "text": "Hello",
    "finish_reason": "stop",
    "stop_reason": None,
    "token_ids": [1, 2],
    "prompt_token_ids": [1],
    "logprobs": {
        "content": [{"token": "a", "logprob": -0.5}] * 2,
        "token_logprobs": [-0.5, -0.1],
        "tokens": ["a", "b"],
    },
}
_REPLIES: tuple[Any, ...] = (
    {"result": [[{"document": _PASSAGE, "score": 1.5}, {"document": _PASSAGE, "score": 1}], []]},
    {"result": [[{"document": "text"}], [{"document": {"contents": "a", "id": 7, "title": "b"}}]]},
    {"organic": [_RESULT], "results": [_RESULT], "web": {"results": [_RESULT]}},
    {"choices": [_CHOICE], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    {"choices": [], "error": {"message": "overloaded", "code": 503}},
)  # fmt: skip


def check_reply(data: bytes) -> None:
    """A reply of any service is read by all clients, or is their own error."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(ValueError):
        for ranking in from_reply(reply, 2, 3):
            assert len(ranking) <= 3
    for provider in (Serper(), Brave(), Tavily(), SearXNG("http://a")):
        with suppress(BadSearchReply):
            provider.results(reply)
    with suppress(BadChatReply):
        read_completion(reply)
    status = error_status(reply)
    assert status is None or 400 <= status < 600
    with suppress(VLLMError):
        turn.read_completion(reply, weights_version="1")


_ENCODINGS = ("gzip", "deflate", "identity", "", "gzip, gzip", "br", "x-gzip", "GZIP , identity")


def check_body(data: bytes) -> None:
    """A body in any encoding is unpacked within the limit or refused; the first byte chooses the encoding."""
    import asyncio

    encoding = _ENCODINGS[data[0] % len(_ENCODINGS)] if data else ""

    class Pieces(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for start in range(1, len(data), 50):
                yield data[start : start + 50]

    response = httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Pieces())
    with suppress(httpx.DecodingError, ReplyTooLong):
        assert len(asyncio.run(read_body(response, 20_000))) <= 20_000


def _packed() -> tuple[bytes, ...]:
    text = b"Corun is a town. " * 300
    layers = gzip.compress(text), zlib.compress(text), text, gzip.compress(b"\0" * 200_000)
    twice = gzip.compress(text) + gzip.compress(text)
    return tuple(
        bytes([n]) + layer
        for n, layer in ((0, layers[0]), (1, layers[1]), (2, text), (0, layers[3]), (0, twice))
    )


_KEY = "sk-proj-Ab3_x9/Kd+Qw7=Zt5rYp"


def check_redaction(data: bytes) -> None:
    """Whatever is around a key and however it is cut, the key itself is not in what is left."""
    text = data.decode("latin-1")
    for shown in (text, text.replace("KEY", _KEY), text[: len(text) // 2] + _KEY + text[len(text) // 2 :]):
        cleaned = redact(shown, [_KEY])
        assert _KEY not in cleaned
        assert cleaned == shown or "[API key]" in cleaned


# -- files of data -------------------------------------------------------------------------------------------

_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".jsonl.gz", ".parquet", "")
_LINES = (
    b'{"id": "1", "title": "Corun", "text": "A town.", "question": "Who?", "answer": ["T", "U"], "hops": 2}\n'
    b'{"_id": 7, "contents": "\\"Belin\\"\\nA city.", "query": "Where?", "golden_answers": ["B"]}\n'
)
_ROWS = b'id,title,text,question,answer\n1,Corun,"A town,\nreally",Who?,"[""Tavor"", ""T""]"\n2,,b,Where?,x\n'


def _parquet() -> bytes:
    import io

    import pyarrow
    import pyarrow.parquet

    made = io.BytesIO()
    rows = [json.loads(line) for line in _LINES.splitlines()]
    columns = {name: [str(row.get(name, "")) for row in rows] for name in ("id", "title", "text", "question")}
    pyarrow.parquet.write_table(pyarrow.table({**columns, "answer": [["Tavor"], ["B"]]}), made)
    return made.getvalue()


def _data_files() -> tuple[bytes, ...]:
    array = json.dumps([json.loads(line) for line in _LINES.splitlines()]).encode()
    contents = (
        _LINES,
        array,
        _ROWS,
        _ROWS.replace(b",", b"\t"),
        b"# list\nTavor\nCorun\n",
        gzip.compress(_LINES),
    )
    return tuple(bytes([n]) + content for n, content in enumerate((*contents, _parquet())))


def check_data(data: bytes) -> None:
    """A file of data is read or refused with its name; the first byte of the input is its suffix."""
    suffix = _SUFFIXES[data[0] % len(_SUFFIXES)] if data else ""
    with _file(data[1:], f"data{suffix}") as path:
        for read in (read_answers, read_questions, _passages, _passages_that_fit):
            try:
                found = read(path)
            except DataFileError as error:
                check_message(error, path.name)
            else:
                assert found or read is _passages_that_fit
                for item in found:
                    repr(item).encode("utf-8")


def _passages(path: Path) -> list[Any]:
    return list(islice(read_corpus(path), 10_000))


def _passages_that_fit(path: Path) -> list[Any]:
    problems: list[Exception] = []
    return list(islice(read_corpus(path, on_bad=problems.append), 10_000))


# -- configurations ------------------------------------------------------------------------------------------

_CONFIGS = (
    b'attempts = 4\nreward = "4p(1-p)"\nmin_searches = 3\nmax_similarity = 0.5\n[proposer]\nmax_turns = 6\n',
    b'steps = 2\nmodel = {name = "tiny"}\n[solver]\nalgorithm = "grpo"\nweight = 0.5\n[rules]\ntop_k = 3\n',
    b'world = "tiny"\nsplit = "heldout"\nhops = [1, 2]\nanswers = ["Tavor"]\n[rules]\nattempts = 2\n',
)


def check_config(data: bytes) -> None:
    """Rules, the configuration of a run and a scenario are read or are a ValueError."""
    with _file(data, "config.toml") as path:
        try:
            table = read_toml(path, "the rules")
        except ValueError as error:
            check_message(error, path.name)
            return
    uses: tuple[Callable[[dict[str, Any]], Any], ...] = (
        GameConfig().changed,
        GameConfig.from_dict,
        preset("tiny").changed,
        ScenarioConfig.from_dict,
    )
    for use in uses:
        with suppress(ValueError):
            made = use(table)
            json.dumps(made.to_dict(), default=str)


# ------------------------------------------------------------------------------------------------------------


@cache
def targets() -> dict[str, Target]:
    """All targets, by name."""
    lines = tuple(json.dumps(record).encode() + b"\n" for record in records())
    snapshots = tuple(record["snapshot"] for record in records())
    as_json = [
        tuple(json.dumps(item).encode() for item in items) for items in (snapshots, _REQUESTS, _REPLIES)
    ]
    damage = tuple(bytes([file, 0, 0, 9, kind, 120]) for file in range(12) for kind in range(4))
    return {
        "pages": Target(check_page, (_PAGE, *(f"{page.title}\n{page.text}".encode() for page in PAGES[:2]))),
        "records": Target(check_records, (*lines, b"".join(lines)), records()),
        "snapshots": Target(check_snapshot, as_json[0], snapshots),
        "index": Target(check_index, damage),
        "requests": Target(check_request, as_json[1], _REQUESTS),
        "replies": Target(check_reply, as_json[2], _REPLIES),
        "bodies": Target(check_body, _packed()),
        "redaction": Target(
            check_redaction, (_KEY.encode(), b"a KEY %2b \\u0073 &#107;", b"KE" + _KEY.encode()[:9])
        ),
        "data": Target(check_data, _data_files()),
        "configs": Target(check_config, _CONFIGS),
    }
