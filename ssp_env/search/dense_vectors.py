"""Vectors of a corpus, encoded in pieces: progress is told, pieces are saved, and a killed build goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.search.encoders import Encoder

Vectors: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[str, int, int], object]
"""Called with the stage, how much of it is done and how much there is."""

PIECE = 1024
"""Distinct texts that are encoded at a time; what a killed build may lose."""
_STAGE = "Encoding"
_DONE, _ROWS, _LOCK = "encoded.json", "encoded.bin", "lock"


def encode(passages: Sequence[Passage], encoder: Encoder, progress: Progress) -> Vectors:
    """Return the vectors of passages, float32 of shape (n, d), in memory.

    They are those that `resumed` writes: the texts of a piece are the same whatever was done before.

    Raises:
        ValueError: If the encoder returns anything but finite float32 vectors of one dimension.
    """
    texts, rows = _distinct(passages, encoder)
    pieces: list[Vectors] = []
    for start in range(0, len(texts), PIECE):
        pieces.append(_piece(texts, start, encoder, pieces[0].shape[1] if pieces else None))
        progress(_STAGE, min(start + PIECE, len(texts)), len(texts))
    return np.ascontiguousarray(np.concatenate(pieces)[rows])


def resumed(
    passages: Sequence[Passage],
    encoder: Encoder,
    folder: Path,
    identity: Mapping[str, Any],
    progress: Progress,
) -> Iterator[Vectors]:
    """Yield the vectors of passages by pieces of rows; they are encoded first, or what is left of them.

    Args:
        passages: The corpus.
        encoder: Makes the vectors.
        folder: Where they are saved as they come, and found again after a kill.
        identity: Plain data; what was saved for another corpus or encoder is done anew.
        progress: Told of every piece that is saved.

    Raises:
        ValueError: If the encoder returns anything but finite float32 vectors of one dimension.
    """
    texts, rows = _distinct(passages, encoder)
    done, dimension = _saved(folder, identity)
    with (folder / _ROWS).open("r+b" if done else "wb") as file:
        file.truncate(done * (dimension or 0) * np.float32().itemsize)
        file.seek(0, os.SEEK_END)
        progress(_STAGE, done, len(texts))
        for start in range(done, len(texts), PIECE):
            piece = _piece(texts, start, encoder, dimension)
            done, dimension = start + len(piece), piece.shape[1]
            file.write(piece.tobytes())
            file.flush()
            os.fsync(file.fileno())
            _write_aside(folder / _DONE, {"identity": identity, "done": done, "dimension": dimension})
            progress(_STAGE, done, len(texts))
    encoded = np.memmap(folder / _ROWS, np.float32, "r", shape=(len(texts), dimension or 0))
    for start in range(0, len(rows), PIECE):
        yield encoded[rows[start : start + PIECE]]


def clear(folder: Path) -> None:
    """Remove what `resumed` needs no more."""
    for name in (_DONE, _ROWS, _LOCK):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def workshop(target: Path) -> Iterator[Path]:
    """Keep the folder beside `target` in which a build works, `.NAME.building`, to itself.

    It stays if the build is interrupted, and is removed if nothing was encoded.

    Raises:
        ValueError: If another process is building there.
    """
    folder = target.with_name(f".{target.name}.building")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"another process is building the index in {folder}") from error
    try:
        yield folder
    finally:
        lock.release()
        if folder.exists() and not (folder / _DONE).exists():
            shutil.rmtree(folder)


def _distinct(passages: Sequence[Passage], encoder: Encoder) -> tuple[list[str], NDArray[np.int64]]:
    """The texts to encode, each once, and for each passage which of them is its own."""
    # Equal texts are encoded once: in another batch their vectors could differ in the last bits.
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(encoder.passage_text(page), len(numbers)) for page in passages]
    return list(numbers), np.array(rows)


def _piece(texts: Sequence[str], start: int, encoder: Encoder, dimension: int | None) -> Vectors:
    vectors = encoder.vectors(texts[start : start + PIECE])
    if dimension is not None and vectors.shape[1] != dimension:
        raise ValueError(
            f"{encoder.name}: expected vectors of dimension {dimension} as before, got {vectors.shape[1]}"
        )
    return vectors


def _saved(folder: Path, identity: Mapping[str, Any]) -> tuple[int, int | None]:
    """How many texts an earlier build of the same vectors saved, and their dimension."""
    try:
        found = json.loads((folder / _DONE).read_text())
        done, dimension = int(found["done"]), int(found["dimension"])
        whole = (folder / _ROWS).stat().st_size >= done * dimension * np.float32().itemsize
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None
    return (done, dimension) if whole and found["identity"] == identity else (0, None)


def _write_aside(path: Path, data: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(data))
    os.replace(aside, path)
