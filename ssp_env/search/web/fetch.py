"""Fetching pages that strangers name, without reaching into the network one stands in."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from dataclasses import dataclass, field

import httpx

from ssp_env.search.errors import BadSearchReply, SearchRefused, SearchTimeout, SearchUnavailable
from ssp_env.search.json_service import Gate, Limits, read_body
from ssp_env.search.web.text import clean, page_text

_TYPES = ("text/html", "application/xhtml+xml", "text/plain")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LIMITS = Limits(timeout=10, concurrency=2, max_bytes=1_000_000)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class PageFetcher:
    """Gets the text of a web page; call it with an address.

    The host is resolved here, every address it resolves to must be public, and the connection goes to the
    very address that was checked, so neither a redirect nor a second DNS answer leads elsewhere. Proxies and
    credentials of the environment are not used.

    Attributes:
        max_characters: The text is cut after this many.
        max_redirects: Redirects followed, each checked like the first address.
        allow_private: Let private, loopback and link-local addresses through; for tests and intranets.
        limits: Time for a page with its redirects, longest page, and rate and concurrency per host. Pages are
            not tried again.

    Raises (when called):
        SearchRefused: If the address is not public HTTP, or the server replies 4xx.
        SearchTimeout: If the page is not complete in time.
        SearchUnavailable: If the host is unknown or cannot be reached, or replies 5xx.
        BadSearchReply: If the page is too long, neither HTML nor plain text, or redirects too often.
    """

    max_characters: int = 5000
    max_redirects: int = 5
    allow_private: bool = False
    limits: Limits = _LIMITS
    _gates: dict[str, Gate] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __call__(self, url: str) -> str:
        """Return the text of the page at `url`."""
        deadline = time.monotonic() + self.limits.timeout
        with httpx.Client(trust_env=False, follow_redirects=False) as client:
            for _ in range(self.max_redirects + 1):
                target = self._checked(url)
                response, body = self._get(client, target, deadline)
                if response.status_code not in _REDIRECTS:
                    return self._text(response, body, target.host)
                # httpx has refused malformed locations by now.
                url = str(target.join(response.headers.get("location", "")))
        raise BadSearchReply(f"{target.host}: more than {self.max_redirects} redirects")

    def _checked(self, url: str) -> httpx.URL:
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL:
            raise SearchRefused("expected an address on the web, got one that is malformed") from None
        if target.scheme not in {"http", "https"} or not target.host:
            raise SearchRefused(f"expected an http or https address, got the scheme {target.scheme!r}")
        if target.userinfo:
            raise SearchRefused(f"{target.host}: addresses with a user name are not fetched")
        return target

    def _get(self, client: httpx.Client, target: httpx.URL, deadline: float) -> tuple[httpx.Response, bytes]:
        gate = self._gate(target.host)
        gate.enter(deadline, target.host)
        try:
            address = self._resolve(target)
            request = client.build_request(
                "GET",
                target.copy_with(host=str(address), fragment=None),
                # Unpacked, a small reply could be a huge one.
                headers={"Host": target.netloc.decode(), "Accept-Encoding": "identity"},
                timeout=max(0.001, deadline - time.monotonic()),
                extensions={"sni_hostname": target.raw_host.decode("ascii")},
            )
            response = client.send(request, stream=True)
            try:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise BadSearchReply(f"{target.host}: expected an uncompressed page")
                is_page = response.status_code < 300
                body = b""
                if is_page and self._type_is_text(response):
                    body = read_body(response, self.limits.max_bytes, deadline, target.host)
            finally:
                response.close()
        except httpx.TimeoutException:
            raise SearchTimeout(f"{target.host}: no page in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SearchUnavailable(f"{target.host}: cannot be reached ({type(error).__name__})") from None
        finally:
            gate.leave()
        return response, body

    def _resolve(self, target: httpx.URL) -> Address:
        """Return the address to connect to; all that the name resolves to must be allowed."""
        try:
            found = socket.getaddrinfo(target.raw_host.decode("ascii"), None, type=socket.SOCK_STREAM)
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
        if not self._type_is_text(response):
            raise BadSearchReply(f"{host}: expected {' or '.join(_TYPES)}, got another type")
        try:
            text = body.decode(response.charset_encoding or "utf-8", "replace")
        except LookupError:
            text = body.decode("utf-8", "replace")
        if response.headers["content-type"].lower().startswith("text/plain"):
            return clean(text)[: self.max_characters]
        return page_text(text)[1][: self.max_characters]

    def _type_is_text(self, response: httpx.Response) -> bool:
        return response.headers.get("content-type", "").partition(";")[0].strip().lower() in _TYPES

    def _gate(self, host: str) -> Gate:
        with self._lock:
            return self._gates.setdefault(host, Gate(self.limits))


def is_public(address: Address) -> bool:
    """Return whether an address, or the IPv4 address inside it, belongs to the public internet.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("9.9.9.9", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)
