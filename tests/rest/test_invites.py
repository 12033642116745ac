from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import NewPerson
from tests.rest.checks import INVITE, done, fits, refused, time_of
from tests.support.person import Person
from tests.support.postgres_server import create_database, drop_database, execute
from tests.support.server import ParleyServer


@pytest.fixture(scope="module")
async def by_invitation(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Person, str]]:
    """The administrator of a Parley that asks for invitations, and its database's URL."""
    database = await create_database(postgres_url)
    folder = tmp_path_factory.mktemp("by-invitation")
    parley = ParleyServer(folder / "data", {"DATABASE_URL": database, "PARLEY_REGISTRATION": "invite"})
    try:
        await parley.start()
        async with Person.registered(parley.url) as first:
            yield first, database
        await parley.stop()
    finally:
        await parley.clean_up()
        await drop_database(postgres_url, database=database)


async def _invite(administrator: Person, **fields: Any) -> dict[str, Any]:
    invite: dict[str, Any] = done(
        await administrator.post("/invites", **{"expires_in": 3600, "uses": 1} | fields), 201, INVITE
    )
    return invite


async def _sign_up(url: str, **fields: Any) -> Any:
    async with Person(url) as person:
        return await person.post("/auth/register", username=person.username, password=person.password, **fields)


async def test_an_administrator_makes_lists_and_withdraws_invitations(administrator: Person) -> None:
    invite = await _invite(administrator, expires_in=60, uses=3)
    assert invite["url"] == f"{administrator.url}/sign-up?invite={invite['code']}"
    assert invite["uses_left"] == 3
    left = time_of(invite["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
    found = done(await administrator.get("/invites"))
    assert set(found) == {"invites"}
    for one in found["invites"]:
        fits(one, INVITE)
    assert found["invites"][0] == invite
    done(await administrator.delete(f"/invites/{invite['code']}"), 204)
    assert invite not in done(await administrator.get("/invites"))["invites"]
    refused(await administrator.delete(f"/invites/{invite['code']}"), 404, "not_found")


async def test_only_administrators_have_to_do_with_invitations(administrator: Person, new_person: NewPerson) -> None:
    person = await new_person()
    invite = await _invite(administrator)
    refused(await person.get("/invites"), 403, "forbidden")
    refused(await person.post("/invites", expires_in=60, uses=1), 403, "forbidden")
    refused(await person.delete(f"/invites/{invite['code']}"), 403, "forbidden")
    refused(await person.delete("/invites/no-such-code"), 403, "forbidden")


@pytest.mark.parametrize("fields", [{"expires_in": 1}, {"expires_in": 365 * 86400}, {"uses": 1}, {"uses": 10_000}])
async def test_an_invitation_may_be_at_the_edge_of_its_limits(administrator: Person, fields: dict[str, int]) -> None:
    await _invite(administrator, **fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expires_in": 0, "uses": 1}, "expires_in"),
        ({"expires_in": 365 * 86400 + 1, "uses": 1}, "expires_in"),
        ({"expires_in": -(10**30), "uses": 1}, "expires_in"),
        ({"expires_in": "60", "uses": 1}, "expires_in"),
        ({"expires_in": True, "uses": 1}, "expires_in"),
        ({"expires_in": 1.5, "uses": 1}, "expires_in"),
        ({"uses": 1}, "expires_in"),
        ({"expires_in": 60, "uses": 0}, "uses"),
        ({"expires_in": 60, "uses": 10_001}, "uses"),
        ({"expires_in": 60, "uses": None}, "uses"),
        ({"expires_in": 60}, "uses"),
    ],
    ids=str,
)
async def test_an_invitation_outside_its_limits_is_refused(
    administrator: Person, fields: dict[str, Any], field: str
) -> None:
    refused(await administrator.post("/invites", **fields), 422, "validation_failed", field=field)


async def test_where_invitations_are_needed_nobody_else_signs_up(by_invitation: tuple[Person, str]) -> None:
    url = by_invitation[0].url
    refused(await _sign_up(url), 403, "forbidden")
    for code in ("", "made-up", "\x00", "x" * 10_000):
        refused(await _sign_up(url, invite=code), 403, "forbidden", field="invite" if code else None)


async def test_an_invitation_admits_as_many_as_it_says(by_invitation: tuple[Person, str]) -> None:
    administrator, _ = by_invitation
    invite = await _invite(administrator, uses=2)
    done(await _sign_up(administrator.url, invite=invite["code"]), 201)
    assert done(await administrator.get("/invites"))["invites"][0] == {**invite, "uses_left": 1}
    done(await _sign_up(administrator.url, invite=invite["code"]), 201)
    refused(await _sign_up(administrator.url, invite=invite["code"]), 403, "forbidden", field="invite")
    assert done(await administrator.get("/invites"))["invites"] == []


async def test_who_could_not_sign_up_used_no_invitation(by_invitation: tuple[Person, str]) -> None:
    administrator, _ = by_invitation
    invite = await _invite(administrator)
    async with Person(administrator.url, username=administrator.username) as same_name:
        account = {"username": same_name.username, "password": same_name.password, "invite": invite["code"]}
        refused(await same_name.post("/auth/register", **account), 409, "conflict", field="username")
    done(await _sign_up(administrator.url, invite=invite["code"]), 201)


async def test_a_withdrawn_invitation_admits_nobody(by_invitation: tuple[Person, str]) -> None:
    administrator, _ = by_invitation
    invite = await _invite(administrator)
    done(await administrator.delete(f"/invites/{invite['code']}"), 204)
    refused(await _sign_up(administrator.url, invite=invite["code"]), 403, "forbidden", field="invite")


async def test_an_invitation_that_is_over_admits_nobody(by_invitation: tuple[Person, str]) -> None:
    administrator, database = by_invitation
    invite = await _invite(administrator)
    await execute(database, "UPDATE invites SET expires_at = now()")
    refused(await _sign_up(administrator.url, invite=invite["code"]), 403, "forbidden", field="invite")
    assert done(await administrator.get("/invites"))["invites"] == []
