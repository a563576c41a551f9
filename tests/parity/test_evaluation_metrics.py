"""Exact match and F1 of 10,000 random pairs equal those of torchmetrics' SQuAD."""

import random
import string

import pytest

from baselines.evaluation.metrics import squad_exact_match, squad_f1
from ssp_env.scoring import exact_match, f1_score, normalize_answer

torchmetrics = pytest.importorskip("torchmetrics", reason="needs torchmetrics: make parity")
pytestmark = pytest.mark.filterwarnings("default")

PAIRS = 10_000
WORDS = (
    *("the", "a", "an", "The", "U.S.A.", "usa", "1,000", "1000", "don't", "dont", "O'Hara", "Paris", "paris"),
    *(
        "New",
        "York",
        "new-york",
        "café",
        "cafe",
        "Zürich",
        "北京",
        "yes",
        "no",
        "3.5",
        "35",
        "...",
        "-",
        "(film)",
    ),
)


def pairs(words=WORDS, letters=string.printable):
    rng = random.Random(0)

    def text():
        drawn = [rng.choice(words) for _ in range(rng.randrange(1, 5))]
        if rng.random() < 0.2:
            drawn.append("".join(rng.choice(letters) for _ in range(rng.randrange(6))))
        return rng.choice([" ", "  ", " \t"]).join(drawn)

    for _ in range(PAIRS):
        golds = [text() for _ in range(rng.randrange(1, 4))]
        yield (rng.choice(golds).upper() if rng.random() < 0.3 else text()), golds


def expected(prediction, golds):
    from torchmetrics.functional.text.squad import (
        _compute_exact_match_score,
        _compute_f1_score,
        _metric_max_over_ground_truths,
    )

    exact = _metric_max_over_ground_truths(_compute_exact_match_score, prediction, golds)
    f1 = _metric_max_over_ground_truths(_compute_f1_score, prediction, golds)
    return float(exact), float(f1)


def test_exact_match_and_f1_are_those_of_squad():
    agreed = 0
    for prediction, golds in pairs():
        exact, f1 = expected(prediction, golds)
        assert float(squad_exact_match(prediction, golds)) == exact, (prediction, golds)
        assert squad_f1(prediction, golds) == pytest.approx(f1, abs=1e-6), (prediction, golds)
        agreed += exact
    assert 1000 < agreed < 9000


def test_ours_differ_only_where_they_say_so():
    """Folded code points, answers of which nothing is left, and yes and no."""
    plain = [
        word for word in WORDS if word.isascii() and normalize_answer(word) and word not in ("yes", "no")
    ]
    for prediction, golds in pairs(plain, string.ascii_letters):
        exact, f1 = expected(prediction, golds)
        if not all(map(normalize_answer, (prediction, *golds))):
            continue
        assert float(exact_match(prediction, golds)) == exact, (prediction, golds)
        assert f1_score(prediction, golds) == pytest.approx(f1, abs=1e-6), (prediction, golds)


def test_the_public_metric_gives_the_means():
    from torchmetrics.text import SQuAD

    drawn = list(pairs())[:500]
    metric = SQuAD()
    metric.update(
        [{"prediction_text": prediction, "id": str(n)} for n, (prediction, _) in enumerate(drawn)],
        [
            {"answers": {"answer_start": [0] * len(golds), "text": golds}, "id": str(n)}
            for n, (_, golds) in enumerate(drawn)
        ],
    )
    found = metric.compute()
    exact = sum(squad_exact_match(*pair) for pair in drawn) / 5
    f1 = sum(squad_f1(*pair) for pair in drawn) / 5
    assert float(found["exact_match"]) == pytest.approx(exact, abs=1e-3)
    assert float(found["f1"]) == pytest.approx(f1, abs=1e-3)
