import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

import models
from services import accounts, sessions, views
from services.errors import NotFound
from services.parley import Parley
from services.sessions import Tokens
from tests.services.conftest import NewParley
from tests.support.actor import Actor
from tests.support.eventually import eventually
from tests.support.postgres_server import end_connections, execute
from tests.support.processes import free_port, until
from tests.support.redis_server import RedisServer

LEEWAY = 0.5
"""Seconds that a busy machine may take on top of what is promised."""


async def open_session(actor: Actor) -> views.SignedIn:
    async with actor.parley.transaction() as tx:
        user = await tx.session.get_one(models.User, actor.id)
        return await sessions.open_session(
            tx, actor.parley.tokens, user=user, address="10.0.0.1", device="Firefox " + "x" * 500
        )


async def change(parley: Parley, session_id: UUID, **values: datetime) -> None:
    async with parley.transaction() as tx:
        await tx.session.execute(update(models.Session).where(models.Session.id == session_id).values(**values))


async def holds(parley: Parley, signed_in: views.SignedIn) -> bool:
    return await sessions.authenticate(parley, signed_in.token) is not None


class TestATokensSession:
    async def test_tells_who_is_signed_in_and_until_when(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        for _ in range(2):
            session = await sessions.authenticate(parley, signed_in.token)
            assert session is not None
            assert session.id == signed_in.session.id
            assert session.user.id == ann.id
            assert session.expires_at == signed_in.session.expires_at

    async def test_ends_seven_hours_after_sign_in(self, ann: Actor) -> None:
        before = datetime.now(UTC)
        signed_in = await open_session(ann)
        expected = timedelta(hours=7)
        assert before + expected <= signed_in.session.expires_at <= datetime.now(UTC) + expected

    async def test_is_over_once_it_has_expired(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        await change(parley, signed_in.session.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert not await holds(parley, signed_in)

    async def test_expires_in_time_though_it_is_cached(self, new_parley: NewParley) -> None:
        parley = await new_parley(session_hours=1.5 / 3600)
        actor = await Actor.create(parley)
        signed_in = await open_session(actor)
        assert await holds(parley, signed_in)
        while datetime.now(UTC) < signed_in.session.expires_at:
            await sessions.authenticate(parley, signed_in.token)
        assert not await holds(parley, signed_in)

    async def test_holds_though_the_database_only_reads(self, new_parley: NewParley) -> None:
        parley = await new_parley()
        signed_in = await open_session(await Actor.create(parley))
        await change(parley, signed_in.session.id, last_seen_at=datetime.now(UTC) - timedelta(hours=1))
        url = parley.engine.url.render_as_string(hide_password=False)
        await execute(url, f'ALTER DATABASE "{parley.engine.url.database}" SET default_transaction_read_only = on')
        await end_connections(url)
        assert await holds(parley, signed_in)

    @pytest.mark.parametrize("token", [None, "", "x", "x.y", "a.b.c", "\x00", "ä" * 50, "x" * 100_000])
    async def test_is_not_opened_by_a_made_up_token(self, parley: Parley, token: str | None) -> None:
        assert await sessions.authenticate(parley, token) is None

    async def test_is_not_opened_by_a_token_that_was_tampered_with(self, parley: Parley, ann: Actor) -> None:
        token = (await open_session(ann)).token
        for at in range(0, len(token), 5):
            other = "A" if token[at] != "A" else "B"
            assert await sessions.authenticate(parley, token[:at] + other + token[at + 1 :]) is None

    async def test_is_not_opened_by_a_token_that_another_server_signed(self, parley: Parley) -> None:
        token, _ = Tokens("another key than ours").issue()
        assert parley.tokens.read(token) is None
        assert await sessions.authenticate(parley, token) is None

    async def test_is_not_opened_by_a_signed_secret_that_nobody_was_given(self, parley: Parley) -> None:
        token, _ = parley.tokens.issue()
        assert await sessions.authenticate(parley, token) is None

    async def test_cannot_be_opened_with_what_the_table_holds(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        async with parley.snapshot() as tx:
            stored = (await tx.session.get_one(models.Session, signed_in.session.id)).secret_hash
        for token in (stored.hex(), stored.decode("latin-1"), signed_in.token.rpartition(".")[0]):
            assert await sessions.authenticate(parley, token) is None

    async def test_shows_a_change_of_the_name_at_once(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        assert await holds(parley, signed_in)
        await ann.do(accounts.rename, display_name="Anna")
        session = await sessions.authenticate(parley, signed_in.token)
        assert session is not None
        assert session.user.display_name == "Anna"

    async def test_notes_when_it_was_last_seen_to_the_minute(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        long_ago = datetime.now(UTC) - timedelta(minutes=5)
        await change(parley, signed_in.session.id, last_seen_at=long_ago)
        await holds(parley, signed_in)
        (seen,) = await ann.see(sessions.list_active, current=signed_in.session.id)
        assert datetime.now(UTC) - seen.last_seen_at < timedelta(minutes=1)


class TestEndingSessions:
    async def test_an_ended_session_is_over_at_once_though_it_was_cached(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        assert await holds(parley, signed_in)
        await ann.do(sessions.end, session_id=signed_in.session.id)
        assert not await holds(parley, signed_in)

    async def test_those_who_watch_an_ended_session_are_told(self, parley: Parley, ann: Actor) -> None:
        session = (await open_session(ann)).session
        told: list[str] = []
        parley.session_ends.watch(session.id, session.expires_at, lambda: told.append("over"))
        await ann.do(sessions.end, session_id=session.id)
        assert told == ["over"]

    async def test_one_cannot_end_somebody_elses(self, parley: Parley, ann: Actor, ben: Actor) -> None:
        signed_in = await open_session(ann)
        with pytest.raises(NotFound):
            await ben.do(sessions.end, session_id=signed_in.session.id)
        assert await holds(parley, signed_in)

    async def test_one_that_is_over_cannot_be_ended_again(self, ann: Actor) -> None:
        signed_in = await open_session(ann)
        await ann.do(sessions.end, session_id=signed_in.session.id)
        for session_id in (signed_in.session.id, uuid4()):
            with pytest.raises(NotFound):
                await ann.do(sessions.end, session_id=session_id)

    async def test_all_others_end_but_not_this_one_nor_anyone_elses(
        self, parley: Parley, ann: Actor, ben: Actor
    ) -> None:
        this, other, theirs = await open_session(ann), await open_session(ann), await open_session(ben)
        await ann.do(sessions.end_others, keep=this.session.id)
        assert [await holds(parley, one) for one in (this, other, theirs)] == [True, False, True]

    async def test_the_rows_of_expired_sessions_are_forgotten_and_others_stay(
        self, parley: Parley, ann: Actor
    ) -> None:
        old, new = await open_session(ann), await open_session(ann)
        await change(parley, old.session.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        async with parley.transaction() as tx:
            await sessions.forget_expired(tx)
        async with parley.snapshot() as tx:
            assert await tx.session.get(models.Session, old.session.id) is None
            assert await tx.session.get(models.Session, new.session.id) is not None


class TestANodeThatIsCutOffFromRedis:
    async def test_ends_sessions_on_the_others_within_a_second(
        self, new_parley: NewParley, redis: RedisServer
    ) -> None:
        node = await new_parley(REDIS_URL=redis.url)
        nowhere = f"redis://127.0.0.1:{free_port()}/0"
        cut_off = await new_parley(database_url=node.settings.database_url, REDIS_URL=nowhere)
        actor = await Actor.create(cut_off)
        watched, cached = await open_session(actor), await open_session(actor)
        told: list[float] = []
        node.session_ends.watch(watched.session.id, watched.session.expires_at, lambda: told.append(time.monotonic()))
        assert await holds(node, cached)
        began = time.monotonic()
        async with cut_off.transaction() as tx:
            await sessions.end_all(tx, user_id=actor.id)

        async def over() -> bool:
            return not await holds(node, cached)

        await until(over, within=1 + LEEWAY, otherwise=lambda: "the cached session still holds")
        assert time.monotonic() - began < 1 + LEEWAY
        await eventually(lambda: told)
        assert told[0] - began < 1 + LEEWAY


class TestTheListOfSessions:
    async def test_shows_where_one_is_signed_in_the_latest_first(self, ann: Actor, ben: Actor) -> None:
        first, second = await open_session(ann), await open_session(ann)
        await open_session(ben)
        listed = await ann.see(sessions.list_active, current=first.session.id)
        assert [(one.id, one.current) for one in listed] == [(second.session.id, False), (first.session.id, True)]
        assert listed[0].address == "10.0.0.1"
        assert listed[0].device.startswith("Firefox")
        assert len(listed[0].device) == sessions.LONGEST_DEVICE

    async def test_leaves_out_what_has_expired(self, parley: Parley, ann: Actor) -> None:
        signed_in = await open_session(ann)
        await change(parley, signed_in.session.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert await ann.see(sessions.list_active, current=uuid4()) == []

    async def test_tells_which_of_many_are_over(self, parley: Parley, ann: Actor) -> None:
        held, ended, late = [await open_session(ann) for _ in range(3)]
        await ann.do(sessions.end, session_id=ended.session.id)
        await change(parley, late.session.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        async with parley.snapshot() as tx:
            asked = [held.session.id, ended.session.id, late.session.id]
            assert set(await sessions.ended_of(tx, session_ids=asked)) == {ended.session.id, late.session.id}


class TestTheSigningKey:
    async def test_is_made_once_and_the_same_for_all(self, parley: Parley) -> None:
        keys = set()
        for _ in range(2):
            async with parley.transaction() as tx:
                keys.add(await sessions.signing_key(tx))
        assert len(keys) == 1
        assert len(keys.pop()) >= 32

    async def test_is_the_one_of_the_settings_if_there_is_one(self, new_parley: NewParley) -> None:
        parley = await new_parley(secret="a secret of the operator")
        async with parley.transaction() as tx:
            assert await sessions.signing_key(tx) == "a secret of the operator"
        token, secret_hash = Tokens("a secret of the operator").issue()
        assert parley.tokens.read(token) == secret_hash
