import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

import models
from services import invites, views
from services.errors import Forbidden, NotFound, ValidationFailed
from services.parley import Parley
from tests.services.conftest import NewActor
from tests.support.actor import Actor

ORIGIN = "https://chat.example.org"


@pytest.fixture
async def admin(new_actor: NewActor) -> Actor:
    return await new_actor(is_admin=True)


async def invite(admin: Actor, **fields: Any) -> views.Invite:
    return await admin.do(invites.create, **({"expires_in": 3600, "uses": 1, "origin": ORIGIN} | fields))


async def use(parley: Parley, code: str) -> None:
    async with parley.transaction() as tx:
        await invites.use(tx, code=code)


async def listed(admin: Actor) -> list[str]:
    return [one.code for one in await admin.see(invites.list_all, origin=ORIGIN)]


async def test_an_invitation_is_a_link_with_an_end_and_a_number_of_uses(admin: Actor) -> None:
    made = await invite(admin, expires_in=60, uses=3)
    assert made.url == f"{ORIGIN}/sign-up?invite={made.code}"
    assert made.uses_left == 3
    assert timedelta(seconds=50) < made.expires_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert len(made.code) >= 20


async def test_the_newest_invitation_is_listed_first(admin: Actor) -> None:
    first, second = await invite(admin), await invite(admin)
    assert (await listed(admin))[:2] == [second.code, first.code]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": invites.LONGEST_SECONDS + 1}, "expires_in"),
        ({"uses": 0}, "uses"),
        ({"uses": invites.MOST_USES + 1}, "uses"),
    ],
)
async def test_a_number_outside_its_limits_is_refused(admin: Actor, fields: dict[str, int], field: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await invite(admin, **fields)
    assert refused.value.field == field


async def test_only_administrators_make_list_and_withdraw_them(admin: Actor, ann: Actor) -> None:
    made = await invite(admin)
    with pytest.raises(Forbidden):
        await invite(ann)
    with pytest.raises(Forbidden):
        await listed(ann)
    with pytest.raises(Forbidden):
        await ann.do(invites.withdraw, code=made.code)
    assert made.code in await listed(admin)


async def test_a_used_up_invitation_admits_nobody_and_is_not_listed(parley: Parley, admin: Actor) -> None:
    made = await invite(admin, uses=2)
    await use(parley, made.code)
    await use(parley, made.code)
    with pytest.raises(Forbidden) as refused:
        await use(parley, made.code)
    assert refused.value.field == "invite"
    assert made.code not in await listed(admin)


async def test_of_many_at_once_it_admits_no_more_than_it_says(parley: Parley, admin: Actor) -> None:
    made = await invite(admin, uses=3)
    answers = await asyncio.gather(*(use(parley, made.code) for _ in range(10)), return_exceptions=True)
    assert answers.count(None) == 3
    assert sum(isinstance(answer, Forbidden) for answer in answers) == 7


async def test_one_that_is_over_admits_nobody_and_is_not_listed(parley: Parley, admin: Actor) -> None:
    made = await invite(admin)
    async with parley.transaction() as tx:
        await tx.session.execute(
            update(models.Invite)
            .where(models.Invite.code == made.code)
            .values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        )
    with pytest.raises(Forbidden):
        await use(parley, made.code)
    assert made.code not in await listed(admin)


async def test_a_withdrawn_one_admits_nobody(parley: Parley, admin: Actor) -> None:
    made = await invite(admin)
    await admin.do(invites.withdraw, code=made.code)
    with pytest.raises(Forbidden):
        await use(parley, made.code)
    with pytest.raises(NotFound):
        await admin.do(invites.withdraw, code=made.code)


@pytest.mark.parametrize("code", ["", "made-up", "nul\x00", "x" * 10_000])
async def test_a_made_up_one_admits_nobody(parley: Parley, code: str) -> None:
    with pytest.raises(Forbidden):
        await use(parley, code)
