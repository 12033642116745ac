"""What the whole interface has in common: unknown calls, headers, its description, and what operators ask."""

import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.conftest import NewPage, StartServer
from tests.rest.checks import PROBLEM, done, refused
from tests.support.person import Person
from tests.support.postgres_server import create_database, drop_database, execute
from tests.support.processes import until
from tests.support.server import ParleyServer

UNKNOWN = ["/api", "/api/", "/api/v1", "/api/v2/me", "/api/v1/nowhere", "/api/v1/me/", "/health", "/health/nowhere"]


@pytest.fixture(scope="module")
async def description(server: ParleyServer) -> dict[str, Any]:
    """The description of the REST interface."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:
        response = await client.get(f"{server.url}/api/openapi.json")
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("path", UNKNOWN)
async def test_a_program_is_told_of_an_unknown_call_in_a_problem_document(administrator: Person, path: str) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        refused(await administrator.request(method, f"{administrator.url}{path}"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/me", "GET, PATCH"),
        ("/api/v1/chats", "GET, POST"),
        ("/api/v1/auth/login", "POST"),
        ("/api/openapi.json", "GET"),
        ("/health/live", "GET"),
        ("/metrics", "GET"),
    ],
)
async def test_a_program_is_told_which_methods_a_call_takes(administrator: Person, path: str, allowed: str) -> None:
    response = await administrator.request("DELETE", f"{administrator.url}{path}")
    refused(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].replace("HEAD, ", "").split(", ")) >= set(allowed.split(", "))


@pytest.mark.parametrize(
    "path", ["/api/v1/me", "/api/v1/nowhere", "/api/docs", "/health/live", "/sign-in", "/metrics"]
)
async def test_every_answer_has_the_headers_that_protect_browsers(administrator: Person, path: str) -> None:
    headers = (await administrator.request("GET", f"{administrator.url}{path}")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "server" not in headers


async def test_refusals_have_the_headers_too(administrator: Person) -> None:
    refusal = await administrator.request("POST", "/chats", headers={"Origin": "null"})
    refused(refusal, 403, "forbidden")
    assert refusal.headers["x-content-type-options"] == "nosniff"
    assert refusal.headers["content-security-policy"].startswith("default-src 'none'")


async def test_the_description_is_valid_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(description).validate()


async def test_the_description_names_every_call(description: dict[str, Any]) -> None:
    message = "/chats/{chat_id}/messages/{message_id}"
    wanted = {
        "/auth/register": "post",
        "/auth/login": "post",
        "/auth/logout": "post",
        "/me": "get patch",
        "/me/password": "post",
        "/sessions": "get delete",
        "/sessions/{session_id}": "delete",
        "/invites": "get post",
        "/invites/{code}": "delete",
        "/users": "get",
        "/users/{user_id}": "get",
        "/users/{user_id}/deactivate": "post",
        "/users/{user_id}/reactivate": "post",
        "/users/{user_id}/password": "post",
        "/chats": "get post",
        "/chats/{chat_id}": "get patch",
        "/chats/{chat_id}/close": "post",
        "/chats/{chat_id}/reopen": "post",
        "/chats/{chat_id}/transfer": "post",
        "/chats/{chat_id}/read": "post",
        "/chats/{chat_id}/changes": "get",
        "/chats/{chat_id}/members": "get post",
        "/chats/{chat_id}/members/{user_id}": "delete",
        "/chats/{chat_id}/messages": "get post",
        message: "patch delete",
        f"{message}/reactions": "get",
        f"{message}/reactions/{{emoji}}": "put delete",
        "/search": "get",
    }
    calls = {path: set(methods) for path, methods in description["paths"].items()}
    assert calls == {f"/api/v1{path}": set(methods.split()) for path, methods in wanted.items()} | {
        path: {"get"} for path in ("/health/live", "/health/ready", "/metrics")
    }


async def test_every_call_is_described_with_its_errors_and_examples(description: dict[str, Any]) -> None:
    for path, methods in description["paths"].items():
        if path == "/metrics":
            continue
        for method, call in methods.items():
            assert call["description"], (method, path)
            answers = call["responses"]
            assert any(status.startswith("2") for status in answers)
            if path.startswith("/api/v1"):
                assert {"413", "503"} <= answers.keys(), (method, path)
                assert ("security" in call) == ("401" in answers and path != "/api/v1/auth/login"), (method, path)
                assert method == "get" or "403" in answers, (method, path)
            for status, answer in answers.items():
                for content_type, content in answer.get("content", {}).items():
                    assert "example" in content, (method, path, status)
                    assert "schema" in content, (method, path, status)
                    assert (content_type == PROBLEM) == (not status.startswith("2")), (method, path, status)


async def test_the_pages_of_the_description_load_from_our_own_origin_alone(
    server: ParleyServer, new_page: NewPage
) -> None:
    page = await new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{server.url}/api/docs")
    await page.get_by_text("/api/v1/auth/register").first.wait_for()
    assert {re.sub(r"^(https?://[^/]+|data:).*", r"\1", url, flags=re.DOTALL) for url in asked} <= {
        server.url,
        "data:",
    }


async def test_a_running_server_is_alive_and_ready(administrator: Person) -> None:
    for path in ("/health/live", "/health/ready"):
        assert done(await administrator.request("GET", f"{administrator.url}{path}")) == {"status": "ok"}


async def test_metrics_are_written_for_prometheus(administrator: Person) -> None:
    response = await administrator.request("GET", f"{administrator.url}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert "process_resident_memory_bytes" in response.text


async def test_without_its_database_the_server_is_unavailable_and_recovers(
    start_server: StartServer, postgres_url: str
) -> None:
    database = await create_database(postgres_url)
    try:
        parley = await start_server(DATABASE_URL=database)
        async with Person.registered(parley.url) as ada, Person(parley.url) as visitor:
            chat = await ada.group_chat()
            name = database.rpartition("/")[2].partition("?")[0]
            await execute(postgres_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await execute(
                postgres_url,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            )
            path = f"/chats/{chat['id']}/messages"
            for _ in range(3):
                refused(await ada.get(path), 503, "unavailable")
                refused(await ada.post(path, body="x"), 503, "unavailable")
            account = {"username": ada.username, "password": ada.password}
            refused(await visitor.post("/auth/login", **account), 503, "unavailable")
            refused(await ada.request("GET", f"{parley.url}/health/ready"), 503, "unavailable")
            done(await ada.request("GET", f"{parley.url}/health/live"))
            await execute(postgres_url, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

            async def recovered() -> bool:
                return (await ada.post(path, body="x", nonce="n")).is_success

            await until(recovered, within=10.0, otherwise=parley.output)
            assert [one["body"] for one in done(await ada.get(path))["messages"]] == ["x"]
            assert "Traceback" not in parley.output()
    finally:
        await drop_database(postgres_url, database=database)
