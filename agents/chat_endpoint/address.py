"""Where an endpoint is and which key opens it; keys live in the environment and nowhere else."""

from __future__ import annotations

import os

import httpx

BASE_URL_VARIABLE = "OPENAI_BASE_URL"
API_KEY_VARIABLE = "OPENAI_API_KEY"
DEFAULT_BASE_URL = "https://api.openai.com/v1"


def endpoint_url(base_url: str | None) -> httpx.URL:
    """Return the address to build requests from; the environment's `OPENAI_BASE_URL` if None.

    Raises:
        ValueError: If it is no HTTP address, or holds what may be secret.

    >>> endpoint_url("http://127.0.0.1:8000/v1/chat/completions")
    URL('http://127.0.0.1:8000/v1')
    """
    given = base_url or os.environ.get(BASE_URL_VARIABLE) or DEFAULT_BASE_URL
    expected = "expected the address of a chat endpoint, such as http://127.0.0.1:8000/v1"
    try:
        url = httpx.URL(given)
    except httpx.InvalidURL as error:
        raise ValueError(f"{expected}: {error}") from None
    if url.userinfo or url.query or url.fragment:
        raise ValueError(f"{expected}, without user, password and parameters: keys come from the environment")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{expected}, got {given!r}")
    return url.copy_with(path=url.path.rstrip("/").removesuffix("/chat/completions"))


def read_key(variable: str) -> str:
    """Return the key in an environment variable; empty if `OPENAI_API_KEY` is unset, as local servers allow.

    Raises:
        ValueError: If another variable is unset, or holds what cannot be a key, which is not repeated.
    """
    key = os.environ.get(variable, "").strip()
    if not key and variable != API_KEY_VARIABLE:
        raise ValueError(f"set the environment variable {variable} to the key of the chat endpoint")
    if not (key.isascii() and key.isprintable() and " " not in key) and key:
        raise ValueError(f"expected printable ASCII without spaces in the environment variable {variable}")
    return key
