from http.cookies import SimpleCookie
from uuid import uuid4

import httpx
import pytest

from tests.conftest import StartServer
from tests.rest.checks import done, refused
from tests.support.person import PASSWORD, Person
from tests.support.server import ParleyServer


def _as_browser(person: Person) -> dict[str, str]:
    return {"Authorization": "", "Cookie": f"parley_session={person.cookie}"}


async def _rename(person: Person, headers: dict[str, str]) -> httpx.Response:
    return await person.request("PATCH", "/me", json={"display_name": "New"}, headers=headers)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://{host}",
        "http://{host}.evil.example",
        "http://{host}/",
        "http://user@{host}",
    ],
)
async def test_what_changes_something_from_a_foreign_origin_is_refused_whatever_the_credential(
    administrator: Person, origin: str
) -> None:
    headers = {"Origin": origin.format(host=administrator.url.removeprefix("http://"))}
    for credential in ({}, _as_browser(administrator)):
        refused(await _rename(administrator, credential | headers), 403, "forbidden")
    for method, path in (("POST", "/auth/login"), ("POST", "/chats"), ("DELETE", "/sessions"), ("PUT", "/nowhere")):
        refused(await administrator.request(method, path, headers=headers), 403, "forbidden")


async def test_what_comes_from_our_own_origin_passes(administrator: Person) -> None:
    for credential in ({}, _as_browser(administrator)):
        done(await _rename(administrator, credential | {"Origin": administrator.url}))
        done(
            await _rename(administrator, credential | {"Origin": administrator.url, "Sec-Fetch-Site": "same-origin"})
        )


@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "none"])
async def test_without_an_origin_what_comes_from_no_other_site_passes(
    administrator: Person, site: str | None
) -> None:
    for credential in ({}, _as_browser(administrator)):
        done(await _rename(administrator, credential | ({"Sec-Fetch-Site": site} if site else {})))


async def test_without_an_origin_what_comes_from_another_site_is_refused(administrator: Person) -> None:
    for credential in ({}, _as_browser(administrator)):
        refused(await _rename(administrator, credential | {"Sec-Fetch-Site": "cross-site"}), 403, "forbidden")


async def test_reading_is_not_a_matter_of_origin(administrator: Person) -> None:
    response = await administrator.request("GET", "/me", headers={"Origin": "https://evil.example"})
    done(response)
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"],
)
async def test_bodies_that_a_foreign_form_could_send_are_refused(
    administrator: Person, content_type: str | None
) -> None:
    response = await administrator.request(
        "POST",
        "/chats",
        content=b'{"kind": "group", "title": "T"}',
        headers={"Content-Type": content_type} if content_type else {},
    )
    refused(response, 422, "validation_failed", field="Content-Type", says="application/json")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_say_its_encoding(administrator: Person, content_type: str) -> None:
    body = '{"kind": "group", "title": "\N{SNOWMAN}"}'.encode()
    response = await administrator.request("POST", "/chats", content=body, headers={"Content-Type": content_type})
    assert done(response, 201)["title"] == "\N{SNOWMAN}"


async def test_the_address_that_is_set_is_the_one_allowed_origin_and_makes_cookies_secure(
    start_server: StartServer,
) -> None:
    parley = await start_server(PARLEY_BASE_URL="https://chat.example.org/", PARLEY_TRUSTED_PROXIES="192.0.2.1")
    account = {"username": "ada", "password": PASSWORD}
    async with Person(parley.url) as ada:
        foreign = await ada.request("POST", "/auth/register", json=account, headers={"Origin": parley.url})
        refused(foreign, 403, "forbidden")
        own = await ada.request(
            "POST", "/auth/register", json=account, headers={"Origin": "https://chat.example.org"}
        )
        token = done(own, 201)["token"]
        assert SimpleCookie(own.headers["set-cookie"])["parley_session"]["secure"] is True
        signed_in = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9"}
        invite = await ada.request("POST", "/invites", json={"expires_in": 60, "uses": 1}, headers=signed_in)
        assert done(invite, 201)["url"].startswith("https://chat.example.org/sign-up?invite=")
        await ada.request("POST", "/auth/login", json=account, headers={"X-Forwarded-For": "203.0.113.9"})
        sessions = done(await ada.request("GET", "/sessions", headers=signed_in))["sessions"]
        assert {session["address"] for session in sessions} == {"127.0.0.1"}


async def test_a_trusted_proxy_says_where_a_request_came_from_and_whether_by_https(limited: ParleyServer) -> None:
    account = {"username": f"name-{uuid4().hex[:12]}", "password": PASSWORD}
    proxied = {
        "X-Forwarded-For": "198.51.100.1, 203.0.113.9",
        "X-Forwarded-Proto": "https",
        "Host": "chat.example.org",
        "Origin": "https://chat.example.org",
    }
    async with Person(limited.url) as ada:
        response = await ada.request("POST", "/auth/register", json=account, headers=proxied)
        token = done(response, 201)["token"]
        assert SimpleCookie(response.headers["set-cookie"])["parley_session"]["secure"] is True
        signed_in = {"Authorization": f"Bearer {token}"}
        [session] = done(await ada.request("GET", "/sessions", headers=signed_in))["sessions"]
        assert session["address"] == "203.0.113.9"
        plain = {**proxied, "X-Forwarded-Proto": "http"}
        refused(await ada.request("DELETE", "/sessions", headers=signed_in | plain), 403, "forbidden")


async def test_nobody_else_says_where_a_request_came_from(server: ParleyServer) -> None:
    account = {"username": f"name-{uuid4().hex[:12]}", "password": PASSWORD}
    claimed = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.9"}
    async with Person(server.url) as ada:
        response = await ada.request("POST", "/auth/register", json=account, headers=claimed)
        token = done(response, 201)["token"]
        assert not SimpleCookie(response.headers["set-cookie"])["parley_session"]["secure"]
        [session] = done(await ada.request("GET", "/sessions", headers={"Authorization": f"Bearer {token}"}))[
            "sessions"
        ]
        assert session["address"] == "127.0.0.1"
