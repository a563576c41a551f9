"""A tiny deterministic text encoder: every word is a hashed direction, a text is the sum of its words."""

import hashlib
import re
from functools import cache

import numpy as np

from ssp_env.search.encoders import Encoder

DIMENSION = 96


@cache
def word_vector(word):
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSION)


def encode(texts):
    vectors = np.zeros((len(texts), DIMENSION))
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.casefold())[:200]:
            vectors[row] += word_vector(word)
    return vectors.astype(np.float32)


HASHED_WORDS = Encoder("hashed words", encode)
