import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import httpx
import pytest

from tests.rest.checks import MESSAGE, done, refused
from tests.support.person import PASSWORD, Person
from tests.support.processes import until
from tests.support.server import ParleyServer

Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def post(limited: ParleyServer) -> AsyncIterator[Post]:
    """Posts an account to a path, as the proxy would for someone at an address."""
    async with httpx.AsyncClient(
        base_url=f"{limited.url}/api/v1/auth", trust_env=False, verify=False, timeout=30
    ) as client:

        async def post(path: str, *, address: str, username: str, password: str = PASSWORD) -> httpx.Response:
            account = {"username": username, "password": password}
            return await client.post(path, json=account, headers={"X-Forwarded-For": address})

        yield post


def _name() -> str:
    return f"name-{uuid4().hex[:12]}"


async def test_so_many_sign_ups_come_from_an_address_in_an_hour(post: Post, address: str) -> None:
    for response in await asyncio.gather(*(post("/register", address=address, username=_name()) for _ in range(10))):
        done(response, 201)
    response = await post("/register", address=address, username=_name())
    refused(response, 429, "rate_limited", says="sign-ups")
    assert 300 <= int(response.headers["retry-after"]) <= 360
    done(await post("/register", address=f"{address}:1", username=_name()), 201)


async def test_what_is_malformed_counts_as_no_sign_up(post: Post, address: str) -> None:
    for _ in range(11):
        response = await post("/register", address=address, username=_name(), password="short")
        refused(response, 422, "validation_failed", field="password")
    done(await post("/register", address=address, username=_name()), 201)


async def test_a_sign_up_that_is_refused_counts_so_that_names_cannot_be_tried_without_end(
    post: Post, address: str
) -> None:
    name = _name()
    done(await post("/register", address=address, username=name), 201)
    for _ in range(9):
        refused(await post("/register", address=address, username=name), 409, "conflict", field="username")
    refused(await post("/register", address=address, username=name), 429, "rate_limited", says="sign-ups")


async def test_so_many_failed_sign_ins_come_from_an_address_for_an_account_in_ten_minutes(
    post: Post, address: str
) -> None:
    name = _name()
    done(await post("/register", address=address, username=name), 201)
    for _ in range(3):
        response = await post("/login", address=address, username=name, password="wrong password")
        refused(response, 401, "not_authenticated")
    for spelling in (name, name.upper(), f" {name} "):
        response = await post("/login", address=address, username=spelling)
        refused(response, 429, "rate_limited", says="sign-ins")
        assert 150 <= int(response.headers["retry-after"]) <= 200
    done(await post("/login", address=f"{address}:1", username=name))


async def test_an_account_that_does_not_exist_is_limited_like_one_that_does(post: Post, address: str) -> None:
    name = _name()
    for _ in range(3):
        refused(await post("/login", address=address, username=name), 401, "not_authenticated")
    refused(await post("/login", address=address, username=name), 429, "rate_limited")


async def test_failed_sign_ins_are_limited_by_address_whatever_the_account(post: Post, address: str) -> None:
    for _ in range(6):
        refused(await post("/login", address=address, username=_name()), 401, "not_authenticated")
    response = await post("/login", address=address, username=_name())
    refused(response, 429, "rate_limited", says="sign-ins")
    assert 500 <= int(response.headers["retry-after"]) <= 600


async def test_wrong_guesses_at_changing_ones_password_count_as_failed_sign_ins(
    limited: ParleyServer, post: Post, address: str
) -> None:
    async with Person.registered(limited.url) as person:
        guess = {"current_password": "wrong password", "new_password": "another password"}
        for status in (403, 403, 403, 429):
            response = await person.request("POST", "/me/password", json=guess, headers={"X-Forwarded-For": address})
            assert response.status_code == status
        refused(await post("/login", address=address, username=person.username), 429, "rate_limited")


async def test_sign_ins_that_succeed_are_not_limited(post: Post, address: str) -> None:
    name = _name()
    done(await post("/register", address=address, username=name), 201)
    for _ in range(7):
        done(await post("/login", address=address, username=name))


async def test_more_sign_ins_at_once_than_may_wait_are_told_to_come_back(post: Post, address: str) -> None:
    answers = await asyncio.gather(
        *(post("/login", address=f"{address}:{number}", username=_name()) for number in range(40))
    )
    busy = [response for response in answers if response.status_code == 429]
    assert 1 <= len(busy) <= 22
    for response in busy:
        refused(response, 429, "rate_limited", says="signing in")
    for response in answers:
        if response not in busy:
            refused(response, 401, "not_authenticated")
    refused(await post("/login", address=address, username=_name()), 401, "not_authenticated")


async def test_messages_are_limited_by_person_and_go_on_after_a_while(limited: ParleyServer) -> None:
    async with Person.registered(limited.url) as ada, Person.registered(limited.url) as bob:
        chat = await ada.group_chat(bob)
        path = f"/chats/{chat['id']}/messages"
        for _ in range(5):
            done(await ada.post(path, body="x"), 201, MESSAGE)
        response = await ada.post(path, body="x")
        refused(response, 429, "rate_limited")
        assert response.headers["retry-after"] == "1"
        assert 0 < response.json()["retry_after"] <= 1
        done(await bob.post(path, body="x"), 201, MESSAGE)

        async def goes_on() -> bool:
            return (await ada.post(path, body="y")).status_code == 201

        await until(goes_on, within=5.0, otherwise=limited.output)


@pytest.mark.parametrize("chunked", [False, True], ids=["of a known length", "of an unknown length"])
async def test_a_request_body_has_at_most_256_kib(administrator: Person, chunked: bool) -> None:
    document = b'{"kind": "group", "title": "T"}'

    async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    for size, status in ((256 * 1024, 201), (256 * 1024 + 1, 413), (10 * 1024 * 1024, 413)):
        body = document.ljust(size)
        response = await administrator.request(
            "POST",
            "/chats",
            content=in_pieces(body) if chunked else body,
            headers={"Content-Type": "application/json"},
        )
        if status == 201:
            done(response, 201)
        else:
            refused(response, 413, "too_large", says=str(256 * 1024))
