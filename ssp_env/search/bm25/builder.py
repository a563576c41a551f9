"""Building an index directory from a stream of passages: resumable, published in one step, added to.

A build reads all passages into a file, sorts them by id and indexes them in that order. It happens in a
directory beside the target, `.NAME.building`, which is renamed when all is done; a build that was killed goes
on from there.
"""

from __future__ import annotations

import json
import os
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from ssp_env.game.passage import Passage
from ssp_env.objects import check_least
from ssp_env.search.bm25.block_counter import BlockCounter, EarlyCounts
from ssp_env.search.bm25.directory import (
    CorpusDigest,
    IndexDirectoryError,
    Manifest,
    hash_files,
    order_file,
    read_manifest,
)
from ssp_env.search.bm25.passage_file import DuplicateIdError, PassageFiles, PassageWriter, sorted_positions
from ssp_env.search.bm25.term_index import Progress, extend_terms, write_terms
from ssp_env.search.bm25.terms import BM25Settings

_CHECKPOINT = 100_000
_REPORT = 1_000
_PROGRESS_FILE = "progress.json"
_LOCK_FILE = "lock"
FIRST_FILE = "passages-1.bin"


class BusyIndexError(IndexDirectoryError):
    """Another process is building this index or adding to it."""


@dataclass(frozen=True)
class Reading:
    """How far the reading of a source has come; what a resumed build goes on from."""

    source: str | None
    settings: str
    passages: int = 0
    bytes: int = 0
    corpus: str = "0"
    complete: bool = False


def build_index(
    passages: Iterable[Passage],
    path: str | os.PathLike[str],
    settings: BM25Settings | None = None,
    *,
    source: str | None,
    eager_memory: int | None = None,
    processes: int = 1,
    progress: Progress = lambda stage, done, total: None,
) -> Manifest:
    """Build the index directory `path`; an unfinished build of the same source and settings goes on.

    Memory grows little with the corpus: the heap of the index writer is 1 GB at most.

    Args:
        passages: The corpus; ids must be unique. A resumed build skips those it has read.
        path: The directory, absent or empty.
        settings: Settings of the ranking.
        source: Names the corpus and its version; only a build of the same source is resumed, and with None
            nothing is: what an interrupted build has made is removed.
        eager_memory: Bytes of memory that scores may need while they are computed beforehand; takes the place
            of `settings.eager_up_to`, which becomes the number of such passages that need as many. 1.5 GB if
            both are None.
        processes: Processes that count words if scores are computed beforehand, and threads that compute
            them. With more than one, words are counted while passages are read if these come in the order of
            their ids. The index is the same whatever their number.
        progress: Told how far the build is.

    Raises:
        ValueError: If there is no passage, two share an id or `path` holds something.
        OSError: If the disk is full, for example. What was built so far stays beside `path`.
    """
    check_least(1, processes=processes)
    settings = settings or BM25Settings()
    with building(path, source) as workshop:
        counter = BlockCounter([workshop / FIRST_FILE], settings, processes)
        with counter:
            return _build(passages, workshop, settings, source, eager_memory, counter, progress)


@contextmanager
def building(path: str | os.PathLike[str], source: str | None) -> Iterator[Path]:
    """Yield a directory in which to build an index; it is renamed to `path`, absent or empty, in the end.

    Raises:
        IndexDirectoryError: If `path` holds something.
        BusyIndexError: If another process builds there.
    """
    target = Path(path).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise IndexDirectoryError(
            f"expected a new or empty directory for the index, got {path}: choose another one, delete this "
            f"one, or add passages to the index in it with: ssp index add {path} SOURCE"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = unfinished_build(target)
    workshop.mkdir(exist_ok=True)
    try:
        with _locked(workshop):
            yield workshop
            for name in (_PROGRESS_FILE, _LOCK_FILE):
                (workshop / name).unlink()
            os.replace(workshop, target)
    except BusyIndexError:
        raise
    except BaseException:
        if source is None:
            shutil.rmtree(workshop)
        raise


def _build(
    passages: Iterable[Passage],
    workshop: Path,
    settings: BM25Settings,
    source: str | None,
    eager_memory: int | None,
    counter: BlockCounter,
    progress: Progress,
) -> Manifest:
    wanted = str(settings) if eager_memory is None else f"{settings} eager_memory={eager_memory}"
    order = workshop / order_file(1)
    early = counter.early(
        order, lambda count, size: settings.fitted(count, size, eager_memory).is_eager(count)
    )
    read = ingest(passages, workshop, Reading(source, wanted), progress, early)
    settings = settings.fitted(read.passages, read.bytes, eager_memory)
    files = PassageFiles([workshop / FIRST_FILE])
    ranking = settings.ranking(read.passages)
    manifest = Manifest(1, ranking, settings, source or "passages", read.passages, read.corpus, {})
    if early is None or not early.finish(read.passages):
        write_order(files, order, workshop, read.passages, progress)
    write_terms(workshop / manifest.terms, files, order, settings, progress, counter)
    return seal(manifest, workshop, [FIRST_FILE], {}, progress)


def unfinished_build(path: Path) -> Path:
    """Return where a build of `path` works until it is done."""
    return path.with_name(f".{path.name}.building")


def add_passages(
    path: str | os.PathLike[str],
    passages: Iterable[Passage],
    *,
    progress: Progress = lambda stage, done, total: None,
) -> Manifest:
    """Add passages to an index; engines that are open keep what they opened.

    Needs 16 bytes of memory per passage of the index. An interrupted call leaves the index as it was. Scores
    computed beforehand (`BM25Settings.eager_up_to`) are computed anew, 0.1 ms per passage.

    Raises:
        ValueError: If an id is there already, or twice among the new ones, or the index is a shard; nothing
            is added then.
    """
    folder = Path(path)
    with _locked(folder):
        old = read_manifest(folder)
        if old.shard is not None:
            raise IndexDirectoryError(
                f"{folder} is shard {old.shard.number} of {old.shard.of}, and its scores depend on all of "
                "them: build all shards again to add passages"
            )
        _remove_leftovers(folder, old)
        new = replace(old, generation=old.generation + 1)
        digest = CorpusDigest(total=int(old.corpus, 16), count=old.passages)
        name = f"passages-{new.generation}.bin"
        with PassageWriter(folder / name) as writer:
            for passage in passages:
                writer.append(passage)
                digest.add(passage)
            size = writer.sync()
        if not size:
            (folder / name).unlink()
            return old
        ranking = old.settings.ranking(digest.count)
        new = replace(new, ranking=ranking, passages=digest.count, corpus=digest.hexdigest())
        _add_order(folder, old, new, name)
        _add_terms(folder, old, new, name, progress)
        kept = {part: old.files[part] for part in old.passage_files}
        new = seal(new, folder, [name], kept, progress)
        _remove_leftovers(folder, new)
    return new


# -- reading -----------------------------------------------------------------------------------------------


def ingest(
    passages: Iterable[Passage],
    workshop: Path,
    start: Reading,
    progress: Progress,
    early: EarlyCounts | None = None,
) -> Reading:
    """Append the source to the file of passages, from where an earlier build stopped."""
    read = _last_checkpoint(workshop, start)
    if read.complete:
        return read
    digest = CorpusDigest(total=int(read.corpus, 16), count=read.passages)
    waiting = iter(passages)
    for skipped, _ in enumerate(islice(waiting, read.passages), start=1):
        if skipped % _REPORT == 0:
            progress("Skipping what was read", skipped, read.passages)

    def checkpoint(complete: bool) -> Reading:
        reached = replace(
            start, passages=digest.count, bytes=writer.sync(), corpus=digest.hexdigest(), complete=complete
        )
        aside = workshop / f"{_PROGRESS_FILE}.part"
        aside.write_text(json.dumps(asdict(reached)))
        aside.replace(workshop / _PROGRESS_FILE)
        return reached

    with PassageWriter(workshop / FIRST_FILE, read.bytes) as writer:
        for passage in waiting:
            position = writer.append(passage)
            digest.add(passage)
            if early is not None and not read.passages:
                early.add(passage.id, position, writer)
            if digest.count % _REPORT == 0:
                progress("Reading", digest.count, None)
            if digest.count % _CHECKPOINT == 0:
                checkpoint(complete=False)
        if not digest.count:
            raise ValueError("a search engine needs at least one passage, got an empty corpus")
        return checkpoint(complete=True)


def _last_checkpoint(workshop: Path, start: Reading) -> Reading:
    """Return how far an earlier build of the same source came; remove what a build of another source left."""
    try:
        found = Reading(**json.loads((workshop / _PROGRESS_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        found = start
    if start.source and (found.source, found.settings) == (start.source, start.settings) and found != start:
        return found
    for entry in workshop.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != _LOCK_FILE:
            entry.unlink()
    return start


# -- order of ids and terms --------------------------------------------------------------------------------


def write_order(files: PassageFiles, path: Path, folder: Path, count: int, progress: Progress) -> None:
    """Write the positions of passages in the order of their ids to a file."""
    entries = ((_encoded(passage.id), position) for position, passage in files.scan())
    positions = sorted_positions(entries, folder)
    try:
        with path.open("wb") as file:
            done = 0
            while chunk := list(islice(positions, _REPORT)):
                np.array(chunk, dtype="<u8").tofile(file)
                done += len(chunk)
                progress("Sorting", done, count)
    except DuplicateIdError as error:
        raise _named(error, files) from None


def _add_order(folder: Path, old: Manifest, new: Manifest, name: str) -> None:
    """Merge the new passages into the order of ids."""
    stored = old.open_passages(folder)
    files = PassageFiles([folder / part for part in (*old.passage_files, name)])
    base = files.size - (folder / name).stat().st_size
    entries = ((_encoded(passage.id), base + at) for at, passage in PassageFiles([folder / name]).scan())
    try:
        added = list(sorted_positions(entries, folder))
        places = []
        for position in added:
            identifier = files.read(position).id
            place = bisect_left(range(len(stored)), identifier, key=lambda rank: stored[rank].id)
            if place < len(stored) and stored[place].id == identifier:
                raise DuplicateIdError(identifier, (int(stored.order[place]), position))
            places.append(place)
    except DuplicateIdError as error:
        raise _named(error, files) from None
    np.insert(stored.order, places, np.array(added, dtype="<u8")).astype("<u8").tofile(folder / new.order)


def _add_terms(folder: Path, old: Manifest, new: Manifest, name: str, progress: Progress) -> None:
    """Add to the terms of a large corpus; those of a small one are written again."""
    if old.settings.is_eager(old.passages):
        files = PassageFiles([folder / part for part in (*old.passage_files, name)])
        write_terms(folder / new.terms, files, folder / new.order, new.settings, progress)
        return
    base = sum(old.files[part][0] for part in old.passage_files)
    added = PassageFiles([folder / name])
    extend_terms(folder / old.terms, folder / new.terms, added, base, new.settings, progress)


def _named(error: DuplicateIdError, files: PassageFiles) -> ValueError:
    first, second = (files.read(position).title for position in error.positions)
    return ValueError(f"passage ids must be unique, got {error.identifier!r} twice: {first!r} and {second!r}")


def _encoded(identifier: str) -> bytes:
    return identifier.encode("utf-8", "surrogatepass")


# -- publishing --------------------------------------------------------------------------------------------


def seal(
    manifest: Manifest,
    folder: Path,
    written: Iterable[str],
    kept: dict[str, tuple[int, str]],
    progress: Progress,
) -> Manifest:
    """Force every new file to the disk, write down what it holds, and publish the manifest."""
    terms = [entry for entry in (folder / manifest.terms).iterdir() if entry.suffix != ".lock"]
    for entry in terms:
        # tantivy hides some of its files from other users; these follow the umask as the rest does.
        shutil.copymode(folder / manifest.order, entry)
    names = [*written, manifest.order, *(f"{manifest.terms}/{entry.name}" for entry in terms)]
    total, done = sum((folder / name).stat().st_size for name in names), 0

    def count(piece: int) -> None:
        nonlocal done
        done += piece
        progress("Checking", done, total)

    sealed = replace(manifest, files={**kept, **hash_files(folder, names, count)})
    sealed.write(folder)
    return sealed


def _remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Remove what an interrupted addition left, and what an addition replaced."""
    wanted = {name.split("/")[0] for name in manifest.files}
    for entry in folder.iterdir():
        if entry.name not in wanted and entry.name.startswith(("passages-", "order-", "terms-")):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second writer out; the lock ends with the process."""
    if not folder.is_dir():
        raise IndexDirectoryError(f"expected an index made by ssp index build, got {folder}")
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyIndexError(f"another process is writing to {folder}") from error
    try:
        yield
    finally:
        lock.release()
