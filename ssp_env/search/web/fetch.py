"""Fetching web pages by untrusted addresses, without access to the private network of this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx

from ssp_env.http import ReplyTooLong, RequestPolicy, arun, run
from ssp_env.http.decompression import read_body
from ssp_env.http.policy import Gates
from ssp_env.http.service import certificates
from ssp_env.search.errors import BadSearchReply, SearchRefused, SearchTimeout, SearchUnavailable
from ssp_env.search.plain_text import clean, page_text

_TYPES = ("text/html", "application/xhtml+xml", "text/plain")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_POLICY = RequestPolicy(timeout=10, concurrency=2, max_bytes=1_000_000)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class PageFetcher:
    """Function from the address of a web page to its text.

    The host is resolved first, and all its addresses must be public. The connection goes to the address that
    was checked, so that neither a redirect nor a second answer of DNS can lead into a private network; with
    https the certificate must be that of the host. Proxies and credentials of the environment are not used.

    Attributes:
        max_passage_chars: The text is cut after this many characters.
        max_redirects: Redirects followed, each checked like the first address.
        allow_private: Let private, loopback and link-local addresses through; for tests and intranets.
        policy: Time for a page with its redirects, longest page, and rate and concurrency per host. Pages are
            not tried again.

    Raises (when called):
        SearchRefused: If the address is not public HTTP, or the server replies 4xx.
        SearchTimeout: If the page is not complete in time.
        SearchUnavailable: If the host is unknown or cannot be reached, or replies 5xx.
        BadSearchReply: If the page is too long, neither HTML nor plain text, or redirects too often.
    """

    max_passage_chars: int = 5000
    max_redirects: int = 5
    allow_private: bool = False
    policy: RequestPolicy = _POLICY

    def __post_init__(self) -> None:
        object.__setattr__(self, "_gates", Gates(self.policy))

    def __reduce__(self) -> tuple[Callable[..., PageFetcher], tuple[Any, ...]]:
        return type(self), (self.max_passage_chars, self.max_redirects, self.allow_private, self.policy)

    def __call__(self, url: str) -> str:
        """Return the text of the page at `url`."""
        return run(self._fetch(url))

    async def acall(self, url: str) -> str:
        """Return the text of the page at `url`, without blocking."""
        return await arun(self._fetch(url))

    async def _fetch(self, url: str) -> str:
        target = _checked(url)
        try:
            with anyio.fail_after(self.policy.timeout):
                for _ in range(self.max_redirects + 1):
                    response, body = await self._get(target)
                    if response.status_code not in _REDIRECTS:
                        # Parsing holds up neither the loop nor, beyond the time for the page, its caller.
                        return await anyio.to_thread.run_sync(
                            self._text, response, body, target.host, abandon_on_cancel=True
                        )
                    # httpx has refused malformed locations by now.
                    target = _checked(str(target.join(response.headers.get("location", ""))))
        except TimeoutError:
            raise SearchTimeout(f"{target.host}: no page within {self.policy.timeout:g} seconds") from None
        raise BadSearchReply(f"{target.host}: more than {self.max_redirects} redirects")

    async def _get(self, target: httpx.URL) -> tuple[httpx.Response, bytes]:
        deadline = asyncio.get_running_loop().time() + self.policy.timeout
        gates: Gates = self._gates  # type: ignore[attr-defined]
        async with gates.of(target.host).passed(deadline), _client() as client:
            address = await self._resolve(target)
            request = client.build_request(
                "GET",
                target.copy_with(host=str(address), fragment=None),
                # Unpacked, a small reply could be a huge one.
                headers={"Host": target.netloc.decode(), "Accept-Encoding": "identity"},
                extensions={"sni_hostname": target.raw_host.decode("ascii")},
            )
            try:
                response = await client.send(request, stream=True)
                try:
                    return response, await self._body(response, target.host)
                finally:
                    await response.aclose()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                kind = type(error).__name__
                raise SearchUnavailable(f"{target.host}: cannot be reached ({kind})") from None
            except ReplyTooLong as error:
                raise BadSearchReply(f"{target.host}: {error}") from None

    async def _body(self, response: httpx.Response, host: str) -> bytes:
        """Read the reply if it is HTML or plain text."""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise BadSearchReply(f"{host}: expected an uncompressed page")
        if response.status_code >= 300 or not _type_is_text(response):
            return b""
        return await read_body(response, self.policy.max_bytes)

    async def _resolve(self, target: httpx.URL) -> Address:
        """Return the address to connect to; every address that the name resolves to must be allowed."""
        look_up = asyncio.get_running_loop().getaddrinfo
        try:
            found = await look_up(target.raw_host.decode("ascii"), None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise SearchUnavailable(f"{target.host}: unknown host") from None
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not self.allow_private and not all(map(is_public, addresses)):
            raise SearchRefused(f"{target.host}: not a public address")
        return addresses[0]

    def _text(self, response: httpx.Response, body: bytes, host: str) -> str:
        status = response.status_code
        if status >= 500:
            raise SearchUnavailable(f"{host}: replied with status {status}")
        if status >= 300:
            raise SearchRefused(f"{host}: replied with status {status}")
        if not _type_is_text(response):
            raise BadSearchReply(f"{host}: expected {' or '.join(_TYPES)}, got another type")
        try:
            text = body.decode(response.charset_encoding or "utf-8", "replace")
        except LookupError:
            text = body.decode("utf-8", "replace")
        if response.headers["content-type"].lower().startswith("text/plain"):
            return clean(text)[: self.max_passage_chars]
        try:
            return clean(page_text(text)[1])[: self.max_passage_chars]
        except ValueError as error:
            raise BadSearchReply(f"{host}: {error}") from None


def is_public(address: Address) -> bool:
    """Return whether an address, or the IPv4 address inside it, belongs to the public internet.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("9.9.9.9", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _checked(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise SearchRefused("expected an address on the web, got one that is malformed") from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise SearchRefused(f"expected an http or https address, got the scheme {target.scheme!r}")
    if target.userinfo:
        raise SearchRefused(f"{target.host}: addresses with a user name are not fetched")
    return target


def _client() -> httpx.AsyncClient:
    # One client per page: a connection is to an address, and its certificate was checked for one name only.
    return httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=None)


def _type_is_text(response: httpx.Response) -> bool:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower() in _TYPES
