"""The requests that `/retrieve` understands, and how their replies are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import msgpack
from pydantic import BaseModel, Field, ValidationError, model_validator

from ssp_env.game.passage import Passage
from ssp_env.search.documents import to_document
from ssp_env.serve.access import DEFAULT_TOP_K, Limits

JSON, MSGPACK = "application/json", "application/msgpack"


class RetrieveRequest(BaseModel):
    """A search: `queries` as in Search-R1 or one `query` as in SkyRL-Gym; other keys are ignored."""

    queries: list[str] | None = None
    query: str | None = None
    topk: Annotated[int, Field(ge=1)] | None = Field(None, description=f"Default: {DEFAULT_TOP_K}.")
    return_scores: bool = False

    @model_validator(mode="after")
    def _one_kind_of_query(self) -> RetrieveRequest:
        if (self.queries is None) == (self.query is None):
            raise ValueError('expected either the list "queries" or the string "query"')
        return self

    @property
    def texts(self) -> list[str]:
        """The queries, however they were sent."""
        return self.queries if self.query is None else [self.query]  # type: ignore[return-value]

    def check(self, limits: Limits) -> None:
        """Raise a ValueError that says which limit is exceeded and what it is."""
        top_k = self.topk or DEFAULT_TOP_K
        if len(self.texts) > limits.max_queries:
            raise ValueError(f"expected at most {limits.max_queries:,} queries, got {len(self.texts):,}")
        if top_k > limits.max_top_k:
            raise ValueError(f"expected topk to be at most {limits.max_top_k}, got {top_k}")
        longest = max(map(len, self.texts), default=0)
        if longest > limits.max_query_chars:
            raise ValueError(
                f"expected queries of at most {limits.max_query_chars:,} characters, got {longest:,}"
            )


def is_msgpack(body: bytes) -> bool:
    """Whether a body is msgpack, whose maps begin with a byte that JSON never begins with."""
    return bool(body) and (0x80 <= body[0] <= 0x8F or body[0] in (0xDE, 0xDF))


def read_request(body: bytes) -> RetrieveRequest:
    """Decode and check a request in JSON or msgpack.

    Raises:
        ValueError: If it is neither, or is not a search; the message does not repeat long input.
    """
    try:
        if is_msgpack(body):
            return RetrieveRequest.model_validate(msgpack.unpackb(body))
        return RetrieveRequest.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise ValueError(
            "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
                for problem in problems[:3]
            )
        ) from None
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"body: expected a msgpack map ({type(error).__name__})") from None


def write_reply(request: RetrieveRequest, rankings: Sequence[Sequence[Passage]], packed: bool) -> bytes:
    """Encode a reply; `result` is flat for a msgpack `query`, as GEM reads it, and else nested."""
    result: list[Any] = [[_item(passage, request.return_scores) for passage in hits] for hits in rankings]
    if not packed:
        return json.dumps({"result": result}, separators=(",", ":")).encode()
    flat = request.query is not None
    encoded: bytes = msgpack.packb({"result": result[0] if flat else result}, unicode_errors="replace")
    return encoded


def _item(passage: Passage, scored: bool) -> dict[str, Any]:
    document = to_document(passage)
    return {"document": document, "score": passage.score} if scored else document
