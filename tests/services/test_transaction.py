import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

import models
from services import chats
from services.errors import Unavailable
from services.parley import Parley
from services.transaction import Transaction
from tests.services.conftest import Connect, NewParley, settings_of
from tests.support.actor import Actor
from tests.support.postgres_server import end_connections, execute
from tests.support.processes import free_port


@pytest.mark.parametrize("turns", [1, 5, 10, 20, 30, 40, 60])
async def test_a_request_that_is_cancelled_has_happened_and_is_told_or_neither(
    ann: Actor, connect: Connect, turns: int
) -> None:
    chat_id = await ann.group()
    client = await connect(ann)
    request = asyncio.create_task(ann.do(chats.rename, chat_id=chat_id, title="Renamed"))
    for _ in range(turns):
        await asyncio.sleep(0)
    request.cancel()
    await asyncio.wait([request])
    assert client.numbers(chat_id) == list(range(2, await ann.seq(chat_id) + 1))


@pytest.mark.parametrize("times", [1, 2, 20])
async def test_a_request_that_is_cancelled_while_it_commits_still_announces(
    ann: Actor, connect: Connect, times: int
) -> None:
    chat_id = await ann.group()
    client = await connect(ann)
    committing = asyncio.Event()

    async def request() -> None:
        async with ann.parley.transaction() as tx:
            await chats.rename(tx, actor=ann.id, chat_id=chat_id, title="committed")
            committing.set()

    task = asyncio.create_task(request())
    await committing.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ann.chat(chat_id)).title == "committed"
    assert client.numbers(chat_id) == [2]


async def test_nothing_is_announced_before_it_is_committed(ann: Actor, connect: Connect) -> None:
    chat_id = await ann.group()
    client = await connect(ann)
    async with ann.parley.transaction() as tx:
        await chats.rename(tx, actor=ann.id, chat_id=chat_id, title="wait")
        assert client.numbers(chat_id) == []
        assert (await ann.chat(chat_id)).title == "Group"
    assert client.numbers(chat_id) == [2]


async def test_an_action_that_fails_leaves_nothing(ann: Actor, connect: Connect) -> None:
    chat_id = await ann.group()
    client = await connect(ann)

    async def rename_and_break(tx: Transaction, *, actor: UUID) -> None:
        await chats.rename(tx, actor=actor, chat_id=chat_id, title="broken")
        tx.session.add(models.Member(chat_id=chat_id, user_id=actor, version=1, read_seq=1))
        await tx.session.flush()

    with pytest.raises(IntegrityError):
        await ann.do(rename_and_break)
    assert (await ann.chat(chat_id)).title == "Group"
    assert client.numbers(chat_id) == []


async def test_a_snapshot_sees_one_moment_and_changes_nothing(parley: Parley, ann: Actor) -> None:
    chat_id = await ann.group()
    async with parley.snapshot() as tx:
        before = await chats.get(tx, actor=ann.id, chat_id=chat_id)
        await ann.say(chat_id)
        tx.session.expunge_all()
        assert await chats.get(tx, actor=ann.id, chat_id=chat_id) == before
        chat = await tx.session.get_one(models.Chat, chat_id)
        chat.title = "never stored"
    assert (await ann.chat(chat_id)).title == "Group"


async def test_readers_who_give_up_at_any_moment_leave_nothing_behind(new_parley: NewParley) -> None:
    parley = await new_parley(database_pool=2)
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    sent = await ann.say(chat_id)
    for turns in range(60):
        reading = asyncio.create_task(ann.page(chat_id, limit=10))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert (await ann.page(chat_id, limit=10)).messages == [sent]
    await ann.say(chat_id)
    assert len((await ann.page(chat_id, limit=10)).messages) == 2


async def test_a_database_that_is_away_is_told_as_unavailable() -> None:
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/nothing"
    parley = Parley(settings_of(url), url)
    for opened in (parley.transaction, parley.snapshot):
        with pytest.raises(Unavailable) as refused:
            await ask(opened)
        assert refused.value.retry_after
    await parley.engine.dispose()


async def ask(opened: Callable[[], AbstractAsyncContextManager[Transaction]]) -> None:
    async with opened() as tx:
        await tx.session.execute(select(func.now()))


async def test_a_database_that_does_not_answer_in_time_is_told_as_unavailable(new_parley: NewParley) -> None:
    parley = await new_parley(database_timeout=0.3)
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    async with parley.transaction() as tx:
        await tx.session.execute(text("LOCK TABLE chats"))
        with pytest.raises(Unavailable):
            await ann.say(chat_id)
    assert (await ann.say(chat_id, "now it does")).seq == 2


async def test_when_all_connections_are_taken_one_is_told_so_in_time(new_parley: NewParley) -> None:
    parley = await new_parley(database_timeout=0.3, database_pool=2)
    async with parley.transaction() as one, parley.transaction() as another:
        for tx in (one, another):
            await tx.session.execute(select(func.now()))
        with pytest.raises(Unavailable):
            await ask(parley.transaction)
    await ask(parley.transaction)


async def test_when_all_connections_died_the_next_request_gets_a_new_one(new_parley: NewParley) -> None:
    parley = await new_parley(database_pool=4)
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    await asyncio.gather(*(ask(parley.snapshot) for _ in range(3)))
    await end_connections(parley.engine.url.render_as_string(hide_password=False))
    assert (await ann.say(chat_id, "as if nothing had happened")).seq == 2


@pytest.mark.parametrize(
    "state",
    [
        "57P03",  # cannot_connect_now: it starts up, shuts down or recovers
        "57P02",  # crash_shutdown
        "25006",  # read_only_sql_transaction
        "53100",  # disk_full
        "53300",  # too_many_connections
        "58030",  # io_error
        "40P01",  # deadlock_detected
        "XX001",  # data_corrupted
    ],
)
async def test_what_the_database_cannot_do_now_is_told_as_unavailable(parley: Parley, state: str) -> None:
    with pytest.raises(Unavailable):
        async with parley.transaction() as tx:
            await tx.session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING errcode = '{state}'; END $$"))


async def test_a_database_that_only_reads_is_read(new_parley: NewParley) -> None:
    parley = await new_parley()
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    url = parley.engine.url.render_as_string(hide_password=False)
    await execute(url, f'ALTER DATABASE "{parley.engine.url.database}" SET default_transaction_read_only = on')
    await end_connections(url)
    with pytest.raises(Unavailable):
        await ann.say(chat_id)
    assert (await ann.page(chat_id)).messages == []


@pytest.mark.parametrize(
    ("statement", "value"), [("SELECT CAST(:value AS bigint)", 2**70), ("SELECT 1 / CAST(:value AS int)", 0)]
)
async def test_a_statement_that_can_never_work_is_not_told_as_unavailable(
    parley: Parley, statement: str, value: int
) -> None:
    with pytest.raises(DBAPIError):
        async with parley.snapshot() as tx:
            await tx.session.execute(text(statement), {"value": value})
