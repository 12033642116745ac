import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

import models
from services import accounts, administration, chats, invites, members, sessions, views
from services.errors import Conflict, Forbidden, NotAuthenticated, NotFound, ValidationFailed
from services.parley import Parley
from tests.services.conftest import NewActor
from tests.support.actor import Actor

PASSWORD = "correct horse battery staple"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


async def sign_in(actor: Actor, password: str = PASSWORD) -> views.SignedIn:
    return await accounts.sign_in(
        actor.parley, username=actor.user.username, password=password, address=uuid4().hex, device="Firefox"
    )


async def holds(actor: Actor, signed_in: views.SignedIn) -> bool:
    return await sessions.authenticate(actor.parley, signed_in.token) is not None


async def set_password(admin: Actor, user: Actor, password: str) -> None:
    await administration.set_password(admin.parley, actor=admin.id, user_id=user.id, new_password=password)


@pytest.fixture
async def admin(new_actor: NewActor) -> Actor:
    return await new_actor(is_admin=True)


@pytest.fixture
async def eve(parley: Parley, new_actor: NewActor) -> Actor:
    """Someone whose password is `PASSWORD`."""
    actor = await new_actor(display_name="Eve")
    async with parley.transaction() as tx:
        await tx.session.execute(update(models.User).where(models.User.id == actor.id).values(password_hash=HASH))
    return actor


class TestSomeoneDeactivated:
    async def test_is_signed_out_everywhere_until_reactivated(self, admin: Actor, eve: Actor) -> None:
        here, there = await sign_in(eve), await sign_in(eve)
        for _ in range(2):
            await admin.do(administration.deactivate, user_id=eve.id)
        assert [await holds(eve, one) for one in (here, there)] == [False, False]
        await admin.do(administration.reactivate, user_id=eve.id)
        assert [await holds(eve, one) for one in (here, there)] == [False, False]
        assert await holds(eve, await sign_in(eve))

    async def test_cannot_sign_in_and_is_told_what_a_wrong_password_is_told(self, admin: Actor, eve: Actor) -> None:
        with pytest.raises(NotAuthenticated) as wrong:
            await sign_in(eve, "wrong password")
        await admin.do(administration.deactivate, user_id=eve.id)
        with pytest.raises(NotAuthenticated) as right:
            await sign_in(eve)
        assert (right.value.detail, right.value.field) == (wrong.value.detail, wrong.value.field)

    async def test_keeps_no_session_that_opens_meanwhile(self, admin: Actor, eve: Actor) -> None:
        signing_in = [asyncio.create_task(sign_in(eve)) for _ in range(6)]
        await asyncio.wait(signing_in, return_when=asyncio.FIRST_COMPLETED)
        await admin.do(administration.deactivate, user_id=eve.id)
        opened = await asyncio.gather(*signing_in, return_exceptions=True)
        assert not any([await holds(eve, one) for one in opened if isinstance(one, views.SignedIn)])

    async def test_is_found_by_administrators_alone(self, admin: Actor, ann: Actor, eve: Actor) -> None:
        await admin.do(administration.deactivate, user_id=eve.id)
        (found,) = await admin.see(accounts.search, query=eve.user.username)
        assert isinstance(found, views.OwnUser)
        assert not found.is_active
        assert await ann.see(accounts.search, query=eve.user.username) == []
        assert await admin.see(accounts.search, query=eve.user.username, only_active=True) == []
        assert await ann.see(accounts.get, user_id=eve.id) == eve.user

    async def test_keeps_messages_and_memberships(self, admin: Actor, ann: Actor, eve: Actor) -> None:
        chat_id = await ann.group(eve)
        await eve.say(chat_id, "Still here")
        await admin.do(administration.deactivate, user_id=eve.id)
        assert [one.user.id for one in await ann.see(members.list_of, chat_id=chat_id)] == [ann.id, eve.id]
        assert [one.body for one in (await ann.page(chat_id)).messages] == ["Still here"]

    async def test_is_taken_into_no_chat_and_made_no_owner(self, admin: Actor, ann: Actor, eve: Actor) -> None:
        without, within, private = await ann.group(), await ann.group(eve), await ann.private(eve)
        await admin.do(administration.deactivate, user_id=eve.id)
        attempts: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("user_id", lambda: ann.do(members.add, chat_id=without, user_id=eve.id)),
            ("user_id", lambda: ann.do(chats.transfer, chat_id=within, user_id=eve.id)),
            ("member_ids", lambda: ann.group(eve)),
            ("member_ids", lambda: admin.private(eve)),
        ]
        for field, attempt in attempts:
            with pytest.raises(ValidationFailed) as refused:
                await attempt()
            assert refused.value.field == field
        assert await ann.private(eve) == private

    async def test_has_no_invitations_any_more(self, admin: Actor, new_actor: NewActor) -> None:
        other = await new_actor(is_admin=True)
        invite = await other.do(invites.create, expires_in=60, uses=1, origin="")
        await admin.do(administration.deactivate, user_id=other.id)
        assert invite.code not in [one.code for one in await admin.see(invites.list_all, origin="")]
        with pytest.raises(Forbidden):
            await other.do(invites.create, expires_in=60, uses=1, origin="")


class TestAdministrators:
    async def test_alone_do_it(self, ann: Actor, eve: Actor) -> None:
        for act in (administration.deactivate, administration.reactivate):
            with pytest.raises(Forbidden):
                await ann.do(act, user_id=eve.id)
        with pytest.raises(Forbidden):
            await set_password(ann, eve, "another password")
        await sign_in(eve)

    async def test_do_it_to_people_who_exist(self, admin: Actor) -> None:
        for act in (administration.deactivate, administration.reactivate):
            with pytest.raises(NotFound):
                await admin.do(act, user_id=uuid4())

    async def test_do_not_deactivate_themselves(self, admin: Actor) -> None:
        with pytest.raises(Conflict):
            await admin.do(administration.deactivate, user_id=admin.id)

    async def test_who_deactivate_each_other_at_once_leave_one(self, admin: Actor, new_actor: NewActor) -> None:
        for _ in range(5):
            other = await new_actor(is_admin=True)
            outcomes = await asyncio.gather(
                admin.do(administration.deactivate, user_id=other.id),
                other.do(administration.deactivate, user_id=admin.id),
                return_exceptions=True,
            )
            assert [type(one) for one in outcomes if one is not None] == [Forbidden]
            if outcomes[0] is not None:
                admin = other

    async def test_set_a_password_and_end_all_sessions(self, admin: Actor, eve: Actor) -> None:
        before = await sign_in(eve)
        await set_password(admin, eve, "another password")
        assert not await holds(eve, before)
        with pytest.raises(NotAuthenticated):
            await sign_in(eve)
        await sign_in(eve, "another password")

    async def test_do_not_set_their_own(self, admin: Actor) -> None:
        with pytest.raises(Forbidden):
            await set_password(admin, admin, "another password")

    @pytest.mark.parametrize("password", ["x" * 7, "x" * 257])
    async def test_set_none_outside_its_limits(self, admin: Actor, eve: Actor, password: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await set_password(admin, eve, password)
        assert refused.value.field == "new_password"
