"""Paths, headers and cookies that somebody changed on their way, or made up."""

import html
from http.cookies import SimpleCookie

import httpx
import pytest
from itsdangerous import Signer

from tests.conftest import NewPerson
from tests.rest.checks import done, refused
from tests.rest.raw_http import exchanged, statuses
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.support.socket import Socket


def _as(*cookies: str) -> dict[str, str]:
    return {"Authorization": "", "Cookie": "; ".join(f"parley_session={cookie}" for cookie in cookies)}


async def _page(person: Person, *cookies: str) -> httpx.Response:
    """The chat page, for whoever has these cookies."""
    return await person.request("GET", f"{person.url}/sessions", headers=_as(*cookies))


async def test_a_cookie_of_which_one_bit_changed_is_nobodys(administrator: Person) -> None:
    cookie = administrator.cookie
    # The last sign of a signature has two bits that stand for nothing (RFC 4648, section 3.5).
    for at in range(0, len(cookie) - 1, 3):
        for bit in (1, 2, 32):
            changed = chr(ord(cookie[at]) ^ bit)
            if changed.isalnum() or changed in "-_.":
                forged = cookie[:at] + changed + cookie[at + 1 :]
                refused(await administrator.request("GET", "/me", headers=_as(forged)), 401, "not_authenticated")


async def test_the_signature_of_one_cookie_does_not_fit_another(administrator: Person, new_person: NewPerson) -> None:
    ada = await new_person()
    (first, signature), (second, other) = (one.split(".") for one in (administrator.cookie, ada.cookie))
    for forged in (
        f"{first}.{other}",
        f"{second}.{signature}",
        f"{first}.{first}",
        f"{first}.{signature}.{signature}",
    ):
        refused(await ada.request("GET", "/me", headers=_as(forged)), 401, "not_authenticated")
        assert (await _page(ada, forged)).headers["location"] == "/sign-in?next=/sessions"


@pytest.mark.parametrize("key", ["", "secret", "parley-session", "itsdangerous"])
async def test_a_cookie_that_somebody_else_signed_is_nobodys(administrator: Person, key: str) -> None:
    secret = administrator.cookie.partition(".")[0]
    forged = Signer(key, salt="parley-session").sign(secret).decode()
    refused(await administrator.request("GET", "/me", headers=_as(forged)), 401, "not_authenticated")


async def test_of_two_cookies_every_door_takes_the_same(
    administrator: Person, new_person: NewPerson, server: ParleyServer
) -> None:
    ada = await new_person(display_name="Ada of two cookies")
    for cookies, person in (
        ((administrator.cookie, ada.cookie), ada),
        ((ada.cookie, administrator.cookie), administrator),
    ):
        assert done(await ada.request("GET", "/me", headers=_as(*cookies)))["id"] == person.id
        async with Socket.connect(server.ws_url, {"Cookie": _as(*cookies)["Cookie"]}) as socket:
            assert socket.hello["user"]["id"] == person.id
    refused(await ada.request("GET", "/me", headers=_as(ada.cookie, "made.up")), 401, "not_authenticated")


async def test_a_session_that_was_planted_before_signing_in_is_not_kept(
    administrator: Person, new_person: NewPerson
) -> None:
    victim, attacker = await new_person(), await new_person()
    account = {"username": victim.username, "password": victim.password}
    planted = (attacker.cookie, "made-up", "made.up", victim.cookie)
    given: set[str] = set()
    for cookie in planted:
        answers = [
            await victim.request("POST", "/auth/login", json=account, headers=_as(cookie)),
            await victim.request("POST", f"{victim.url}/sign-in", data=account, headers=_as(cookie)),
        ]
        for answer in answers:
            new = SimpleCookie(answer.headers["set-cookie"])["parley_session"].value
            assert done(await victim.request("GET", "/me", headers=_as(new)))["id"] == victim.id
            given.add(new)
    assert len(given) == 2 * len(planted)
    assert not given & set(planted)
    assert done(await victim.request("GET", "/me", headers=_as(attacker.cookie)))["id"] == attacker.id
    refused(await victim.request("GET", "/me", headers=_as("made.up")), 401, "not_authenticated")


TRAVERSALS = [
    "/static/../app.py",
    "/static/../../../../../../etc/passwd",
    "/static/..%2fapp.py",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/static/..%5c..%5capp.py",
    "/static/%252e%252e%252fapp.py",
    "/static//etc/passwd",
    "/static/parley.css/../../../app.py",
    "/static/parley.css%00.py",
    "/static/",
    "/api/docs/assets/../../../app.py",
    "/api/docs/assets/..%2f..%2fapp.py",
    "/api/docs/assets//etc/passwd",
    "/api/docs/assets/" + "a" * 5000,
    "/_nicegui/../app.py",
    "/_nicegui/3.18.0/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/_nicegui/3.18.0/resources/x/..%2f..%2fapp.py",
    "/_nicegui/3.18.0/components/..%2f..%2fapp.py",
    "/_nicegui/3.18.0/dynamic_resources/%00",
    "/%2e%2e/app.py",
    "//app.py",
    "/chat/%00",
    "/chat/%ff%fe",
    "/chat/..%2f..%2fsessions",
    "/app.py",
    "/.env",
    "/data/",
]


@pytest.mark.parametrize("path", TRAVERSALS, ids=lambda path: path[:60])
async def test_no_path_leads_out_of_what_is_served(server: ParleyServer, administrator: Person, path: str) -> None:
    received = await exchanged(
        server.url,
        f"GET {path} HTTP/1.1\r\nHost: {server.url[7:]}\r\nConnection: close\r\n\r\n".encode(),
    )
    assert statuses(received)[0] in {303, 404}
    for marker in (b"root:", b"import asyncio", b"PARLEY_", b"Traceback"):
        assert marker not in received


HOSTS = ["evil.example", "[::1", "a:99999999", "a:x", "a b", "a/../b", "a@b", '"><script>', "\xff", "", "x" * 5000]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host[:20])
async def test_no_answer_repeats_the_host_that_a_stranger_claims(
    server: ParleyServer, administrator: Person, host: str
) -> None:
    for path in ("/", "/sign-in", "/sign-up", "/api/v1/me", "/nowhere", "/api/docs"):
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {host}\r\nConnection: close\r\n\r\n"
        received = await exchanged(server.url, head.encode("latin-1"))
        [status] = statuses(received)
        assert status < 500
        if host not in {"", "a b"}:
            assert host.encode("latin-1") not in received
            assert host not in html.unescape(received.decode("latin-1"))


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
async def test_no_header_changes_the_method(administrator: Person, name: str) -> None:
    done(await administrator.request("GET", "/me", headers={name: "PATCH"}))
    response = await administrator.request("POST", "/sessions", headers={name: "DELETE"})
    refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL"])
async def test_no_header_changes_the_path(server: ParleyServer, name: str) -> None:
    head = f"GET /health/live HTTP/1.1\r\nHost: x\r\n{name}: /api/v1/me\r\nConnection: close\r\n\r\n"
    assert statuses(await exchanged(server.url, head.encode())) == [200]
