from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.conftest import NewPerson
from tests.rest.checks import OWN_USER, SIGNED_IN, done, refused, time_of
from tests.support.person import PASSWORD, Person
from tests.support.postgres_server import create_database, drop_database
from tests.support.server import ParleyServer


@pytest.fixture(scope="module")
async def strict(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[ParleyServer, Person]]:
    """A Parley that takes no new accounts and whose sessions are short, and its one account's owner."""
    database = await create_database(postgres_url)
    settings = {"DATABASE_URL": database, "PARLEY_REGISTRATION": "closed", "PARLEY_SESSION_HOURS": str(3 / 3600)}
    parley = ParleyServer(tmp_path_factory.mktemp("strict") / "data", settings)
    try:
        await parley.start()
        async with Person.registered(parley.url) as first:
            yield parley, first
        await parley.stop()
    finally:
        await parley.clean_up()
        await drop_database(postgres_url, database=database)


def _account(**fields: Any) -> dict[str, Any]:
    return {"username": f"new-{uuid4().hex[:12]}", "password": PASSWORD} | fields


@pytest.fixture
async def visitor(server: ParleyServer) -> AsyncIterator[Person]:
    async with Person(server.url) as visitor:
        yield visitor


async def test_signing_up_answers_with_the_user_the_session_and_the_token(visitor: Person) -> None:
    account = _account(display_name="  Ada Lovelace ")
    signed_in = done(await visitor.post("/auth/register", **account), 201, SIGNED_IN)
    assert signed_in["user"]["username"] == account["username"]
    assert signed_in["user"]["display_name"] == "Ada Lovelace"


async def test_who_gives_no_display_name_is_shown_by_their_user_name(visitor: Person) -> None:
    account = _account()
    signed_in = done(await visitor.post("/auth/register", **account), 201, SIGNED_IN)
    assert signed_in["user"]["display_name"] == account["username"]


async def test_the_first_account_alone_is_the_administrator(administrator: Person, new_person: NewPerson) -> None:
    assert done(await administrator.get("/me"), shape=OWN_USER)["is_admin"] is True
    assert done(await (await new_person()).get("/me"), shape=OWN_USER)["is_admin"] is False


async def test_a_user_name_is_taken_once(visitor: Person) -> None:
    account = _account()
    done(await visitor.post("/auth/register", **account), 201)
    refused(await visitor.post("/auth/register", **account), 409, "conflict", field="username")


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "abd"},
        {"username": "x" * 32},
        {"username": "a_b.c-d"},
        {"password": "x" * 8},
        {"password": "\N{SNOWMAN}" * 256},
        {"display_name": "x"},
        {"display_name": "\N{GRINNING FACE}" * 64},
        {"display_name": f" {'x' * 64} "},
        {"display_name": None, "invite": None},
    ],
    ids=str,
)
async def test_an_account_may_be_at_the_edge_of_its_limits(visitor: Person, fields: dict[str, Any]) -> None:
    done(await visitor.post("/auth/register", **_account(**fields)), 201, SIGNED_IN)


@pytest.mark.parametrize(
    ("fields", "field", "limit"),
    [
        ({"username": "ab"}, "username", "3 to 32"),
        ({"username": "a" * 33}, "username", "3 to 32"),
        ({"username": "Ada"}, "username", "a-z"),
        ({"username": "a da"}, "username", "a-z"),
        ({"username": " ada"}, "username", "a-z"),
        ({"username": "adä"}, "username", "a-z"),
        ({"username": "ada\n"}, "username", "a-z"),
        ({"password": "x" * 7}, "password", "8 to 256"),
        ({"password": "x" * 257}, "password", "8 to 256"),
        ({"display_name": ""}, "display_name", "1 to 64"),
        ({"display_name": "   "}, "display_name", "1 to 64"),
        ({"display_name": "x" * 65}, "display_name", "1 to 64"),
        ({"display_name": "a\x00b"}, "display_name", "control"),
        ({"display_name": "a\nb"}, "display_name", "control"),
        ({"display_name": "a\N{RIGHT-TO-LEFT OVERRIDE}b"}, "display_name", "control"),
        ({"display_name": "\N{ZERO WIDTH SPACE}"}, "display_name", "visible"),
    ],
    ids=str,
)
async def test_an_account_outside_its_limits_is_refused_with_the_field_and_the_limit(
    visitor: Person, fields: dict[str, Any], field: str, limit: str
) -> None:
    response = await visitor.post("/auth/register", **_account(**fields))
    refused(response, 422, "validation_failed", field=field, says=limit)


@pytest.mark.parametrize("missing", ["username", "password"])
@pytest.mark.parametrize("call", ["/auth/register", "/auth/login"])
async def test_a_user_name_and_a_password_are_needed(visitor: Person, call: str, missing: str) -> None:
    account = _account()
    del account[missing]
    refused(await visitor.post(call, **account), 422, "validation_failed", field=missing)


async def test_signing_in_answers_like_signing_up(new_person: NewPerson, visitor: Person) -> None:
    person = await new_person()
    account = {"username": person.username, "password": person.password}
    signed_in = done(await visitor.post("/auth/login", **account), 200, SIGNED_IN)
    assert signed_in["user"]["id"] == person.id
    assert signed_in["session"]["id"] != person.session_id
    assert signed_in["token"] != person.token


async def test_a_user_name_may_be_typed_in_capitals_and_with_spaces_around(
    new_person: NewPerson, visitor: Person
) -> None:
    person = await new_person()
    name = f" {person.username.upper()} "
    done(await visitor.post("/auth/login", username=name, password=person.password), 200, SIGNED_IN)


async def test_a_wrong_user_name_and_a_wrong_password_are_told_alike(new_person: NewPerson, visitor: Person) -> None:
    person = await new_person()
    attempts = [
        (person.username, "wrong password"),
        (person.username, ""),
        (person.username, "x" * 1000),
        (person.username, person.password + "\x00"),
        ("nobody-of-this-name", person.password),
        ("", ""),
        ("\x00", "\x00"),
        ("x" * 1000, person.password),
    ]
    answers = [await visitor.post("/auth/login", username=name, password=word) for name, word in attempts]
    for response in answers:
        refused(response, 401, "not_authenticated", says="The user name or the password is wrong.")
    assert len({response.content for response in answers}) == 1


async def test_the_cookie_is_kept_from_scripts_and_foreign_sites_until_the_session_ends(visitor: Person) -> None:
    response = await visitor.post("/auth/register", **_account())
    signed_in = done(response, 201)
    cookie = SimpleCookie(response.headers["set-cookie"])["parley_session"]
    assert cookie.value == signed_in["token"]
    assert cookie["httponly"] is True
    assert (cookie["samesite"].lower(), cookie["path"], cookie["domain"]) == ("lax", "/", "")
    assert cookie["secure"] == ""
    ends = datetime.strptime(cookie["expires"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert abs(ends - time_of(signed_in["session"]["expires_at"])) <= timedelta(seconds=1)


async def test_a_session_ends_seven_hours_after_signing_in(visitor: Person) -> None:
    signed_in = done(await visitor.post("/auth/register", **_account()), 201)
    left = time_of(signed_in["session"]["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=6, minutes=59) < left <= timedelta(hours=7)


async def test_the_cookie_and_the_token_are_the_same_credential(new_person: NewPerson) -> None:
    person = await new_person()
    async with httpx.AsyncClient(
        base_url=f"{person.url}/api/v1", trust_env=False, verify=False, timeout=30
    ) as client:
        for headers in (
            {"Cookie": f"parley_session={person.cookie}"},
            {"Cookie": f"other=1; parley_session={person.cookie}"},
            {"Authorization": f"Bearer {person.cookie}"},
            {"Authorization": f"bearer {person.token}"},
        ):
            assert done(await client.get("/me", headers=headers), shape=OWN_USER)["id"] == person.id


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer made-up"},
        {"Authorization": "Bearer made.up"},
        {"Authorization": "Bearer " + "x" * 4000},
        {"Authorization": "Basic YWRhOnBhc3N3b3Jk"},
        {"Authorization": b"Bearer \xff\xfe.\xff"},
        {"Cookie": "parley_session="},
        {"Cookie": "parley_session=made.up"},
        {"Cookie": b"parley_session=\xff; =;;"},
    ],
    ids=str,
)
async def test_without_a_valid_credential_nobody_is_signed_in(
    server: ParleyServer, headers: dict[str, str | bytes]
) -> None:
    raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers.items()]
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:
        refused(await client.get(f"{server.url}/api/v1/me", headers=raw), 401, "not_authenticated")


async def test_a_token_whose_signature_was_changed_is_no_credential(new_person: NewPerson) -> None:
    person = await new_person()
    secret, _, signature = person.token.partition(".")
    for forged in (secret, f"{secret}.", f"{secret}x.{signature}", f"{secret}.{signature[::-1]}"):
        response = await person.request("GET", "/me", headers={"Authorization": f"Bearer {forged}"})
        refused(response, 401, "not_authenticated")


async def test_signing_out_ends_the_session_and_takes_the_cookie_away(new_person: NewPerson) -> None:
    person = await new_person()
    response = await person.post("/auth/logout")
    done(response, 204)
    cookie = SimpleCookie(response.headers["set-cookie"])["parley_session"]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")
    refused(await person.get("/me"), 401, "not_authenticated")
    refused(await person.post("/auth/logout"), 401, "not_authenticated")


async def test_signing_out_leaves_other_sessions_alone(new_person: NewPerson) -> None:
    person = await new_person()
    async with Person(person.url, username=person.username) as elsewhere:
        await elsewhere.sign_in()
        done(await person.post("/auth/logout"), 204)
        done(await elsewhere.get("/me"))


async def test_one_changes_ones_display_name_for_everyone(pair: tuple[Person, Person]) -> None:
    ada, bob = pair
    changed = done(await ada.patch("/me", display_name=" Ada L. "), shape=OWN_USER)
    assert changed["display_name"] == "Ada L."
    assert done(await ada.get("/me"))["display_name"] == "Ada L."
    assert done(await bob.get(f"/users/{ada.id}"))["display_name"] == "Ada L."


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\x00b", "a\tb"])
async def test_a_display_name_outside_its_limits_is_refused(administrator: Person, name: str) -> None:
    response = await administrator.patch("/me", display_name=name)
    refused(response, 422, "validation_failed", field="display_name")


async def test_changing_ones_password_ends_all_sessions_but_the_one_that_asks(new_person: NewPerson) -> None:
    person = await new_person()
    change = {"current_password": person.password, "new_password": "another password"}
    async with Person(person.url, username=person.username) as phone:
        await phone.sign_in()
        async with phone.socket() as ended, person.socket() as own:
            done(await person.post("/me/password", **change), 204)
            assert await ended.closed(within=1) == 4401
            assert (await own.request("ping"))["type"] == "pong"
        refused(await phone.get("/me"), 401, "not_authenticated")
        old = await phone.post("/auth/login", username=phone.username, password=phone.password)
        refused(old, 401, "not_authenticated")
        phone.password = "another password"
        await phone.sign_in()
    refused(await person.post("/me/password", **change), 403, "forbidden", field="current_password")
    short = change | {"new_password": "short"}
    refused(await person.post("/me/password", **short), 422, "validation_failed", field="new_password", says="8")


async def test_a_session_that_expired_is_refused_everywhere(strict: tuple[ParleyServer, Person]) -> None:
    _, person = strict
    await person.sign_in()
    async with person.socket() as socket:
        done(await person.get("/me"))
        assert await socket.closed() == 4401
    refused(await person.get("/me"), 401, "not_authenticated")
    refused(await person.post("/chats", kind="group", title="Late"), 401, "not_authenticated")
    await person.sign_in()
    assert len(done(await person.get("/sessions"))["sessions"]) == 1


async def test_a_server_that_takes_no_new_accounts_takes_the_first(strict: tuple[ParleyServer, Person]) -> None:
    parley, first = strict
    assert (await first.sign_in())["user"]["is_admin"] is True
    async with Person(parley.url) as second:
        refused(await second.post("/auth/register", **_account()), 403, "forbidden")
        refused(await second.post("/auth/register", **_account(invite="x")), 403, "forbidden")
