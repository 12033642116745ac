"""The log: what stands in it, how a request is found in it, and what must never get there."""

import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import FreshDatabase, StartServer
from tests.rest.checks import done, refused
from tests.support.person import Person
from tests.support.postgres_server import execute
from tests.support.processes import until
from tests.support.server import ParleyServer

MARK = "zq9marked"


def records(parley: ParleyServer) -> list[dict[str, Any]]:
    """Read a log of JSON lines."""
    return [json.loads(line) for line in parley.output().splitlines()]


def secret(kind: str) -> str:
    """Make something that must not get into the log."""
    return f"{MARK}-{kind}-{uuid4().hex}"


async def talk(parley: ParleyServer, ada: Person, bob: Person) -> dict[str, Any]:
    """Say marked things through every door, in good and in bad form."""
    chat = await ada.group_chat(bob, title=secret("title"))
    path = f"/chats/{chat['id']}/messages"
    message = await ada.say(chat["id"], secret("body"), nonce=secret("nonce")[:64])
    done(await ada.patch(f"{path}/{message['id']}", body=secret("edit")))
    done(await ada.get("/search", q=secret("search")))
    refused(await ada.put(f"{path}/{message['id']}/reactions/{MARK}"), 422, "validation_failed", field="emoji")
    refused(await ada.get(f"/chats/{secret('path')}"), 422, "validation_failed", field="chat_id")
    done(await ada.get("/users", q=secret("people")))
    refused(await ada.post(path, body=f"{secret('NUL')}\0"), 422, "validation_failed", field="body")
    body = f'{{"body": "{MARK} \\ud800"}}'.encode()
    await ada.request("POST", path, content=body, headers={"Content-Type": "application/json"})
    await ada.request("POST", path, content=body[:-3], headers={"Content-Type": "application/json"})
    async with ada.socket() as socket:
        await socket.request("message.send", chat_id=chat["id"], nonce="n", body=secret("frame"))
        await socket.request("message.edit", chat_id=chat["id"], message_id=message["id"], body=secret("edit"))
        await socket.request("message.send", chat_id=MARK, nonce="n", body=secret("frame"))
        await socket.request(MARK, chat_id=chat["id"])
    async with httpx.AsyncClient(base_url=parley.url, trust_env=False) as client:
        for path in ("/sign-in", "/sign-up"):
            form = {"username": f"{MARK}user", "password": secret("password"), "invite": secret("invite")}
            await client.post(path, data=form)
            await client.get(path, params={"next": f"/{MARK}", "invite": secret("invite")})
        await client.get(f"/{secret('page')}", headers={"Cookie": f"parley_session={secret('cookie')}"})
        await client.get("/api/v1/me", headers={"Authorization": f"Bearer {secret('token')}", "User-Agent": MARK})
        await client.post(f"/page/resume/{secret('client')}")
        await client.delete(f"/api/v1/invites/{secret('invite')}", headers={"Authorization": f"Bearer {ada.token}"})
        login = {"username": f"{MARK}nobody", "password": secret("password")}
        await client.post("/api/v1/auth/login", json=login)
    return chat


async def test_a_log_of_everything_holds_no_secret_and_no_text_and_finds_a_failed_request(
    start_server: StartServer, fresh_database: FreshDatabase
) -> None:
    database = await fresh_database()
    settings = {"PARLEY_LOG_FORMAT": "json", "PARLEY_LOG_LEVEL": "debug", "PARLEY_ACCESS_LOG": "on"}
    parley = await start_server(DATABASE_URL=database, **settings)
    fields = {"password": secret("password"), "display_name": secret("name"), "username": f"{MARK}-ada"}
    async with Person.registered(parley.url, **fields) as ada, Person.registered(parley.url) as bob:
        chat = await talk(parley, ada, bob)
        path = f"/chats/{chat['id']}/messages"
        async with ada.socket() as socket:
            await execute(database, "ALTER TABLE messages RENAME COLUMN body TO taken_away")
            failed = await ada.get(path)
            failed_send = await ada.post(path, body=secret("body"))
            failed_search = await ada.get("/search", q=secret("search"))
            answer = await socket.request("history", chat_id=chat["id"])
            await socket.request("message.send", chat_id=chat["id"], nonce="m", body=secret("frame"))
            async with httpx.AsyncClient(base_url=parley.url, trust_env=False) as browser:
                page = await browser.get("/", headers={"Cookie": f"parley_session={ada.cookie}"})
            await execute(database, "ALTER TABLE messages RENAME COLUMN taken_away TO body")
        refused_again = await ada.get("/me")
        secrets = [ada.token, ada.cookie, bob.token, ada.password, bob.password]
    await parley.stop()

    refused_with_id = failed.json()
    assert (failed.status_code, refused_with_id["code"]) == (500, "unavailable")
    request_id = failed.headers["x-request-id"]
    assert request_id in refused_with_id["detail"]
    assert {failed_search.status_code, failed_send.status_code} <= {500, 503}
    assert refused_again.headers["x-request-id"] != request_id
    assert page.headers["x-request-id"]

    written = records(parley)
    own = [record for record in written if record.get("request_id") == request_id]
    fault = next(record for record in own if record["level"] == "ERROR")
    assert fault["message"] == "GET /api/v1/chats/{chat_id}/messages failed"
    assert "UndefinedColumnError: 42703" in fault["exception"]
    assert "services/messages.py" in fault["exception"]
    access = next(record for record in own if record["logger"] == "parley.requests" and "status" in record)
    assert (access["method"], access["status"]) == ("GET", 500)
    assert access["path"] == "/api/v1/chats/{chat_id}/messages"
    assert 0 < access["ms"] < 60_000
    assert answer["code"] == "unavailable"
    connection_id = re.findall(r"request ([0-9a-f]{16})", answer["detail"])[0]
    assert [record for record in written if record.get("request_id") == connection_id and "exception" in record]
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in written)
    assert f"http://localhost:{parley.port}" in " ".join(record["message"] for record in written)

    log = parley.output()
    assert MARK not in log, [line for line in log.splitlines() if MARK in line][:3]
    assert not [one for one in secrets if one in log]


async def test_a_log_for_people_has_one_line_an_event_with_the_request_and_no_line_for_each_request(
    start_server: StartServer, fresh_database: FreshDatabase
) -> None:
    database = await fresh_database()
    parley = await start_server(DATABASE_URL=database)
    async with Person.registered(parley.url) as ada:
        done(await ada.get("/me"))
        await execute(database, "ALTER TABLE invites RENAME TO taken_away")
        failed = await ada.get("/invites")
    request_id = failed.headers["x-request-id"]

    async def noted() -> bool:
        return f"ERROR parley.requests: GET /api/v1/invites failed [{request_id}]" in parley.output()

    await until(noted, otherwise=parley.output)
    assert "Traceback (most recent call last):" in parley.output()
    assert "/api/v1/me" not in parley.output()
    assert "which led to:" in parley.output()


async def test_a_proxy_that_is_trusted_names_requests_and_nobody_else_does(
    start_server: StartServer, server: ParleyServer
) -> None:
    trusting = await start_server(PARLEY_TRUSTED_PROXIES="127.0.0.0/8")
    async with httpx.AsyncClient(trust_env=False) as client:

        async def named(parley: ParleyServer, given: str) -> str:
            headers = {"X-Request-Id": given, "X-Forwarded-For": "192.0.2.7"}
            return str((await client.get(f"{parley.url}/health/live", headers=headers)).headers["x-request-id"])

        assert await named(trusting, "from-the-proxy_1.2") == "from-the-proxy_1.2"
        for malformed in ("", "with space", "x" * 65, "line\tbreak", "<script>"):
            assert re.fullmatch("[0-9a-f]{16}", await named(trusting, malformed))
        assert re.fullmatch("[0-9a-f]{16}", await named(server, "from-a-stranger"))


async def test_a_refused_handshake_and_pages_carry_the_id_too(server: ParleyServer) -> None:
    async with Person(server.url) as nobody:
        with pytest.raises(InvalidStatus) as refusal:
            async with nobody.socket():
                pass
    assert re.fullmatch("[0-9a-f]{16}", refusal.value.response.headers["X-Request-Id"])
    async with httpx.AsyncClient(trust_env=False) as client:
        for path in ("/sign-in", "/static/parley.css", "/nowhere"):
            assert re.fullmatch("[0-9a-f]{16}", (await client.get(f"{server.url}{path}")).headers["x-request-id"])
