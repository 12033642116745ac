import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

import models
from services import accounts, invites, sessions, views
from services.errors import Conflict, Forbidden, NotAuthenticated, NotFound, RateLimited, ValidationFailed
from services.parley import Parley
from tests.services.conftest import NewActor, NewParley
from tests.support.actor import Actor

PASSWORD = "correct horse battery staple"
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def unique(prefix: str = "person") -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


async def register(parley: Parley, username: str = "", **fields: Any) -> views.SignedIn:
    fields = {"password": PASSWORD, "address": unique("address"), "device": "Firefox"} | fields
    return await accounts.register(parley, username=username or unique(), **fields)


async def sign_in(parley: Parley, username: str, password: str = PASSWORD, *, address: str = "") -> views.SignedIn:
    return await accounts.sign_in(
        parley, username=username, password=password, address=address or unique("address"), device="Firefox"
    )


async def set_hash(parley: Parley, user_id: object, password_hash: str) -> None:
    async with parley.transaction() as tx:
        await tx.session.execute(
            update(models.User).where(models.User.id == user_id).values(password_hash=password_hash)
        )


@pytest.fixture
async def member(parley: Parley, new_actor: NewActor) -> Actor:
    """Someone whose password is `PASSWORD`."""
    actor = await new_actor()
    await set_hash(parley, actor.id, WEAK.hash(PASSWORD))
    return actor


class TestSigningUp:
    async def test_opens_a_session_at_once(self, parley: Parley) -> None:
        signed_in = await register(parley, display_name="  Ann  ")
        session = await sessions.authenticate(parley, signed_in.token)
        assert session is not None
        assert session.user == signed_in.user
        assert signed_in.user.display_name == "Ann"

    async def test_the_user_name_is_the_display_name_unless_one_is_given(self, parley: Parley) -> None:
        signed_in = await register(parley, "plain-name")
        assert signed_in.user.display_name == "plain-name"

    async def test_the_password_is_not_stored(self, parley: Parley) -> None:
        signed_in = await register(parley)
        async with parley.snapshot() as tx:
            user = await tx.session.get_one(models.User, signed_in.user.id)
        assert PASSWORD not in user.password_hash
        assert user.password_hash.startswith("$argon2id$")

    async def test_a_taken_name_is_refused(self, parley: Parley, member: Actor) -> None:
        with pytest.raises(Conflict) as refused:
            await register(parley, member.user.username)
        assert refused.value.field == "username"

    async def test_of_many_who_want_one_name_at_once_one_gets_it(self, parley: Parley) -> None:
        name = unique()
        answers = await asyncio.gather(*(register(parley, name) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(answer, views.SignedIn) for answer in answers) == 1
        assert sum(isinstance(answer, Conflict) for answer in answers) == 3

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"username": "Capital"}, "username"),
            ({"password": "1234567"}, "password"),
            ({"password": "x" * 257}, "password"),
            ({"display_name": " "}, "display_name"),
            ({"display_name": "x" * 65}, "display_name"),
        ],
    )
    async def test_a_field_outside_its_limits_is_named(
        self, parley: Parley, fields: dict[str, str], field: str
    ) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await register(parley, **fields)
        assert refused.value.field == field

    async def test_too_many_from_one_address_have_to_wait(self, parley: Parley) -> None:
        address = unique("address")
        for _ in range(parley.settings.sign_ups_per_hour):
            await register(parley, address=address)
        with pytest.raises(RateLimited) as refused:
            await register(parley, address=address)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 3600
        await register(parley)


class TestTheFirstAccount:
    async def test_is_the_one_administrator_also_when_ten_sign_up_at_once(self, new_parley: NewParley) -> None:
        parley = await new_parley()
        answers = await asyncio.gather(*(register(parley) for _ in range(10)))
        assert sum(answer.user.is_admin for answer in answers) == 1

    @pytest.mark.parametrize("mode", ["invite", "closed"])
    async def test_needs_nobodys_permission(self, new_parley: NewParley, mode: str) -> None:
        parley = await new_parley(registration=mode)
        async with parley.snapshot() as tx:
            assert not await accounts.exist(tx)
        assert (await register(parley)).user.is_admin
        async with parley.snapshot() as tx:
            assert await accounts.exist(tx)
        with pytest.raises(Forbidden):
            await register(parley)


class TestWhereInvitationsAreNeeded:
    async def test_one_admits_as_many_as_it_says(self, new_parley: NewParley) -> None:
        parley = await new_parley(registration="invite")
        admin = (await register(parley)).user
        async with parley.transaction() as tx:
            invite = await invites.create(tx, actor=admin.id, expires_in=60, uses=1, origin="https://x")
        assert not (await register(parley, invite=invite.code)).user.is_admin
        for code in (invite.code, "made-up", "nul\x00", ""):
            with pytest.raises(Forbidden):
                await register(parley, invite=code)

    async def test_a_sign_up_that_fails_uses_none_up(self, new_parley: NewParley) -> None:
        parley = await new_parley(registration="invite")
        admin = (await register(parley)).user
        async with parley.transaction() as tx:
            invite = await invites.create(tx, actor=admin.id, expires_in=60, uses=1, origin="https://x")
        with pytest.raises(Conflict):
            await register(parley, admin.username, invite=invite.code)
        await register(parley, invite=invite.code)

    async def test_where_registration_is_closed_none_helps(self, new_parley: NewParley) -> None:
        parley = await new_parley(registration="closed")
        admin = (await register(parley)).user
        async with parley.transaction() as tx:
            invite = await invites.create(tx, actor=admin.id, expires_in=60, uses=1, origin="https://x")
        with pytest.raises(Forbidden):
            await register(parley, invite=invite.code)


class TestSigningIn:
    async def test_opens_a_new_session_each_time(self, parley: Parley, member: Actor) -> None:
        first, second = [await sign_in(parley, member.user.username) for _ in range(2)]
        assert first.token != second.token
        assert first.session.id != second.session.id
        assert first.user.id == second.user.id == member.id

    async def test_does_not_mind_capitals_or_spaces_around_the_name(self, parley: Parley, member: Actor) -> None:
        await sign_in(parley, f" {member.user.username.upper()} ")

    async def test_a_wrong_name_and_a_wrong_password_are_told_alike(self, parley: Parley, member: Actor) -> None:
        told = []
        for name, password in [(member.user.username, "wrong password"), (unique(), PASSWORD), ("\x00", PASSWORD)]:
            with pytest.raises(NotAuthenticated) as refused:
                await sign_in(parley, name, password)
            told.append((refused.value.detail, refused.value.field, refused.value.code))
        assert len(set(told)) == 1

    async def test_an_overlong_password_is_just_wrong(self, parley: Parley, member: Actor) -> None:
        with pytest.raises(NotAuthenticated):
            await sign_in(parley, member.user.username, "x" * 100_000)

    async def test_renews_a_hash_that_is_weaker_than_those_of_today(self, parley: Parley, member: Actor) -> None:
        await sign_in(parley, member.user.username)
        async with parley.snapshot() as tx:
            renewed = (await tx.session.get_one(models.User, member.id)).password_hash
        assert not parley.passwords.is_outdated(renewed)
        await sign_in(parley, member.user.username)

    async def test_fails_too_often_for_one_account_from_one_address(self, parley: Parley, member: Actor) -> None:
        address = unique("address")
        for _ in range(parley.settings.failed_sign_ins_per_account):
            with pytest.raises(NotAuthenticated):
                await sign_in(parley, member.user.username, "wrong password", address=address)
        with pytest.raises(RateLimited) as refused:
            await sign_in(parley, member.user.username, address=address)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 600

    async def test_a_stranger_cannot_lock_an_account(self, parley: Parley, member: Actor) -> None:
        stranger = unique("address")
        for _ in range(parley.settings.failed_sign_ins_per_account):
            with pytest.raises(NotAuthenticated):
                await sign_in(parley, member.user.username, "wrong password", address=stranger)
        await sign_in(parley, member.user.username)

    async def test_fails_too_often_from_one_address_whatever_the_account(self, parley: Parley) -> None:
        address = unique("address")
        for _ in range(parley.settings.failed_sign_ins_per_hour):
            with pytest.raises(NotAuthenticated):
                await sign_in(parley, unique(), address=address)
        with pytest.raises(RateLimited):
            await sign_in(parley, unique(), address=address)

    async def test_what_succeeds_does_not_count(self, parley: Parley, member: Actor) -> None:
        address = unique("address")
        for _ in range(parley.settings.failed_sign_ins_per_account + 1):
            await sign_in(parley, member.user.username, address=address)

    async def test_a_refusal_for_one_account_does_not_count_for_the_address(self, parley: Parley) -> None:
        address, name = unique("address"), unique()
        for _ in range(parley.settings.failed_sign_ins_per_account):
            with pytest.raises(NotAuthenticated):
                await sign_in(parley, name, address=address)
        for _ in range(parley.settings.failed_sign_ins_per_hour):
            with pytest.raises(RateLimited):
                await sign_in(parley, name, address=address)
        with pytest.raises(NotAuthenticated):
            await sign_in(parley, unique(), address=address)

    async def test_nothing_is_limited_where_limits_are_off(self, new_parley: NewParley) -> None:
        parley = await new_parley(limits="off", failed_sign_ins_per_hour=1)
        for _ in range(3):
            with pytest.raises(NotAuthenticated):
                await sign_in(parley, "one", address="10.0.0.1")


class TestChangingOnesPassword:
    async def change(self, member: Actor, current: str, new: str, *, keep: UUID, address: str = "") -> None:
        await accounts.change_password(
            member.parley,
            actor=member.id,
            session_id=keep,
            current_password=current,
            new_password=new,
            address=address or unique("address"),
        )

    async def test_ends_all_sessions_but_the_one_it_is_done_in(self, parley: Parley, member: Actor) -> None:
        this, other = [await sign_in(parley, member.user.username) for _ in range(2)]
        await self.change(member, PASSWORD, "another password", keep=this.session.id)
        held = [await sessions.authenticate(parley, one.token) is not None for one in (this, other)]
        assert held == [True, False]
        with pytest.raises(NotAuthenticated):
            await sign_in(parley, member.user.username)
        await sign_in(parley, member.user.username, "another password")

    async def test_takes_the_one_that_one_has(self, parley: Parley, member: Actor) -> None:
        this, other = [await sign_in(parley, member.user.username) for _ in range(2)]
        with pytest.raises(Forbidden) as refused:
            await self.change(member, "wrong password", "another password", keep=this.session.id)
        assert refused.value.field == "current_password"
        assert await sessions.authenticate(parley, other.token)
        await sign_in(parley, member.user.username)

    @pytest.mark.parametrize("password", ["x" * 7, "x" * 257])
    async def test_to_one_outside_its_limits_is_refused(self, member: Actor, password: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await self.change(member, PASSWORD, password, keep=uuid4())
        assert refused.value.field == "new_password"

    async def test_counts_wrong_guesses_with_the_failed_sign_ins(self, parley: Parley, member: Actor) -> None:
        address = unique("address")
        for _ in range(parley.settings.failed_sign_ins_per_account):
            with pytest.raises(Forbidden):
                await self.change(member, "wrong password", "another password", keep=uuid4(), address=address)
        with pytest.raises(RateLimited):
            await self.change(member, PASSWORD, "another password", keep=uuid4(), address=address)
        with pytest.raises(RateLimited):
            await sign_in(parley, member.user.username, address=address)

    async def test_leaves_no_session_that_the_old_one_opens_meanwhile(self, parley: Parley, member: Actor) -> None:
        this = await sign_in(parley, member.user.username)
        await set_hash(parley, member.id, WEAK.hash(PASSWORD))  # so that signing in renews it, which takes long
        changing = asyncio.create_task(self.change(member, PASSWORD, "another password", keep=this.session.id))
        opening = [asyncio.create_task(sign_in(parley, member.user.username)) for _ in range(6)]
        await changing
        opened = await asyncio.gather(*opening, return_exceptions=True)
        tokens = [one.token for one in opened if isinstance(one, views.SignedIn)]
        assert not any([await sessions.authenticate(parley, token) for token in tokens])
        await sign_in(parley, member.user.username, "another password")


class TestPeople:
    async def test_one_sees_oneself_with_whether_one_administers(self, ann: Actor) -> None:
        me = await ann.see(accounts.me)
        assert (me.id, me.display_name, me.is_admin) == (ann.id, "Ann", False)

    async def test_only_administrators_see_who_else_administers(
        self, ann: Actor, ben: Actor, new_actor: NewActor
    ) -> None:
        admin = await new_actor(is_admin=True)
        assert isinstance(await admin.see(accounts.get, user_id=ann.id), views.OwnUser)
        assert not isinstance(await ben.see(accounts.get, user_id=ann.id), views.OwnUser)
        assert isinstance(await ann.see(accounts.get, user_id=ann.id), views.OwnUser)

    async def test_nobody_is_found_by_an_unknown_id(self, ann: Actor) -> None:
        with pytest.raises(NotFound):
            await ann.see(accounts.get, user_id=uuid4())

    async def test_one_takes_another_display_name(self, ann: Actor, ben: Actor) -> None:
        assert (await ann.do(accounts.rename, display_name=" Anna ")).display_name == "Anna"
        assert (await ben.see(accounts.get, user_id=ann.id)).display_name == "Anna"

    async def test_a_display_name_outside_its_limits_is_refused(self, ann: Actor) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(accounts.rename, display_name="x" * 65)
        assert refused.value.field == "display_name"

    async def test_people_are_found_by_a_part_of_either_name(self, ann: Actor, new_actor: NewActor) -> None:
        mark = uuid4().hex[:8]
        found = await new_actor(display_name=f"Zoë {mark.upper()} Smith")
        assert [user.id for user in await ann.see(accounts.search, query=f" {mark} sm")] == [found.id]
        assert [user.id for user in await ann.see(accounts.search, query=found.user.username.upper())] == [found.id]

    @pytest.mark.parametrize("query", ["%", "_%_", "\\", "'; DROP TABLE users; --"])
    async def test_signs_of_the_query_language_mean_nothing(self, ann: Actor, query: str) -> None:
        assert await ann.see(accounts.search, query=query) == []

    async def test_an_empty_query_finds_anyone(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        assert len(await ann.see(accounts.search, query="", limit=3)) == 3

    @pytest.mark.parametrize("query", ["x" * 201, "a\x00"])
    async def test_an_impossible_query_is_refused(self, ann: Actor, query: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.see(accounts.search, query=query)
        assert refused.value.field == "q"
