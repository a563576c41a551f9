"""Counting the words of stored passages, in this process or in others, also while more are written."""

from __future__ import annotations

import signal
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ssp_env.search.bm25.eager_scores import CorpusStatistics, ScoreArrays, weigh_words
from ssp_env.search.bm25.passage_file import PassageFiles, PassageWriter
from ssp_env.search.bm25.terms import BM25Settings, Tokenizer
from ssp_env.search.bm25.word_counts import BLOCK, Postings, TermNumbers, count_words

_Range: TypeAlias = tuple[Path, int, int]
"""File of positions in the order of ids, the first of a block, and its end."""

_Counted: TypeAlias = tuple[list[str], Postings]
"""Words that were not counted before, and a block in whose postings words have numbers of the process."""


class BlockCounter(AbstractContextManager["BlockCounter"]):
    """Counts the words of passages block by block, and computes their scores in the end.

    The scores are the same to the last bit whatever the number of processes.

    Args:
        paths: Files of the passages.
        settings: Settings of the ranking.
        processes: Processes that count; with 1 it is this one. They are started by the first block, and end
            with this process, however it ends.
    """

    def __init__(self, paths: Sequence[Path], settings: BM25Settings, processes: int = 1) -> None:
        self._paths, self._settings, self._processes = paths, settings, processes
        self._numbers = TermNumbers(Tokenizer(settings))
        self._workers: list[_Worker] = []
        self._given: deque[Future[_Counted]] = deque()
        self._counted: deque[Postings] = deque()
        self._end = 0

    def early(self, order: Path, is_wanted: Callable[[int, int], bool]) -> EarlyCounts | None:
        """Return what counts while passages are read, or None if there are no other processes for it.

        Args:
            order: File to write their positions to.
            is_wanted: Whether the scores of so many passages, in so many bytes, will be computed.
        """
        return EarlyCounts(self, order, is_wanted) if self._processes > 1 else None

    def give(self, order: Path, end: int, progress: Callable[[int], object] = lambda done: None) -> None:
        """Count the passages that follow those of the block before."""
        block, self._end = (order, self._end, end), end
        if self._processes == 1:
            self._counted.append(_count(self._paths, block, self._numbers, progress))
            return
        if not self._workers:
            self._workers = [_Worker(self._paths, self._settings) for _ in range(self._processes)]
        self._given.append(self._workers[len(self._given) % self._processes].begin(block))

    def scores(
        self, order: Path, passages: int, progress: Callable[[int], object]
    ) -> tuple[str, ScoreArrays]:
        """Count what was not counted yet, and return the vocabulary and the scores of all passages."""
        while self._end < passages:
            self.give(order, min(self._end + BLOCK, passages), progress)
        terms, statistics = self._numbers.terms, CorpusStatistics()
        # Each process has numbers of its own, in the order in which it met the words.
        numbers = [array("i") for _ in self._workers]
        for block, future in enumerate(self._given):
            new, postings = future.result()
            of_process = numbers[block % len(numbers)]
            of_process.extend([terms[term] for term in new])
            self._counted.append(postings._replace(words=np.array(of_process, np.int32)[postings.words]))
            progress(min((block + 1) * BLOCK, passages))
        self.close()
        for postings in self._counted:
            statistics.add(postings)
        return weigh_words(self._counted, list(terms), statistics, self._settings, self._processes)

    def close(self) -> None:
        """Forget what was counted in other processes, and end them."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._given.clear()
        self._end = 0

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """A process that counts one block after the other, and a thread that waits for it."""

    def __init__(self, paths: Sequence[Path], settings: BM25Settings) -> None:
        context = get_context("spawn")
        self._link, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, paths, settings), daemon=True)
        self._process.start()
        # Only the process has this end, so that both notice when the other has ended.
        theirs.close()
        self._thread = ThreadPoolExecutor(1)

    def begin(self, block: _Range) -> Future[_Counted]:
        """Have a block counted after those before it."""
        return self._thread.submit(self._ask, block)

    def _ask(self, block: _Range) -> _Counted:
        try:
            self._link.send(block)
            answer = self._link.recv()
        except (EOFError, OSError) as error:
            raise ChildProcessError(
                "a process that counts words has ended; one process (--processes 1) needs less memory"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        counted: _Counted = answer
        return counted

    def close(self) -> None:
        """End the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._process.terminate()
        self._process.join()
        self._thread.shutdown()
        self._link.close()


def _serve(link: Connection, paths: Sequence[Path], settings: BM25Settings) -> None:
    """Count blocks until the other end is closed."""
    # An interrupt from the keyboard reaches every process; the one that asks closes its end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numbers, known = TermNumbers(Tokenizer(settings)), 0
    while True:
        try:
            block = link.recv()
        except EOFError:
            return
        answer: _Counted | Exception
        try:
            postings = _count(paths, block, numbers)
            answer = list(islice(numbers.terms, known, None)), postings
            known = len(numbers.terms)
        except Exception as error:
            answer = error
        try:
            link.send(answer)
        except OSError:
            return


def _count(
    paths: Sequence[Path],
    block: _Range,
    numbers: TermNumbers,
    progress: Callable[[int], object] = lambda done: None,
) -> Postings:
    order, begin, end = block
    # Mapped anew for each block, because the files may have grown.
    read = PassageFiles(paths).read
    positions = np.fromfile(order, "<u8", end - begin, offset=8 * begin)
    return count_words(map(read, positions.tolist()), numbers, progress, begin)


class EarlyCounts:
    """Has passages counted while others are still read, as long as they come in the order of their ids.

    Args:
        counter: Counts them.
        order: File to write their positions to.
        is_wanted: Whether the scores of so many passages, in so many bytes, will be computed.
    """

    def __init__(self, counter: BlockCounter, order: Path, is_wanted: Callable[[int, int], bool]) -> None:
        self._counter, self._order, self._is_wanted = counter, order, is_wanted
        self._positions: list[int] = []
        self._passages, self._last, self._in_order = 0, "", True
        order.write_bytes(b"")

    def add(self, identifier: str, position: int, writer: PassageWriter) -> None:
        """Take a passage that was just written."""
        if not self._in_order:
            return
        if identifier <= self._last:
            self._stop()
            return
        self._last = identifier
        self._positions.append(position)
        if len(self._positions) == BLOCK:
            size = writer.flush()
            self._write()
            if self._is_wanted(self._passages, size):
                self._counter.give(self._order, self._passages)
            else:
                self._stop()

    def finish(self, passages: int) -> bool:
        """Return whether the file has the positions of all passages, in the order of their ids."""
        if self._in_order:
            self._write()
        return self._in_order and self._passages == passages

    def _write(self) -> None:
        with self._order.open("ab") as file:
            np.array(self._positions, "<u8").tofile(file)
        self._passages += len(self._positions)
        self._positions.clear()

    def _stop(self) -> None:
        self._in_order = False
        self._counter.close()
