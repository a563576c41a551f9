"""What the codes of a game mean, in a phrase each, for pages that people read."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "malformed": "the proposer wrote no complete action too often",
    "turn_limit": "the proposer used up its turns without a question",
    "token_limit": "the proposer used up its tokens without a question",
    "too_short": "the question has too few characters",
    "too_long": "the question has too many characters",
    "too_few_words": "the question has too few words",
    "answer_leak": "the question names its answer",
    "about_documents": "the question points at passages that only the reader is given",
    "no_evidence": "no search of the proposer found anything",
    "too_few_searches": "the proposer searched too few times",
    "repeated_search": "the proposer searched the same words twice",
    "answer_in_search": "a search of the proposer names the answer",
    "wrong_hop_count": "the number of searches does not fit the number of hops",
    "near_duplicate": "the question is too similar to an earlier one",
    "no_reading": "the reader gave no answer",
    "unquoted": "the reader quoted too little of what its answer rests on",
    "misquoted": "the reader quoted what stands in no passage that it was shown",
    "not_recovered": "the reader did not find the answer in the evidence",
    "closed_book": "the reader knew the answer without any passage",
    "not_unique": "the reader found another answer beside the right one",
    "not_confirmed": "the second reading did not find the answer",
    "solved": "a valid question that at least one attempt of the solver answered",
    "unsolved": "a valid question that no attempt of the solver answered",
    "error": "infrastructure failed, so that nobody is paid",
    "unknown": "scored again by rules for which the record does not tell the outcome",
}
"""Every `Outcome.reason`, and `unknown` for records that a rescoring left without an outcome."""
