from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from models.engine import create_engine
from services.node_lock import KEY, NodeLock, NodeLockTaken
from tests.conftest import FreshDatabase
from tests.services.conftest import NewParley
from tests.support.postgres_server import execute


@pytest.fixture
async def engine(fresh_database: FreshDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await fresh_database(), pool_size=4, timeout=10)
    yield engine
    await engine.dispose()


async def test_nodes_that_share_let_each_other_in_but_none_that_wants_to_be_alone(engine: AsyncEngine) -> None:
    sharing = [NodeLock(engine, alone=False) for _ in range(2)]
    for lock in sharing:
        await lock.acquire()
    alone = NodeLock(engine, alone=True)
    with pytest.raises(NodeLockTaken, match="REDIS_URL"):
        await alone.acquire()
    for lock in sharing:
        await lock.release()
    await alone.acquire()
    await alone.release()


@pytest.mark.parametrize("alone", [True, False])
async def test_a_node_that_is_alone_lets_no_other_in(engine: AsyncEngine, alone: bool) -> None:
    first = NodeLock(engine, alone=True)
    await first.acquire()
    with pytest.raises(NodeLockTaken):
        await NodeLock(engine, alone=alone).acquire()
    await first.release()
    await first.release()


async def end_connection(engine: AsyncEngine, key: int) -> None:
    """End the connection that holds a node's lock, as a database does that is started again."""
    held = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = {key}"
    await execute(engine.url.render_as_string(hide_password=False), held)


async def test_a_lock_whose_connection_ended_is_taken_again(engine: AsyncEngine) -> None:
    lock = NodeLock(engine, alone=True)
    await lock.acquire()
    await lock.keep()
    await end_connection(engine, KEY)
    await lock.keep()
    with pytest.raises(NodeLockTaken):
        await NodeLock(engine, alone=True).acquire()
    await lock.release()


async def test_a_lock_that_somebody_else_took_meanwhile_is_missed_until_it_is_free(engine: AsyncEngine) -> None:
    lock, other = NodeLock(engine, alone=True), NodeLock(engine, alone=True)
    await lock.acquire()
    await end_connection(engine, KEY)
    await other.acquire()
    for _ in range(3):
        with pytest.raises(NodeLockTaken):
            await lock.keep()
    await other.release()
    await lock.keep()
    await lock.release()


async def test_a_second_node_without_redis_does_not_start(new_parley: NewParley, migrated_database: str) -> None:
    first = await new_parley()
    url = first.engine.url.render_as_string(hide_password=False)
    with pytest.raises(NodeLockTaken):
        await new_parley(database_url=url)
    await first.stop()
    assert await new_parley(database_url=url) is not first
