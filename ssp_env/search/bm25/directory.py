"""A directory that holds an index and its passages: its manifest, its hashes, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssp_env.game.passage import Passage
from ssp_env.search.bm25.passage_file import DamagedIndexError, PassageFiles, StoredPassages
from ssp_env.search.bm25.terms import BM25Settings
from ssp_env.search.engine import hashed_bytes

_MODULUS = 1 << 256


class CorpusDigest:
    """The sum of the passages' sha256, modulo 2^256, and their number.

    A sum needs neither an order nor the texts again when passages are added (Clarke et al. 2003, "Incremental
    Multiset Hash Functions and Their Application to Memory Integrity Checking", section 5).

    >>> one, two = Passage("1", "belin", "x"), Passage("2", "corun", "y")
    >>> CorpusDigest([one, two]).hexdigest() == CorpusDigest([two, one]).hexdigest()
    True
    """

    def __init__(self, passages: Iterable[Passage] = (), *, total: int = 0, count: int = 0) -> None:
        self.total = total
        self.count = count
        for passage in passages:
            self.add(passage)

    def add(self, passage: Passage) -> None:
        """Count one more passage."""
        digest = hashlib.sha256(hashed_bytes(passage)).digest()
        self.total = (self.total + int.from_bytes(digest, "big")) % _MODULUS
        self.count += 1

    def hexdigest(self) -> str:
        """Return the sum, 64 hexadecimal digits."""
        return f"{self.total:064x}"

    def fingerprint(self, ranking: str) -> str:
        """Return the sha256 of the corpus together with what ranks it."""
        return hashlib.sha256(f"{ranking}\n{self.count} {self.hexdigest()}\n".encode()).hexdigest()


FORMAT = 3
_OLDER_FORMATS = (2,)
MANIFEST = "manifest.json"
_SHARD = re.compile("shard:([0-9]+)/([0-9]+):(.+)", re.ASCII)
_CHUNK_BYTES = 1 << 17


class IndexDirectoryError(ValueError):
    """A directory that holds no index this version can use; the message says what was expected."""


@dataclass(frozen=True)
class Shard:
    """Which part of a corpus an index holds, with scores by the statistics of the whole.

    Attributes:
        number: From 1; shards divide the passages in the order of their ids.
        of: Number of shards.
        whole: Fingerprint of the index that has all passages.

    >>> Shard.from_fingerprint(Shard(2, 4, "a1b2").fingerprint)
    Shard(number=2, of=4, whole='a1b2')
    """

    number: int
    of: int
    whole: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint of an engine that has the shard open; it names the others and the whole."""
        return f"shard:{self.number}/{self.of}:{self.whole}"

    def folder(self, path: Path) -> Path:
        """Return the directory of the shard in that of all shards."""
        return path / f"shard-{self.number}-of-{self.of}"

    @classmethod
    def from_fingerprint(cls, fingerprint: str) -> Shard | None:
        """Return the shard that a fingerprint names, or None if it is not that of a shard."""
        found = _SHARD.fullmatch(fingerprint)
        return found and cls(int(found[1]), int(found[2]), found[3])


def order_file(generation: int) -> str:
    """Return the name of the file of positions in the order of ids."""
    return f"order-{generation}.bin"


@dataclass(frozen=True)
class Manifest:
    """The manifest of an index directory: what it holds and how it was built.

    Attributes:
        generation: Counts how often passages were added, from 1; part of the names of the files.
        ranking: What decided the ranking at the last build, besides the corpus.
        settings: Settings of the ranking.
        source: What the passages were read from.
        passages: Number of passages.
        corpus: Hash of the passages, whatever their order (`CorpusDigest`).
        files: Relative path -> size in bytes and sha256.
        shard: Which part of a larger corpus the passages are, if they are one.
    """

    generation: int
    ranking: str
    settings: BM25Settings
    source: str
    passages: int
    corpus: str
    files: dict[str, tuple[int, str]]
    shard: Shard | None = None

    @property
    def fingerprint(self) -> str:
        """The engine's fingerprint: corpus, settings and the ranking library that is installed."""
        if self.shard is not None:
            return self.shard.fingerprint
        digest = CorpusDigest(total=int(self.corpus, 16), count=self.passages)
        return digest.fingerprint(self.settings.ranking(self.passages))

    @property
    def terms(self) -> str:
        """Name of the folder of the term index."""
        return f"terms-{self.generation}"

    @property
    def order(self) -> str:
        """Name of the file of positions in the order of ids."""
        return order_file(self.generation)

    @property
    def passage_files(self) -> list[str]:
        """Names of the files of passages, in the order in which they were written."""
        names = [name for name in self.files if name.startswith("passages-")]
        return sorted(names, key=lambda name: int(name.removeprefix("passages-").removesuffix(".bin")))

    def open_passages(self, path: Path) -> StoredPassages:
        """Map the texts into memory."""
        return StoredPassages(PassageFiles([path / name for name in self.passage_files]), path / self.order)

    def write(self, path: Path) -> None:
        """Write the manifest into a directory, replacing an older one in one step."""
        aside = path / f"{MANIFEST}.part"
        data = asdict(self)
        if self.shard is None:
            # What earlier versions read.
            del data["shard"]
        with aside.open("wb") as file:
            file.write(_rendered({"format": FORMAT, **data}))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path / MANIFEST)


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of an index directory and compare the sizes of its files, which takes milliseconds.

    Raises:
        IndexDirectoryError: If it is no index, or one of another format.
        DamagedIndexError: If the manifest is damaged, or a file is missing or of another size. A changed byte
            of the terms is found by `check_index` and when an engine opens, one of a text when it is read.
    """
    try:
        content = (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexDirectoryError(f"expected an index made by ssp index build, got {path}") from error
    manifest = _parsed(content, path)
    for name, (size, _) in manifest.files.items():
        try:
            found: int | str = (path / name).stat().st_size
        except FileNotFoundError:
            found = "none"
        if found != size:
            raise DamagedIndexError(f"{path / name}: expected {size} bytes, got {found}")
    return manifest


def _parsed(content: bytes, path: Path) -> Manifest:
    try:
        data = json.loads(content)
        data.pop("sha256")
        if content != _rendered(data):
            raise ValueError("the hash is of other content")
        version = data.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DamagedIndexError(
            f"{path / MANIFEST}: expected the manifest of an index, got damaged content"
        ) from error
    names = {field.name for field in fields(Manifest)} - {"shard"}
    if version not in (FORMAT, *_OLDER_FORMATS) or {*data} - {"shard"} != names:
        raise IndexDirectoryError(
            f"{path}: expected an index of format {FORMAT}, got format {version}: build it again"
        )
    try:
        # Format 2 did not say how texts became words, which has changed since.
        data["settings"] = BM25Settings(**{"tokenization": 1, **data["settings"]})
    except ValueError as error:
        raise IndexDirectoryError(f"{path}: expected settings of this version, {error}") from None
    data["files"] = {name: (size, digest) for name, (size, digest) in data["files"].items()}
    if "shard" in data:
        data["shard"] = Shard(**data["shard"])
    return Manifest(**data)


def check_index(path: Path, on_bytes: Callable[[int], object] = lambda count: None) -> Manifest:
    """Read every byte of an index and compare it with the manifest.

    Args:
        path: The index directory.
        on_bytes: Called with the number of bytes after every piece.

    Raises:
        IndexDirectoryError: As `read_manifest`.
        DamagedIndexError: If anything is not as it was written; the message names the file.
    """
    manifest = read_manifest(path)
    for name, (_, expected) in manifest.files.items():
        if hash_file(path / name, on_bytes) != expected:
            raise DamagedIndexError(f"{path / name}: expected the bytes that were written, got others")
    return manifest


def hash_files(
    path: Path, names: Iterable[str], on_bytes: Callable[[int], object]
) -> dict[str, tuple[int, str]]:
    """Return size and sha256 of files below `path`, by name, and force them to the disk."""
    found = {}
    for name in sorted(names):
        descriptor = os.open(path / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        found[name] = ((path / name).stat().st_size, hash_file(path / name, on_bytes))
    return found


def hash_file(path: Path, on_bytes: Callable[[int], object]) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def _rendered(data: dict[str, Any]) -> bytes:
    """Return the content of a manifest file, which ends with a hash of the rest."""
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return json.dumps({**data, "sha256": digest}, indent=1).encode()
