"""Encoders of texts as vectors for dense retrieval: any function, or a sentence-transformers model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssp_env.game.passage import Passage
from ssp_env.objects import missing_extra

_MODEL_FILE = "modules.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Encoder:
    """A text encoder with the conventions it was trained with.

    Attributes:
        name: Name of the encoder in the fingerprint of an index; it must change with the weights.
        encode: Function from n texts to n vectors, float32 of shape (n, d), whatever the order of the texts.
        query_prefix: Put before every query, `query: ` for the E5 models.
        passage_prefix: Put before every passage, `passage: ` for the E5 models.
        normalize: Scale vectors to length 1, so that scores are cosines.

    >>> def lengths(texts):
    ...     return np.array([[len(text), 3] for text in texts], np.float32)
    >>> print(Encoder("lengths", lengths).queries(["four"]))
    [[0.8 0.6]]
    """

    name: str
    encode: Callable[[Sequence[str]], NDArray[np.float32]]
    query_prefix: str = ""
    passage_prefix: str = ""
    normalize: bool = True

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of queries, float32 of shape (n, d)."""
        return self.vectors([self.query_prefix + text for text in texts])

    def passages(self, passages: Sequence[Passage]) -> NDArray[np.float32]:
        """Return the vectors of passages, title and text, float32 of shape (n, d)."""
        return self.vectors([self.passage_text(page) for page in passages])

    def passage_text(self, passage: Passage) -> str:
        """Return what stands for a passage: the prefix, its title and its text."""
        return f"{self.passage_prefix}{passage.title}\n{passage.text}"

    def settings(self) -> str:
        """Return one line with everything that the vectors depend on."""
        return f"{self.name} {self.query_prefix!r} {self.passage_prefix!r} normalize={self.normalize}"

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts as they are, without a prefix, float32 of shape (n, d).

        Raises:
            ValueError: If the encoder returns anything but finite float32 vectors, one for each text.
        """
        encodable = [text.encode("utf-8", "replace").decode() for text in texts]
        # Equal texts are encoded once: in another batch their vectors could differ in the last bits.
        distinct = list(dict.fromkeys(encodable))
        vectors = np.asarray(self.encode(distinct))
        if vectors.ndim != 2 or len(vectors) != len(distinct) or not vectors.shape[1]:
            raise ValueError(
                f"{self.name}: expected vectors of shape ({len(distinct)}, d), got {vectors.shape}"
            )
        if vectors.dtype != np.float32:
            raise ValueError(f"{self.name}: expected float32 vectors, got {vectors.dtype}")
        if not np.isfinite(vectors).all():
            raise ValueError(f"{self.name}: expected finite vectors, got NaN or infinity")
        if self.normalize:
            # A text that is encoded as zeros stays there and scores 0 with everything.
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        rows = {text: row for row, text in enumerate(distinct)}
        return np.ascontiguousarray(vectors[[rows[text] for text in encodable]], dtype=np.float32)


def sentence_transformer(
    model: str | os.PathLike[str],
    *,
    query_prefix: str = "",
    passage_prefix: str = "",
    normalize: bool = True,
    batch_size: int = 32,
    device: str | None = None,
    dtype: str | None = None,
) -> Encoder:
    """Load a sentence-transformers model from a folder, or from an installed package that carries one.

    Nothing is downloaded, no code of the model is run, and weights are read from safetensors only.

    Args:
        model: A folder as `SentenceTransformer.save` writes it, or the import name of a package with such
            a folder inside.
        query_prefix: See `Encoder`.
        passage_prefix: See `Encoder`.
        normalize: See `Encoder`.
        batch_size: Texts encoded at a time.
        device: As in torch; chosen by sentence-transformers when None.
        dtype: Number format in which the model computes, such as `bfloat16`; that of its weights if None.
            Vectors are float32.

    Raises:
        FileNotFoundError: If there is no such folder, or no model in the package.
        ModuleNotFoundError: If sentence-transformers is missing; the message names the extra.
    """
    folder = _model_folder(model)
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError as error:
        raise missing_extra("sentence-transformers", "dense") from error
    loaded: Any = SentenceTransformer(
        str(folder),
        device=device,
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs={"use_safetensors": True, **({"dtype": dtype} if dtype else {})},
    )

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        found = loaded.encode(
            list(texts), batch_size=batch_size, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(found, dtype=np.float32)

    name = " ".join(filter(None, (_weights_hash(folder), dtype)))
    return Encoder(name, encode, query_prefix, passage_prefix, normalize)


def _model_folder(model: str | os.PathLike[str]) -> Path:
    folder = Path(model)
    if (folder / _MODEL_FILE).is_file():
        return folder
    spec = find_spec(str(model)) if str(model).isidentifier() else None
    for location in (spec.submodule_search_locations or []) if spec else []:
        for found in sorted(Path(location).rglob(_MODEL_FILE)):
            return found.parent
    raise FileNotFoundError(
        f"expected a folder with a sentence-transformers model ({_MODEL_FILE}), or the name of an installed "
        f"package that holds one, got {str(model)!r}"
    )


def _weights_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".json", ".safetensors", ".txt"}:
            digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
    return digest.hexdigest()
