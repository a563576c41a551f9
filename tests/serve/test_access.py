"""Web pages of other machines cannot use a local server; the token is read as HTTP says."""

import pytest

from ssp_env import cli
from ssp_env.search.bm25 import BM25Engine
from ssp_env.serve.access import BearerToken, is_loopback
from ssp_env.serve.app import build_app
from ssp_env.serve.mcp_server import build_mcp_app
from ssp_env.testing.engines import PASSAGES
from tests import web
from tests.serve.running import running

ENGINE = BM25Engine(PASSAGES)
BUILD = {"http": build_app, "mcp": build_mcp_app}
BODY = b'{"query": "mayor"}'


@pytest.fixture(scope="module", params=["http", "mcp"])
def local(request):
    """A server at loopback in either mode: its mode and address."""
    with running(BUILD[request.param](ENGINE, host="127.0.0.1")) as address:
        yield request.param, address


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("https://evil.example:8000", 403),
        ("null", 403),
        ("", 403),
        ("http://localhost.evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://evil.example#127.0.0.1", 403),
        ("http://127.0.0.1@evil.example", 403),
        ("http://[::1", 403),
        ("http://127.0.0.1:3000", 200),
        ("http://localhost", 200),
        ("http://[::1]:8000", 200),
    ],
)
def test_requests_of_pages_of_other_machines_are_refused(local, origin, status):
    mode, address = local
    for path in ("/health", "/metrics"):
        assert web.get(address + path, headers={"Origin": origin}).status_code == status
    if mode == "http":
        headers = {"Origin": origin, "Content-Type": "application/json"}
        assert web.post(address + "/retrieve", content=BODY, headers=headers).status_code == status
    elif status == 403 and origin:
        headers = {"Origin": origin, "Content-Type": "application/json"}
        assert web.post(address + "/mcp", content=b"{}", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
        "multipart/form-data; b=c",
    ],
)
def test_a_post_that_a_page_may_send_without_asking_is_refused(local, kind):
    mode, address = local
    path = "/retrieve" if mode == "http" else "/mcp"
    reply = web.post(address + path, content=BODY, headers={"Content-Type": kind})
    assert reply.status_code == (415 if mode == "http" else 400)
    if mode == "http":
        assert "expected Content-Type: application/json" in reply.json()["detail"]


@pytest.mark.parametrize("kind", [None, "application/json", "application/json; charset=utf-8", "a/b"])
def test_other_programs_are_served_whatever_they_say(kind):
    headers = {} if kind is None else {"Content-Type": kind}
    with running(build_app(ENGINE, host="127.0.0.1")) as address:
        assert web.post(address + "/retrieve", content=BODY, headers=headers).status_code == 200


def test_a_server_that_is_open_to_others_takes_requests_of_any_page():
    with running(build_app(ENGINE, host="0.0.0.0")) as address:
        headers = {"Origin": "http://site.example", "Content-Type": "text/plain"}
        assert web.post(address + "/retrieve", content=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_a_name_that_leads_here_is_refused_in_either_mode(local, path):
    _, address = local
    assert web.get(address + path, headers={"Host": "evil.example"}).status_code == 400
    assert web.get(address + path, headers={"Host": "localhost:8000"}).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_of_the_token_is_read_in_any_case(scheme):
    with running(build_app(ENGINE, token="secret")) as address:
        for given, status in (("secret", 200), (" secret", 200), ("Secret", 401), ("secret secret", 401)):
            headers = {"Authorization": f"{scheme} {given}"}
            assert web.get(address + "/metrics", headers=headers).status_code == status


@pytest.mark.parametrize("token", ["", " ", "two words", "sécret", "a\nb"])
def test_what_no_header_can_carry_is_no_token_and_is_not_repeated(token):
    with pytest.raises(ValueError) as refused:
        BearerToken(build_app(ENGINE), token)
    assert not token.strip() or token not in str(refused.value)


@pytest.mark.parametrize("arguments", [[], ["--mcp", "http"], ["--host", "0.0.0.0"]])
@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_variable_is_an_error_when_the_server_starts(monkeypatch, token, arguments):
    monkeypatch.setenv("SSP_SEARCH_API_KEY", token)
    monkeypatch.setattr("sys.argv", ["ssp", "serve", "--world", "tiny", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == (
        "ssp: expected SSP_SEARCH_API_KEY to hold a token, got an empty one: unset it to let everybody in"
    )


def test_an_empty_token_given_on_the_command_line_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.argv", ["ssp", "serve", "--world", "tiny", "--token", ""])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert "expected --token to hold a token" in stop.value.code


def test_loopback_is_this_machine_alone():
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "a.example")] == [
        True, True, True, False, False,
    ]  # fmt: skip
