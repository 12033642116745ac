import asyncio

import pytest
from asyncpg import UndefinedTableError

from services.errors import Unavailable
from services.single_reads import CONNECTIONS, SingleReads
from tests.services.conftest import NewParley
from tests.support.postgres_server import end_connections, query
from tests.support.processes import free_port, until


async def test_connections_that_the_database_closed_are_made_anew(new_parley: NewParley) -> None:
    parley = await new_parley()
    await asyncio.gather(*[parley.reads.fetch("SELECT pg_sleep(0.05)") for _ in range(CONNECTIONS)])
    await end_connections(parley.engine.url.render_as_string(hide_password=False))
    assert [row[0] for row in await parley.reads.fetch("SELECT $1::int", 7)] == [7]


async def test_a_statement_that_takes_too_long_fails_and_harms_no_later_one(new_parley: NewParley) -> None:
    parley = await new_parley(PARLEY_DATABASE_TIMEOUT=0.3)
    with pytest.raises(Unavailable):
        await parley.reads.fetch("SELECT pg_sleep(30)")
    assert [row[0] for row in await parley.reads.fetch("SELECT 1")] == [1]


async def test_one_who_no_longer_waits_harms_nobody(new_parley: NewParley) -> None:
    parley = await new_parley()
    url = parley.engine.url.render_as_string(hide_password=False)
    waiting = [asyncio.create_task(parley.reads.fetch("SELECT pg_sleep(30)")) for _ in range(CONNECTIONS)]

    async def all_run() -> bool:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
        return bool(await query(url, running) == CONNECTIONS)

    await until(all_run, otherwise=lambda: "they do not run")
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert [row[0] for row in await parley.reads.fetch("SELECT 1")] == [1]


async def test_a_database_out_of_reach_is_unavailable() -> None:
    reads = SingleReads(f"postgresql+asyncpg://nobody@127.0.0.1:{free_port()}/none", timeout=1.0)
    with pytest.raises(Unavailable):
        await reads.fetch("SELECT 1")
    await reads.stop()


async def test_a_wrong_statement_is_an_error_of_ours(new_parley: NewParley) -> None:
    parley = await new_parley()
    with pytest.raises(UndefinedTableError):
        await parley.reads.fetch("SELECT * FROM nothing_of_this_name")
