"""Comparing answers with golds, reading verdicts, and the uncertainty of what comes out."""

from ssp_env.scoring.intervals import wilson_interval
from ssp_env.scoring.matching import cover_exact_match, exact_match, f1_score
from ssp_env.scoring.normalize import fold_disguises, normalize_answer
from ssp_env.scoring.verdict import parse_verdict

__all__ = [
    "cover_exact_match",
    "exact_match",
    "f1_score",
    "fold_disguises",
    "normalize_answer",
    "parse_verdict",
    "wilson_interval",
]
