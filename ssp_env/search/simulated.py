"""A search engine simulated by a language model, which writes passages that help or mislead."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
from anyio.to_thread import run_sync

from ssp_env.game.passage import Passage
from ssp_env.http.concurrency import gather
from ssp_env.objects import is_async
from ssp_env.search.engine import check_search
from ssp_env.search.errors import BadSearchReply
from ssp_env.search.plain_text import clean

Messages = list[dict[str, str]]

_MAX_QUERY_CHARACTERS = 1000
_TWO_TO_64 = 1 << 64

_SYSTEM = (
    "You play a web search engine in an experiment. You get a search query and write the pages it finds. "
    'Reply with JSON and nothing else: an array of exactly {pages} objects {{"title": ..., "text": ...}}, '
    "most relevant first. Every text is a self-contained paragraph of about 40 words in the manner of an "
    "encyclopedia or a news site. Never address the reader and never mention these instructions."
)
_USEFUL = "The pages contain correct information that answers the query."
_NOISY = (
    "The pages are about the subject of the query and do not answer it: they are off the point, or give "
    "details that are wrong and believable."
)


def noise_probability(
    step: int, steps: int, start: float = 0.0, end: float = 0.5, base: float = 4.0
) -> float:
    """Return the share of noisy results at a training step: the curriculum of ZeroSearch.

    `start + (base ** (step / steps) - 1) / (base - 1) * (end - start)` (arXiv 2505.04588, section 3.4).

    Args:
        step: Steps done, from 0 to `steps`.
        steps: Steps of the whole training.
        start: Probability at the first step.
        end: Probability at the last.
        base: How late the probability rises; with 1 it rises linearly.

    Raises:
        ValueError: If a number is out of range.

    >>> [round(noise_probability(step, 4, 0.0, 0.75), 3) for step in range(5)]
    [0.0, 0.104, 0.25, 0.457, 0.75]
    """
    if steps < 1 or not 0 <= step <= steps:
        raise ValueError(f"expected a step from 0 to steps, steps at least 1, got {step} of {steps}")
    if not (0 <= start <= 1 and 0 <= end <= 1):
        raise ValueError(f"expected probabilities between 0 and 1, got {start} and {end}")
    if not base > 0:
        raise ValueError(f"base must be positive, got {base}")
    done = step / steps
    rise = done if base == 1 else (base**done - 1) / (base - 1)
    return start + rise * (end - start)


class SimulatedEngine:
    """A search engine played by a chat model (ZeroSearch, Sun et al. 2025, arXiv 2505.04588).

    Whether the passages of a query are useful or noisy is drawn from the seed and the query alone. The
    passages of a query are kept, in pickles too, so that a repeated query finds the same passages. Other
    processes find the same passages if the replies of the model are the same: use temperature 0 or a seed.

    Args:
        chat: Function from messages `{"role", "content"}` to the text of the reply, called from several
            threads. `asearch` calls its coroutine function `acall` if it has one. It may raise a SearchError.
        model: Name of the model in the fingerprint.
        noise: Probability that the result of a query is noisy; see `noise_probability` for a curriculum, with
            a new engine for each of its steps.
        passages: Number of passages written per query, and the most that a search returns.
        seed: Chooses which queries get noise.
        concurrency: Most queries sent to the model at a time.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> reply = '[{"title": "Corun", "text": "Corun is a town on the Aller."}]'
        >>> engine = SimulatedEngine(lambda messages: reply, model="fixed", passages=1)
        >>> engine.search(["Where is Corun?"], top_k=3)[0][0].title
        'Corun'
    """

    def __init__(
        self,
        chat: Callable[[Messages], str],
        *,
        model: str,
        noise: float = 0.0,
        passages: int = 5,
        seed: int = 0,
        concurrency: int = 8,
    ) -> None:
        if not 0 <= noise <= 1:
            raise ValueError(f"noise must be a probability, got {noise}")
        if passages < 1 or concurrency < 1:
            raise ValueError(f"passages and concurrency must be at least 1, got {passages} and {concurrency}")
        self._chat = chat
        self._settings = f"simulated {model} noise={noise!r} pages={passages} seed={seed}"
        self._noise = noise
        self._passages = passages
        self._seed = seed
        self._concurrency = concurrency
        self._written: dict[str, tuple[Passage, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A copy, in one step, because other threads may write while the state is pickled.
        return {**self.__dict__, "_written": self._written.copy()}

    def search(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Return the passages written for each query, as `SearchEngine.search` says.

        Raises:
            BadSearchReply: If the model's reply is not the passages it was asked for.
            SearchError: Any that the chat endpoint raises.
        """
        asked, distinct = _checked(queries, top_k)
        with ThreadPoolExecutor(self._concurrency) as pool:
            found = dict(zip(distinct, pool.map(self._search_one, distinct), strict=True))
        return [list(found.get(query, ())[:top_k]) for query in asked]

    async def asearch(self, queries: Sequence[str], top_k: int) -> list[list[Passage]]:
        """Do the same as `search` without blocking.

        A coroutine function `acall` of the chat is used if it has one, and threads otherwise.
        """
        asked, distinct = _checked(queries, top_k)
        threads = anyio.CapacityLimiter(self._concurrency)
        searches = [self._asearch_one(query, threads) for query in distinct]
        found = dict(zip(distinct, await gather(searches, self._concurrency), strict=True))
        return [list(found.get(query, ())[:top_k]) for query in asked]

    def is_noisy(self, query: str) -> bool:
        """Return whether the result of a query is noise."""
        draw = int(self._digest(query)[:16], 16) / _TWO_TO_64
        return draw < self._noise

    def fingerprint(self) -> str:
        """Return the sha256 of the model's name, the settings and the instructions."""
        return hashlib.sha256("\n".join((self._settings, _SYSTEM, _USEFUL, _NOISY)).encode()).hexdigest()

    def _search_one(self, query: str) -> tuple[Passage, ...]:
        return self._written.get(query) or self._kept(query, self._chat(self._messages(query)))

    async def _asearch_one(self, query: str, threads: anyio.CapacityLimiter) -> tuple[Passage, ...]:
        if written := self._written.get(query):
            return written
        messages, acall = self._messages(query), getattr(self._chat, "acall", None)
        if is_async(acall):
            reply: str = await acall(messages)
        else:
            # A thread cannot be stopped: an abandoned one runs to its end, and its reply is ignored.
            reply = await run_sync(self._chat, messages, abandon_on_cancel=True, limiter=threads)
        return self._kept(query, reply)

    def _kept(self, query: str, reply: str) -> tuple[Passage, ...]:
        passages = parse_passages(reply, self._passages)
        name = self._digest(query)[:16]
        written = tuple(
            Passage(f"simulated-{name}-{rank}", title, text, 1 / rank)
            for rank, (title, text) in enumerate(passages, start=1)
        )
        # The first reply is kept, so that every caller finds the same passages.
        return self._written.setdefault(query, written)

    def _messages(self, query: str) -> Messages:
        purpose = _NOISY if self.is_noisy(query) else _USEFUL
        # Written as a JSON string, a query cannot be mistaken for our instructions.
        asked = f"{purpose}\nQuery: {json.dumps(query, ensure_ascii=False)}"
        return [
            {"role": "system", "content": _SYSTEM.format(pages=self._passages)},
            {"role": "user", "content": asked},
        ]

    def _digest(self, query: str) -> str:
        return hashlib.sha256(f"{self._seed}\n{_words(query)}".encode()).hexdigest()


def parse_passages(reply: str, count: int) -> list[tuple[str, str]]:
    """Return the titles and texts in a reply: a JSON array of `count` objects, bare or in one code fence.

    Raises:
        BadSearchReply: If it is anything else; the message says what was expected.
    """
    bare = reply.strip()
    if bare.startswith("```") and bare.endswith("```"):
        bare = bare[3:-3].removeprefix("json").strip()
    try:
        passages = json.loads(bare)
    except (ValueError, RecursionError):
        raise BadSearchReply(f"expected a JSON array of {count} passages, got {reply[:80]!r}") from None
    if not isinstance(passages, list) or len(passages) != count:
        got = f"{len(passages)} passages" if isinstance(passages, list) else type(passages).__name__
        raise BadSearchReply(f"expected a JSON array of {count} passages, got {got}")
    return [_title_and_text(passage) for passage in passages]


def _checked(queries: Sequence[str], top_k: int) -> tuple[list[str], list[str]]:
    """Return the queries as they are asked, and the distinct ones that are not blank."""
    check_search(queries, top_k)
    asked = [_words(query) for query in queries]
    return asked, list(dict.fromkeys(query for query in asked if query))


def _title_and_text(passage: object) -> tuple[str, str]:
    if not isinstance(passage, Mapping) or set(passage) != {"title", "text"}:
        raise BadSearchReply(f"expected passages with title and text, got {passage!r:.80}")
    title, text = passage["title"], passage["text"]
    if not (isinstance(title, str) and isinstance(text, str) and clean(title) and clean(text)):
        raise BadSearchReply(f"expected a title and a text that are not blank, got {passage!r:.80}")
    return clean(title), clean(text)


def _words(query: str) -> str:
    """Return a query with single spaces, without what UTF-8 cannot hold, and of limited length."""
    return " ".join(query.encode("utf-8", "replace").decode().split())[:_MAX_QUERY_CHARACTERS].strip()
