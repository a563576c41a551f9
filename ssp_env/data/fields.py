"""What a record says under the names that published data sets use: id, question and right answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssp_env.data.lines import shown

PASSAGE_ID_KEYS = ("id", "_id", "docid")
QUESTION_ID_KEYS = ("id", "_id", "qid", "question_id")
QUESTION_KEYS = ("question", "query")
ANSWER_KEYS = ("answer", "golden_answers", "answers", "possible_answers", "target")
"""Keys of right answers; where a record has several, they must agree."""
REWARD_KEYS = ("ground_truth", "reward_model")
"""Keys of verl's rows, which are read where there is none of `ANSWER_KEYS`."""
ALIAS_KEYS = ("aliases", "answer_aliases")
TASK_KEYS = frozenset(
    {*QUESTION_ID_KEYS, *QUESTION_KEYS, *ANSWER_KEYS, *REWARD_KEYS, *ALIAS_KEYS, "hops", "metadata"}
)
"""Every key that a question or an answer is read from."""
_NESTED_KEYS = ("target", "ground_truth", "text", "value")


def parse_id(record: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return the id of a record as text, from the first of the keys that it has.

    Raises:
        ValueError: If there is none, or it is neither a non-blank string nor an integer.

    >>> parse_id({"_id": "5a7a", "question": "Who?"}, QUESTION_ID_KEYS)
    '5a7a'
    """
    value = next((record[key] for key in keys if key in record), None)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f'expected a string or integer "id", got {shown(value)}')
    return str(value)


def parse_question(record: Mapping[str, Any]) -> str:
    """Return the question of a record.

    Raises:
        ValueError: If there is none, or it is blank or no string.
    """
    key = next((key for key in QUESTION_KEYS if key in record), None)
    if key is None:
        raise ValueError(
            f'expected a non-blank string "question", got the keys {sorted(record)}: rename the field that '
            "holds it"
        )
    text = record[key]
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f'expected a non-blank string "{key}", got {shown(text)}')
    return text


def parse_golds(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the right answers of a record, the answer proper first.

    An answer is text; a list of texts; `{"target": [...]}`, as verl has it; `{"text": [...]}`, as in SQuAD;
    or `{"value": ..., "aliases": [...]}`, as TriviaQA has it. Each may be JSON text. `aliases` and
    `answer_aliases` are added.

    Raises:
        ValueError: If there is none, one is blank or no text, or several keys disagree.

    >>> parse_golds({"answer": "Ceará", "answer_aliases": ["Ceara"]})
    ('Ceará', 'Ceara')
    """
    given = _given(record, ANSWER_KEYS) or _given(record, REWARD_KEYS)
    if not given:
        raise ValueError(
            f'expected "answer" or "golden_answers", got the keys {sorted(record)}: rename the field that '
            "holds the right answer"
        )
    found = {key: _texts(record[key], key) for key in given}
    (key, golds), *others = sorted(found.items(), key=lambda item: -len(item[1]))
    for other, texts in others:
        if not set(texts) <= set(golds):
            raise ValueError(
                f'expected right answers that agree, got {shown(golds)} as "{key}" and {shown(texts)} as '
                f'"{other}": leave one of them out'
            )
    if others and "answer" in found:
        golds = _unique((*found["answer"], *golds))
    aliases = [alias for name in ALIAS_KEYS if record.get(name) for alias in _texts(record[name], name)]
    return (*golds, *(alias for alias in dict.fromkeys(aliases) if alias not in golds))


def parse_metadata(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `metadata` of a record, an object or its JSON text; empty without it.

    Raises:
        ValueError: If it is anything else.
    """
    metadata = _decoded(record.get("metadata") or {})
    if not isinstance(metadata, dict):
        raise ValueError(f'expected an object "metadata", got {shown(metadata)}')
    return metadata


def _given(record: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Return the keys that hold right answers; those that are null only where no other is there."""
    # As a key of its own `target` means many things; a list under it is verl's.
    present = [
        key for key in keys if key in record and (key != "target" or isinstance(_decoded(record[key]), list))
    ]
    return [key for key in present if record[key] is not None] or present[:1]


def _texts(value: Any, key: str) -> tuple[str, ...]:
    """Return the texts that a value holds, at least one."""
    value = _decoded(value)
    if isinstance(value, dict):
        inner = next((name for name in _NESTED_KEYS if value.get(name) is not None), None)
        if inner is None or key in ALIAS_KEYS:
            raise ValueError(
                f'expected a non-empty list "{key}", got {shown(value)} with the keys {sorted(value)}'
            )
        aliases = _texts(value["aliases"], "aliases") if inner == "value" and value.get("aliases") else ()
        return _unique((*_texts(value[inner], key), *aliases))
    if key == "answer" and not isinstance(value, list):
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f'expected a non-blank string "answer", got {shown(value)}')
        return (value,)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ValueError(f'expected a non-empty list "{key}", got {shown(value)}')
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f'expected non-blank strings in "{key}", got {shown(text)}')
    return tuple(texts)


def _decoded(value: Any) -> Any:
    """Return the list or object that JSON text holds, as tables and some Parquet files have them."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        if value.strip().startswith(("['", "{'")):
            raise ValueError(
                f"expected text or JSON, got {shown(value)}, as Python prints it: write it by json.dumps"
            ) from None
        return value


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
