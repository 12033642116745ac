import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.conftest import FreshDatabase, NewPerson, StartServer
from tests.faults.conftest import LIMIT, Lone, Pair, ready
from tests.support.person import Person
from tests.support.postgres_server import query
from tests.support.processes import until
from tests.support.server import ParleyServer
from tests.support.way import Way

WAITING = 1.0
NETWORK = 1.0
READY_WITHIN = 1.5
BUSY = 4.0
"""Seconds that a busy machine may take longer than what is promised."""

OURS = "datname = current_database()"

BOTH = {"to_server": True, "to_client": True}
DIRECTIONS = [BOTH, BOTH | {"to_server": False}]


async def try_to_say(person: Person, chat_id: str, nonce: str) -> tuple[int, float]:
    """Send a message once.

    :return: the answer's status, and how long it took in seconds.
    """
    began = time.monotonic()
    response = await person.post(f"/chats/{chat_id}/messages", body="Hello", nonce=nonce)
    return response.status_code, time.monotonic() - began


async def ask(server: ParleyServer, path: str) -> tuple[int, float]:
    """Get what is for operators; the status, and how long it took in seconds."""
    began = time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        response = await client.get(f"{server.url}{path}")
    return response.status_code, time.monotonic() - began


@pytest.mark.parametrize("cut", DIRECTIONS, ids=["both ways", "from PostgreSQL"])
async def test_a_database_that_hangs_keeps_nobody_waiting_for_ever_and_loses_nothing(
    lone: Lone, new_person: NewPerson, cut: dict[str, bool]
) -> None:
    server, way, _ = lone
    alice = await new_person(url=server.url)
    chat = await alice.group_chat()
    nonces = [f"{number}" for number in range(50)]
    sending = [asyncio.create_task(try_to_say(alice, chat["id"], nonce)) for nonce in nonces[:40]]
    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    way.hang(**cut)
    sending += [asyncio.create_task(try_to_say(alice, chat["id"], nonce)) for nonce in nonces[40:]]
    is_ready, is_alive = await asyncio.gather(ask(server, "/health/ready"), ask(server, "/health/live"))
    assert (is_ready[0], is_alive[0]) == (503, 200)
    assert is_ready[1] < READY_WITHIN + BUSY
    answers = dict(zip(nonces, await asyncio.gather(*sending), strict=True))
    assert {status for status, _ in answers.values()} == {201, 503}
    assert max(took for _, took in answers.values()) < WAITING + LIMIT + NETWORK + BUSY
    way.resume()
    await until(lambda: ready(server), otherwise=server.output)
    for nonce, (status, _) in answers.items():
        if status == 503:
            assert (await try_to_say(alice, chat["id"], nonce))[0] in {200, 201}
    page = (await alice.get(f"/chats/{chat['id']}/messages", limit=100)).json()
    assert sorted(message["nonce"] for message in page["messages"]) == sorted(nonces)
    assert {message["seq"] for message in page["messages"]} == set(range(chat["seq"] + 1, chat["seq"] + 51))


async def test_connections_that_were_cut_off_for_good_cost_one_time_limit_and_not_one_each(
    lone: Lone, new_person: NewPerson
) -> None:
    server, way, _ = lone
    alice = await new_person(url=server.url)
    chat = await alice.group_chat()
    path = f"/chats/{chat['id']}/members"
    # Opens all the connections that there may be.
    await asyncio.gather(*(alice.get(path) for _ in range(50)), alice.say(chat["id"], "Hello"))
    way.hang()
    way.resume(old=False)
    # Once for the connections of requests, and once for those of the writer.
    for number in range(2):
        await asyncio.gather(alice.get(path), try_to_say(alice, chat["id"], f"hangs {number}"))
    answers = await asyncio.gather(*(try_to_say(alice, chat["id"], f"{number}") for number in range(30)))
    assert {status for status, _ in answers} == {201}
    members = await asyncio.gather(*(alice.get(path) for _ in range(50)))
    assert {response.status_code for response in members} == {200}


async def test_a_node_that_is_cut_off_in_the_middle_of_a_change_keeps_a_chat_from_others_for_seconds_only(
    pair: Pair, start_server: StartServer, new_person: NewPerson
) -> None:
    async with Way.before(pair.database_url) as way:
        settings = {"DATABASE_URL": way.url, "REDIS_URL": pair.redis.url, "PARLEY_DATABASE_TIMEOUT": "3"}
        south = await start_server(**settings)
        alice, bob = await new_person(url=south.url), await new_person(url=pair.east.server.url)
        chat = await bob.group_chat(alice)
        path = f"/chats/{chat['id']}/messages/{(await alice.say(chat['id'], 'Hello'))['id']}"
        async with held(pair.database_url, chat["id"]):
            editing = asyncio.create_task(alice.patch(path, body="Edited"))
            await until(lambda: waits_for_the_chat(pair.database_url), otherwise=south.output)
            way.hang()
        # Now the transaction that nobody can reach any more has the chat.
        status, took = await try_to_say(bob, chat["id"], "held up")
        assert (status, took < BUSY) == (201, True)
        assert (await editing).status_code == 503
        way.resume()
        assert (await alice.patch(path, body="Edited")).status_code == 200


@asynccontextmanager
async def held(database_url: str, chat_id: str) -> AsyncIterator[None]:
    """Keep everybody from writing to a chat."""
    engine = create_async_engine(database_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT FROM chats WHERE id = :id FOR UPDATE"), {"id": chat_id})
            yield
    finally:
        await engine.dispose()


async def waits_for_the_chat(database_url: str) -> bool:
    """Whether a transaction waits until another one gives a row back."""
    return bool(
        await query(database_url, f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND {OURS}")
    )


async def holder(database_url: str) -> Any:
    """The process of PostgreSQL's that holds the lock of a lone node."""
    locks = "SELECT max(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
    return await query(database_url, f"{locks} AND mode = 'ExclusiveLock' AND granted AND {OURS}")


@pytest.mark.parametrize("silently", [False, True], ids=["breaks", "is cut off without a word"])
async def test_a_lone_node_takes_its_lock_again_when_the_connection(
    lone: Lone, start_server: StartServer, silently: bool
) -> None:
    server, way, database_url = lone
    before = await holder(database_url)
    assert before
    if silently:
        way.hang()
        way.resume(old=False)
    else:
        await way.refuse()
        await way.accept()

    async def taken_again() -> bool:
        return await holder(database_url) not in {None, before}

    await until(taken_again, within=15, otherwise=server.output)
    await until(lambda: ready(server), otherwise=server.output)
    second = await start_server(DATABASE_URL=database_url, launch_only=True)
    assert await second.ended(within=30) == 2


async def test_a_lone_node_that_another_took_the_place_of_stops(
    start_server: StartServer, fresh_database: FreshDatabase
) -> None:
    database_url = await fresh_database()
    async with Way.before(database_url) as way:
        first = await start_server(DATABASE_URL=way.url, PARLEY_DATABASE_TIMEOUT=f"{LIMIT}")
        await way.refuse()
        second = await start_server(DATABASE_URL=database_url)
        await way.accept()
        assert await first.ended(within=30) == 2
        assert "another Parley uses this database" in first.output().splitlines()[-1]
        assert await ready(second)


async def test_a_node_stops_in_time_although_the_database_hangs(
    start_server: StartServer, fresh_database: FreshDatabase, new_person: NewPerson
) -> None:
    async with Way.before(await fresh_database()) as way:
        server = await start_server(DATABASE_URL=way.url)
        alice = await new_person(url=server.url)
        chat = await alice.group_chat()
        way.hang()
        sending = [asyncio.create_task(try_to_say(alice, chat["id"], f"{number}")) for number in range(20)]
        assert (await ask(server, "/health/ready"))[0] == 503
        began = time.monotonic()
        await server.stop()
        assert time.monotonic() - began < 10 + BUSY
        assert {status for status, _ in await asyncio.gather(*sending)} <= {500, 503}
