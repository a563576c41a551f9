"""Every check of an engine catches an engine that is broken in just this way, and says what, and why."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ssp_env.game.passage import Passage
from ssp_env.search.bm25 import BM25Engine
from ssp_env.testing import ConformanceError, check_engine, check_fixed_engine
from ssp_env.testing.engines import PASSAGES, QUERIES


class WordCount:
    """A right engine of a few lines: the words a page shares with the query, ties by id."""

    def __init__(self, passages: Sequence[Passage]):
        self.passages = sorted(passages, key=lambda passage: passage.id)

    def words(self, text):
        return set(re.findall(r"\w+", text.casefold()))

    def hits(self, query):
        asked = self.words(query)
        found = [(len(asked & self.words(f"{p.title} {p.text}")), p) for p in self.passages]
        ranked = sorted(((score, p) for score, p in found if score), key=lambda hit: (-hit[0], hit[1].id))
        return [replace(passage, score=float(score)) for score, passage in ranked]

    def search(self, queries, top_k):
        return [self.hits(query)[:top_k] for query in queries]

    def fingerprint(self):
        return repr(self.passages)

    def sample(self, rng, count, exclude=()):
        left = [passage for passage in self.passages if passage.id not in exclude]
        return [left[index] for index in rng.permutation(len(left))[:count]]


class Raises(WordCount):
    def search(self, queries, top_k):
        return [self.hits(re.compile(query).pattern)[:top_k] for query in queries]


class OneListTooFew(WordCount):
    def search(self, queries, top_k):
        return super().search(list(dict.fromkeys(queries)), top_k)


class Tuples(WordCount):
    def search(self, queries, top_k):
        return [tuple(hits) for hits in super().search(queries, top_k)]


class Dictionaries(WordCount):
    def search(self, queries, top_k):
        return [[{"id": hit.id} for hit in hits] for hits in super().search(queries, top_k)]


class Infinite(WordCount):
    def hits(self, query):
        return [replace(hit, score=float("inf")) for hit in super().hits(query)]


class TiesBackwards(WordCount):
    def hits(self, query):
        return sorted(super().hits(query), key=lambda hit: (-hit.score, [-ord(sign) for sign in hit.id]))


class WorstFirst(WordCount):
    def hits(self, query):
        return super().hits(query)[::-1]


class Repeats(WordCount):
    def hits(self, query):
        found = super().hits(query)
        return found[:1] + found


class IgnoresTopK(WordCount):
    def search(self, queries, top_k):
        return super().search(queries, 4)


class RanksByTopK(WordCount):
    def search(self, queries, top_k):
        found = super().search(queries, 1000)
        return [sorted(hits[-top_k:], key=lambda hit: (-hit.score, hit.id)) for hits in found]


class MixesUpBatches(WordCount):
    def search(self, queries, top_k):
        return super().search(sorted(queries), top_k)


class ScoresByCompany(WordCount):
    def search(self, queries, top_k):
        return [
            [replace(hit, score=hit.score / len(queries)) for hit in hits]
            for hits in super().search(queries, top_k)
        ]


class NeedsAQuery(WordCount):
    def search(self, queries, top_k):
        return super().search([queries[0], *queries[1:]], top_k)


class EmptiesTheQueries(WordCount):
    def search(self, queries, top_k):
        found = super().search(queries, top_k)
        queries.sort()
        return found


class HandsOutItsCache(WordCount):
    def __init__(self, passages):
        super().__init__(passages)
        self.cache = {}

    def search(self, queries, top_k):
        return [
            self.cache.setdefault((query, top_k), hits)
            for query, hits in zip(queries, super().search(queries, top_k))
        ]


class ForgetsBesideEmptyQueries(WordCount):
    def search(self, queries, top_k):
        found = super().search(queries, top_k)
        return [[] for _ in queries] if "" in queries else found


class NoFingerprint(WordCount):
    fingerprint = None


class EmptyFingerprint(WordCount):
    def fingerprint(self):
        return ""


class CountingFingerprint(WordCount):
    searches = 0

    def search(self, queries, top_k):
        self.searches += 1
        return super().search(queries, top_k)

    def fingerprint(self):
        return str(self.searches)


class FingerprintOfTheObject(WordCount):
    def fingerprint(self):
        return str(id(self))


class FingerprintOfTheSize(WordCount):
    def fingerprint(self):
        return str(len(self.passages))


class FingerprintOfTheIds(WordCount):
    def fingerprint(self):
        return "one for all"


class CutsTexts(WordCount):
    def hits(self, query):
        return [replace(hit, text=hit.text[:20]) for hit in super().hits(query)]


class CannotReadLongQueries(WordCount):
    def hits(self, query):
        return super().hits(query if len(query) < 40 else "walnuts")


class ScoresByPosition(WordCount):
    def __init__(self, passages):
        super().__init__(passages)
        self.position = {passage.id: number for number, passage in enumerate(passages)}

    def hits(self, query):
        found = [replace(hit, score=hit.score - 1e-9 * self.position[hit.id]) for hit in super().hits(query)]
        return sorted(found, key=lambda hit: -hit.score)


class SamplesTooMany(WordCount):
    def sample(self, rng, count, exclude=()):
        return super().sample(rng, count + 1, exclude)


class SamplesNothing(WordCount):
    def sample(self, rng, count, exclude=()):
        return []


class SamplesTwice(WordCount):
    def sample(self, rng, count, exclude=()):
        return [self.passages[0]] * count


class SamplesWithoutTheSeed(WordCount):
    rng = np.random.default_rng(0)

    def sample(self, rng, count, exclude=()):
        return super().sample(self.rng, count, exclude)


class SamplesAlwaysTheSame(WordCount):
    def sample(self, rng, count, exclude=()):
        return super().sample(np.random.default_rng(0), count, exclude)


class SamplesTheExcluded(WordCount):
    def sample(self, rng, count, exclude=()):
        return super().sample(rng, count)


class SamplesGlobally(WordCount):
    def sample(self, rng, count, exclude=()):
        np.random.random()  # noqa: NPY002 - what the check is there to catch
        return super().sample(rng, count, exclude)


class SamplesIds(WordCount):
    def sample(self, rng, count, exclude=()):
        return [passage.id for passage in super().sample(rng, count, exclude)]


BROKEN = {
    Raises: "strange queries",
    OneListTooFew: "one list per query",
    Tuples: "a list of lists of passages",
    Dictionaries: "Passage objects",
    Infinite: "finite scores",
    TiesBackwards: "ranking",
    WorstFirst: "ranking",
    Repeats: "distinct passages",
    IgnoresTopK: "top_k",
    RanksByTopK: "the first 1 of a longer result",
    MixesUpBatches: "batches",
    ScoresByCompany: "the same scores",
    NeedsAQuery: "batches",
    EmptiesTheQueries: "repetition: expected the list of queries unchanged",
    HandsOutItsCache: "after the first result was emptied",
    ForgetsBesideEmptyQueries: "beside strange queries",
    NoFingerprint: "without fingerprint",
    EmptyFingerprint: "a non-empty string",
    CountingFingerprint: "the same fingerprint after searching",
    FingerprintOfTheObject: "a second engine over the same corpus",
    FingerprintOfTheSize: "with one sentence more",
    FingerprintOfTheIds: "another fingerprint for a corpus",
    CutsTexts: "a complete passage of the corpus",
    CannotReadLongQueries: "retrieval",
    ScoresByPosition: "ties",
    SamplesTooMany: "at most 4 passages",
    SamplesNothing: "passages of the corpus",
    SamplesTwice: "no passage twice",
    SamplesWithoutTheSeed: "equally seeded generators",
    SamplesAlwaysTheSame: "different passages for different seeds",
    SamplesTheExcluded: "none of the excluded passages",
    SamplesGlobally: "unchanged global random state of NumPy",
    SamplesIds: "a list of passages",
}


@pytest.mark.parametrize("make_engine", [WordCount, BM25Engine])
def test_right_engines_pass(make_engine):
    check_engine(make_engine)
    check_fixed_engine(make_engine(PASSAGES), QUERIES)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_engine_is_caught(broken):
    with pytest.raises(ConformanceError) as error:
        check_engine(broken)
    assert BROKEN[broken] in str(error.value)
    assert re.search(r"expected .*; got .*\. Why it matters: .*\.", str(error.value), flags=re.DOTALL)


def test_an_engine_that_cannot_be_built_is_caught():
    with pytest.raises(
        ConformanceError, match="construction: expected an engine over 8 passages; got ZeroDiv"
    ):
        check_engine(lambda passages: 1 / 0)


def test_queries_that_find_nothing_and_too_few_queries_are_told():
    engine = WordCount(PASSAGES)
    with pytest.raises(ConformanceError, match="pass queries that find some"):
        check_fixed_engine(engine, ["mayor", "qqq"])
    with pytest.raises(ValueError, match="at least two different queries"):
        check_fixed_engine(engine, ["mayor", "mayor"])


def test_an_engine_that_cannot_sample_passes():
    class NoNoise:
        def __init__(self, passages):
            self._engine = WordCount(passages)
            self.search, self.fingerprint = self._engine.search, self._engine.fingerprint

    check_engine(NoNoise)


def test_the_kit_needs_no_pytest():
    code = "import sys; sys.modules['pytest'] = None; import ssp_env.testing"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_retriever_is_checked_as_the_engine_it_becomes():
    class Retriever:
        def __init__(self, passages):
            self.engine = BM25Engine(passages)

        def invoke(self, query):
            return self.engine.search([query], 3)[0]

    check_fixed_engine(Retriever(PASSAGES), QUERIES)
    with pytest.raises(
        ConformanceError, match="fingerprint: expected the same fingerprint for a second engine"
    ):
        check_engine(Retriever)
