"""Bodies of replies, read and unpacked in pieces of bounded size: gzip or deflate, one layer at most."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator

import httpx

ACCEPTED = "gzip, deflate"
"""Value of `Accept-Encoding` for a reply that `read_body` can unpack."""
_PIECE_BYTES = 1 << 18
_GZIP, _ZLIB, _RAW_DEFLATE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class ReplyTooLong(Exception):
    """A reply with more bytes than `max_bytes`."""


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Read a streamed reply; the event loop goes on between the pieces of one that is compressed.

    Args:
        response: The reply, of which no body was read yet.
        max_bytes: Most bytes, both as sent and unpacked; never much more than this is in memory.

    Raises:
        ReplyTooLong: If there are more.
        httpx.DecodingError: If it is compressed more than once, in another way, damaged or cut short.
    """
    unpack = _unpacker(response.headers.get("content-encoding", ""))
    sent, body = 0, bytearray()
    async for chunk in response.aiter_raw():
        sent += len(chunk)
        if sent > max_bytes:
            raise _too_long(max_bytes)
        for piece in [chunk] if unpack is None else unpack.pieces(chunk):
            body += piece
            if len(body) > max_bytes:
                raise _too_long(max_bytes)
            if unpack is not None:
                await asyncio.sleep(0)
    if unpack is not None and sent and not unpack.complete:
        raise httpx.DecodingError("expected a whole compressed reply, got one that is cut short")
    return bytes(body)


def _too_long(max_bytes: int) -> ReplyTooLong:
    return ReplyTooLong(f"expected at most {max_bytes:,} bytes, got more")


def _unpacker(encoding: str) -> _Unpacker | None:
    named = (part.strip().lower() for part in encoding.split(","))
    layers = [layer for layer in named if layer not in ("", "identity")]
    if not layers:
        return None
    if len(layers) > 1:
        raise httpx.DecodingError(
            f"expected a reply compressed once at most, got one of {len(layers)} layers"
        )
    if layers[0] not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"expected a reply in {ACCEPTED} or uncompressed, got {layers[0][:20]!r}")
    return _Unpacker(gzipped=layers[0] != "deflate")


class _Unpacker:
    """Unpacks gzip of any number of members, or deflate with or without the header of zlib."""

    def __init__(self, *, gzipped: bool) -> None:
        self._gzipped = gzipped
        self._start = b""
        self._stream = zlib.decompressobj(_GZIP) if gzipped else None

    @property
    def complete(self) -> bool:
        """Whether what was compressed has ended."""
        return self._stream is not None and self._stream.eof

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what further bytes hold, at most `_PIECE_BYTES` at a time.

        Raises:
            httpx.DecodingError: If they are damaged.
        """
        if self._stream is None:
            # Some servers send deflate bare, without the two bytes of zlib's header.
            self._start = data = self._start + data
            if len(data) < 2:
                return
            headed = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(_ZLIB if headed else _RAW_DEFLATE)
        try:
            while data:
                if self._stream.eof:
                    if not self._gzipped:
                        return
                    self._stream = zlib.decompressobj(_GZIP)
                yield self._stream.decompress(data, _PIECE_BYTES)
                data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        except zlib.error:
            raise httpx.DecodingError("expected a reply that can be decompressed") from None
