import asyncio
import ipaddress
import pickle
import socket
import ssl
import threading

import pytest

from ssp_env.http import RequestPolicy
from ssp_env.http.service import certificates
from ssp_env.search.errors import BadSearchReply, SearchRefused, SearchTimeout, SearchUnavailable
from ssp_env.search.web.fetch import PageFetcher, is_public
from tests.search.faulty_server import drip, drip_head, faulty, silence
from tests.search.remote_server import Reply, remote

HTML = {"content-type": "text/html; charset=utf-8"}
OPEN = PageFetcher(allow_private=True)


def resolve_to(monkeypatch, *addresses):
    def fake(host, *args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f000001", "localhost",
        "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::9.9.9.9]", "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[2001::1]", "[2001:db8::1]",
        "[fec0::1]", "[100::1]", "[ff02::1]",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused_before_anything_is_sent(host):
    with remote(lambda asked: Reply(b"secret", headers=HTML)) as (address, asked):
        port = address.rpartition(":")[2]
        with pytest.raises((SearchRefused, SearchUnavailable), match=r"not a public address|unknown host"):
            PageFetcher()(f"http://{host}:{port}/")
    assert asked == []


@pytest.mark.parametrize(
    "address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "2002:909:909::", "64:ff9b::9.9.9.9"]
)
def test_public_addresses_pass(address):
    assert is_public(ipaddress.ip_address(address))


def test_a_name_is_refused_if_one_of_its_addresses_is_private(monkeypatch):
    resolve_to(monkeypatch, "9.9.9.9", "10.0.0.1")
    with pytest.raises(SearchRefused, match=r"towns\.example: not a public address"):
        PageFetcher()("http://towns.example/")


def test_a_redirect_to_a_private_address_is_refused(monkeypatch):
    real = ipaddress.ip_address("127.0.0.1")
    # The server stands for a public one; every other address of this machine stays private.
    monkeypatch.setattr("ssp_env.search.web.fetch.is_public", lambda found: found == real)
    reply = Reply(status=302, headers={"location": "http://127.0.0.2/secret"})
    with (
        remote(lambda asked: reply) as (address, asked),
        pytest.raises(SearchRefused, match=r"127\.0\.0\.2: not a public address"),
    ):
        PageFetcher()(address)
    assert len(asked) == 1


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    with remote(lambda asked: Reply(b"<p>page</p>", headers=HTML)) as (address, asked):
        port = address.rpartition(":")[2]
        answers = iter(["127.0.0.1"])  # a second look-up would raise

        def once(host, *args, **kwargs):
            if host == "towns.example":
                host = next(answers)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, int(port)))]

        monkeypatch.setattr(socket, "getaddrinfo", once)
        assert OPEN(f"http://towns.example:{port}/corun") == "page"
    assert asked[0].headers["host"] == f"towns.example:{port}"
    assert asked[0].path == "/corun"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x.example/",
        "javascript:1",
        "http://",
        "//x",
        "",
        "http://u:p@x/",
    ],
)
def test_addresses_that_are_not_plain_http_are_refused(url):
    with pytest.raises(SearchRefused):
        OPEN(url)


def test_redirects_are_followed_so_many_times_and_relative_ones_too():
    def respond(asked):
        number = int(asked.path.strip("/"))
        return (
            Reply(status=301, headers={"location": f"/{number - 1}"})
            if number
            else Reply(b"end", headers=HTML)
        )

    with remote(respond) as (address, _):
        assert OPEN(f"{address}/5") == "end"
        with pytest.raises(BadSearchReply, match="more than 5 redirects"):
            OPEN(f"{address}/6")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=404), SearchRefused),
        (Reply(status=503), SearchUnavailable),
        (Reply(b"\x89PNG", headers={"content-type": "image/png"}), BadSearchReply),
        (Reply(b"untyped"), BadSearchReply),
        (Reply(b"x", headers={**HTML, "content-encoding": "gzip"}), BadSearchReply),
        (Reply(b"x" * 2_000_000, headers=HTML), BadSearchReply),
        (Reply(b"x" * 100, headers=HTML, cut=10), SearchUnavailable),
        (Reply(status=302, headers={"location": "file:///etc/passwd"}), SearchRefused),
        (Reply(status=302, headers={"location": "http://[::1"}), SearchUnavailable),
        (Reply(status=302), BadSearchReply),
    ],
)
def test_what_is_no_page_has_its_type_of_error(reply, error):
    with remote(lambda asked: reply) as (address, _), pytest.raises(error):
        OPEN(address)


def test_a_server_that_says_nothing_is_a_timeout():
    never = threading.Event()
    with remote(lambda asked: Reply(wait=never)) as (address, _):
        with pytest.raises(SearchTimeout):
            PageFetcher(allow_private=True, policy=RequestPolicy(timeout=0.2))(address)
        never.set()


def test_the_text_is_decoded_and_cut():
    latin = Reply("<p>Zürich</p>".encode("latin-1"), headers={"content-type": "text/html; charset=latin-1"})
    with remote(lambda asked: latin) as (address, _):
        assert OPEN(address) == "Zürich"
        assert PageFetcher(allow_private=True, max_passage_chars=2)(address) == "Zü"
    plain = Reply(b"a <b> c\x00", headers={"content-type": "text/plain; charset=nonsense"})
    with remote(lambda asked: plain) as (address, _):
        assert OPEN(address) == "a <b> c"


def test_an_unknown_host_is_unavailable():
    with pytest.raises(SearchUnavailable, match="unknown host"):
        OPEN("http://no-such-host.invalid/")


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def trusted(monkeypatch, tmp_path):
    """A certificate authority that this process trusts; every name leads to this machine."""
    authority = pytest.importorskip("trustme").CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    certificates.cache_clear()
    resolve_to(monkeypatch, "127.0.0.1")
    yield authority
    certificates.cache_clear()


def tls(authority, *names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_a_certificate_must_be_that_of_the_name_though_the_connection_is_to_an_address(trusted):
    asked_for = []
    context = tls(trusted, "towns.test")
    context.sni_callback = lambda connection, name, context: asked_for.append(name)
    with remote(lambda asked: Reply(b"<p>page</p>", headers=HTML), context) as (address, asked):
        port = address.rpartition(":")[2]
        assert OPEN(f"https://towns.test:{port}/corun") == "page"
        assert asked_for == ["towns.test"] and asked[0].headers["host"] == f"towns.test:{port}"
        with pytest.raises(SearchUnavailable, match=r"rivers\.test: cannot be reached"):
            OPEN(f"https://rivers.test:{port}/")
        with pytest.raises(SearchUnavailable, match=r"127\.0\.0\.1: cannot be reached"):
            OPEN(f"https://127.0.0.1:{port}/")
    assert len(asked) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(trusted):
    stranger = pytest.importorskip("trustme").CA()
    with (
        remote(lambda asked: Reply(b"page", headers=HTML), tls(stranger, "towns.test")) as (address, asked),
        pytest.raises(SearchUnavailable, match="cannot be reached"),
    ):
        OPEN(f"https://towns.test:{address.rpartition(':')[2]}/")
    assert asked == []


def test_a_redirect_to_another_name_at_the_same_address_is_verified_anew(trusted):
    def respond(asked):
        if asked.headers["host"].startswith("towns"):
            return Reply(status=302, headers={"location": f"https://rivers.test:{port}/"})
        return Reply(b"page of another site", headers=HTML)

    with remote(respond, tls(trusted, "towns.test"), keep_alive=True) as (address, asked):
        port = address.rpartition(":")[2]
        with pytest.raises(SearchUnavailable, match=r"rivers\.test: cannot be reached"):
            OPEN(f"https://towns.test:{port}/")
    assert [request.headers["host"] for request in asked] == [f"towns.test:{port}"]


# -- time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [silence, drip, drip_head])
def test_no_server_can_hold_a_page_beyond_the_time_for_it(fault):
    with faulty(fault) as server, pytest.raises(SearchTimeout, match=r"no page within 0\.4 seconds"):
        PageFetcher(allow_private=True, policy=RequestPolicy(timeout=0.4))(server.address)


def test_a_name_server_that_says_nothing_cannot_either(monkeypatch):
    answered = threading.Event()

    def wait(*args, **kwargs):
        answered.wait(60)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    try:
        with pytest.raises(SearchTimeout):
            PageFetcher(policy=RequestPolicy(timeout=0.2))("http://towns.test/")
    finally:
        answered.set()


def test_a_chain_of_slow_redirects_cannot_either():
    def slow(connection, released):
        released.wait(0.15)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    with faulty(slow) as server, pytest.raises(SearchTimeout):
        PageFetcher(allow_private=True, max_redirects=100, policy=RequestPolicy(timeout=0.4))(server.address)
    assert len(server.requests) < 5


def test_pages_are_fetched_from_an_event_loop_too_and_the_fetcher_pickles():
    copy = pickle.loads(pickle.dumps(PageFetcher(allow_private=True, max_passage_chars=3)))
    with remote(lambda asked: Reply(b"<p>page</p>", headers=HTML)) as (address, _):
        assert asyncio.run(copy.acall(address)) == copy(address) == "pag"


SOUPS = ["<a " * 8_000, "<!--" * 25_000, "<div>" * 190_000, "<td>" * 240_000, "&" * 990_000]


@pytest.mark.parametrize("soup", SOUPS, ids=lambda soup: soup[:5])
def test_a_page_of_tag_soup_is_read_in_time(soup):
    with remote(lambda asked: Reply(b"<p>seen</p>" + soup.encode(), headers=HTML)) as (address, _):
        assert OPEN(address).startswith("seen")


def test_a_page_that_takes_long_to_parse_holds_neither_its_caller_nor_others(monkeypatch):
    parsing, go_on = threading.Event(), threading.Event()

    def slow(page):
        parsing.set()
        go_on.wait(30)
        return "", page

    monkeypatch.setattr("ssp_env.search.web.fetch.page_text", slow)
    policy = RequestPolicy(timeout=0.5)

    async def both(address):
        page = asyncio.ensure_future(PageFetcher(allow_private=True, policy=policy).acall(address))
        while not parsing.is_set():
            await asyncio.sleep(0.01)
        assert await OPEN.acall(f"{address}/plain") == "other"
        await page

    def respond(asked):
        plain = asked.path == "/plain"
        return Reply(b"other", headers={"content-type": "text/plain"} if plain else HTML)

    try:
        with remote(respond) as (address, _), pytest.raises(SearchTimeout, match=r"no page within 0\.5 s"):
            asyncio.run(both(address))
    finally:
        go_on.set()


def test_a_page_too_long_to_parse_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr("ssp_env.search.plain_text.MAX_PAGE_CHARS", 10)
    with (
        remote(lambda asked: Reply(b"<p>longer</p>", headers=HTML)) as (address, _),
        pytest.raises(BadSearchReply, match="expected a page of at most 10 characters, got 13"),
    ):
        OPEN(address)
