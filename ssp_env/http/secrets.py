"""Keys of services are cut out of what the services send back, of errors and of logs: the one place for it.

A service may echo its key as it is, escaped for JSON, for an address or for HTML, in base64 or in hexadecimal
digits, or cut off. `HTTPService` cleans every reply and every exception before anybody else sees them.
"""

from __future__ import annotations

import logging
import re
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5

import httpx

REDACTED = "[API key]"
LEAST_KEY_CHARACTERS = 8
"""Shorter keys are left in replies of status 2xx, where they may be ordinary words, and cut out of errors."""
_LEAST_PIECE = 8
_MOST_ERROR_BYTES, _LONGEST_ESCAPED_KEY = 1 << 16, 1 << 12
_LOGGERS = ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")))
_SECRET_NAME = re.compile(
    r"(?:^|[-_])(?:authorization|api-?key|apikey|key|token|secret|password|cookie|credential|signature)$",
    re.IGNORECASE,
)
_ENTITIES = {
    name.rstrip(";"): sign for name, sign in html5.items() if len(sign) == 1 and sign.isascii() and sign > " "
}
_ESCAPE_MARKS = ("\\", "%", "&")
_MOST_ROUNDS = 3


def redact(text: str, secrets: Iterable[str], *, pieces: bool = True) -> str:
    """Cut secrets out of a text, in whatever way they are escaped in it.

    Give it a whole text, and shorten it afterwards: what is left of a secret may be too short to be known.

    Args:
        text: Any text.
        secrets: What may not be in it, such as API keys; empty ones are ignored.
        pieces: Whether beginnings and ends of at least 8 characters and any half are cut out too.

    >>> redact("the key sk-1234567890 is wrong", ["sk-1234567890"])
    'the key [API key] is wrong'
    >>> redact("?key=sk%2D1234567890&page=1", ["sk-1234567890"])
    '?key=[API key]&page=1'
    >>> redact("you sent sk-1234567...", ["sk-1234567890"])
    'you sent [API key]...'
    """
    for secret in secrets:
        if secret:
            text = _redact_one(text, secret, pieces)
    return text


def redact_reply(body: bytes, secrets: Iterable[str], *, is_error: bool) -> bytes:
    """Cut secrets out of the body of a reply; out of one that is no error, whole and long ones only.

    Of an error with more than 64 KiB, whose beginning is all that anybody shows, only the beginning is kept.
    """
    kept = [secret for secret in secrets if is_error or len(secret) >= LEAST_KEY_CHARACTERS]
    if not kept:
        return body
    text = body.decode("latin-1")
    is_cut = is_error and len(text) > _MOST_ERROR_BYTES
    cleaned = redact(text[:_MOST_ERROR_BYTES] if is_cut else text, kept, pieces=is_error)
    if is_cut:
        cleaned = cleaned[:-_LONGEST_ESCAPED_KEY]
    return body if cleaned is text else cleaned.encode("latin-1")


def secrets_of(request: httpx.Request) -> tuple[str, ...]:
    """Return what is secret in a request: keys and tokens in its headers and its address.

    >>> secrets_of(httpx.Request("GET", "http://a/?key=1234&page=2", headers={"Authorization": "Bearer abc"}))
    ('abc', '1234')
    """
    found: list[str] = []
    for name, value in request.headers.items():
        if _SECRET_NAME.search(name):
            scheme, _, credentials = value.partition(" ")
            found.append(credentials.strip() or value)
            if scheme.lower() == "basic":
                found += _basic_password(credentials)
    found += [value for name, value in request.url.params.multi_items() if _SECRET_NAME.search(name)]
    found.append(request.url.password)
    return tuple(dict.fromkeys(secret for secret in found if secret))


def clean_error(error: Exception, secrets: Iterable[str]) -> Exception:
    """Return an exception of httpx or the like without secrets in its message and without its request.

    It has no cause, context or notes either. To keep it so, raise it outside of the `except` block.
    """
    return type(error)(redact(str(error), secrets))


@contextmanager
def kept_out_of_logs(secrets: Sequence[str]) -> Iterator[None]:
    """Cut secrets out of what httpx and httpcore log in this task while the block runs."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter_record)
    token = _unlogged.set((*_unlogged.get(), *secrets))
    try:
        yield
    finally:
        _unlogged.reset(token)


_unlogged: ContextVar[tuple[str, ...]] = ContextVar("unlogged", default=())


def _filter_record(record: logging.LogRecord) -> bool:
    if secrets := _unlogged.get():
        record.msg, record.args = redact(record.getMessage(), secrets), ()
    return True


def _basic_password(credentials: str) -> list[str]:
    try:
        return [b64decode(credentials).decode().partition(":")[2]]
    except ValueError:
        return []


@dataclass(frozen=True)
class _Form:
    """One way in which a secret may be written, escapes aside.

    Attributes:
        text: The secret written so.
        margins: Whether one more character before it, and after it, holds bits of the secret.
    """

    text: str
    margins: tuple[bool, bool] = (False, False)


@lru_cache(maxsize=64)
def _escape(secret: str) -> re.Pattern[str]:
    """The escapes that a secret may be written with; repetitions are bounded, so that no text takes long."""
    # JSON escapes quotes and backslashes; that of PHP, slashes too, which base64 has.
    slashed = re.escape("".join({"/"} | (set(secret) & set("\"'\\"))))
    return re.compile(
        rf"\\{{1,8}}(?:u00([2-7][0-9a-fA-F])|x([2-7][0-9a-fA-F])|(?=[{slashed}])(.))"
        r"|%(?:25){0,4}([2-7][0-9a-fA-F])"
        r"|&(?:amp;){0,4}(?:\#[xX]0{0,6}([2-7][0-9a-fA-F])|\#0{0,6}([0-9]{2,3})|([a-zA-Z]{2,6}));"
    )


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[_Form, ...]:
    data = secret.encode("utf-8", "surrogatepass")
    # UTF-16 in either order.
    plain = (secret, secret.lower(), secret.upper(), data.hex(), data.hex().upper(), "\0".join(secret))
    forms = [*map(_Form, plain)]
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + data).decode()
        # The characters at either end depend on what is around the secret.
        core = encoded[(0, 2, 3)[shift] : 8 * (shift + len(data)) // 6]
        margins = (shift > 0, 8 * (shift + len(data)) % 6 > 0)
        forms += [_Form(text, margins) for text in (core, core.replace("+", "-").replace("/", "_"))]
    return tuple(form for form in dict.fromkeys(forms) if len(form.text) >= min(len(secret), 4))


def _redact_one(text: str, secret: str, pieces: bool) -> str:
    views = [_View(text)]
    while len(views) <= _MOST_ROUNDS and (view := views[-1].unescaped(_escape(secret))) is not None:
        views.append(view)
    spans = sorted(
        (view.origin(start), view.origin(end - 1, last=True))
        for view in views
        for form in _forms(secret)
        for start, end in _found(view.text, form, pieces)
    )
    if not spans:
        return text
    kept, place = [], 0
    for start, end in spans:
        if start >= place:
            kept += [text[place:start], REDACTED]
        place = max(place, end)
    return "".join([*kept, text[place:]])


class _View:
    """A text with its escapes read, which knows where every character comes from."""

    def __init__(self, text: str, before: _View | None = None) -> None:
        self.text = text
        self._before = before
        # Escapes: where each one's character stands here, and where it starts and ends in the text before.
        self.places: list[int] = []
        self.ranges: list[tuple[int, int]] = []

    def unescaped(self, escape: re.Pattern[str]) -> _View | None:
        """Return the text with one more layer of escapes read; None if there is none."""
        if not any(mark in self.text for mark in _ESCAPE_MARKS):
            return None
        parts: list[str] = []
        made = _View("", self)
        place, length = 0, 0
        for match in escape.finditer(self.text):
            sign = _sign_of(match)
            if sign:
                parts += [self.text[place : match.start()], sign]
                length += match.start() - place + 1
                made.places.append(length - 1)
                made.ranges.append(match.span())
                place = match.end()
        if not parts:
            return None
        made.text = "".join([*parts, self.text[place:]])
        return made

    def origin(self, place: int, *, last: bool = False) -> int:
        """Return where a character starts, or ends, in the text that was read first."""
        if self._before is None:
            return place + last
        before = bisect_right(self.places, place) - 1
        if before < 0:
            return self._before.origin(place, last=last)
        start, end = self.ranges[before]
        past = place - self.places[before]
        if past:
            return self._before.origin(end + past - 1, last=last)
        return self._before.origin(end - 1, last=True) if last else self._before.origin(start)


def _sign_of(match: re.Match[str]) -> str:
    """The character that an escape stands for; empty if it stands for none that is printed."""
    unicode, hexed, slashed, percent, entity_hex, entity_decimal, entity_name = match.groups()
    if slashed:
        return slashed
    if entity_name:
        return _ENTITIES.get(entity_name, "")
    number = int(entity_decimal) if entity_decimal else int(unicode or hexed or percent or entity_hex, 16)
    return chr(number) if 0x20 < number < 0x7F else ""


def _found(text: str, form: _Form, pieces: bool) -> Iterator[tuple[int, int]]:
    """Yield where a form, or a piece of it that gives it away, begins and ends in a text."""
    seeds = _seeds(len(form.text)) if pieces else [(0, len(form.text))]
    for first, size in seeds:
        seed = form.text[first : first + size]
        place = text.find(seed)
        while place >= 0:
            start, end = _extended(text, form.text, place, first, size)
            if _gives_away(form.text, first - (place - start), end - start):
                before, after = form.margins
                yield max(0, start - before), min(len(text), end + after)
            place = text.find(seed, max(end, place + 1))


def _seeds(length: int) -> list[tuple[int, int]]:
    """Where to look for pieces: every piece that gives a form away holds one of these (first, size)."""
    if length <= _LEAST_PIECE:
        return [(0, length)]
    size = max(_LEAST_PIECE // 2, length // 4)
    ends = [(0, _LEAST_PIECE), (length - _LEAST_PIECE, _LEAST_PIECE)]
    return [*ends, *((first, size) for first in range(0, length - size + 1, size))]


def _extended(text: str, form: str, place: int, first: int, size: int) -> tuple[int, int]:
    """Extend a find of `form[first:][:size]` at a place to both sides, as far as the form goes on there."""
    start, end, last = place, place + size, first + size
    while first > 0 and start > 0 and text[start - 1] == form[first - 1]:
        start, first = start - 1, first - 1
    while last < len(form) and end < len(text) and text[end] == form[last]:
        end, last = end + 1, last + 1
    return start, end


def _gives_away(form: str, first: int, size: int) -> bool:
    if first == 0 or first + size == len(form):
        return size >= min(_LEAST_PIECE, len(form))
    return size >= max(_LEAST_PIECE, len(form) // 2)
