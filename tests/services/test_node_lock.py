from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from models.engine import create_engine
from services.node_lock import NodeLock, NodeLockTaken
from tests.conftest import FreshDatabase
from tests.services.conftest import NewParley


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


async def test_a_second_node_without_redis_does_not_start(new_parley: NewParley, migrated_database: str) -> None:
    first = await new_parley()
    url = first.engine.url.render_as_string(hide_password=False)
    with pytest.raises(NodeLockTaken):
        await new_parley(database_url=url)
    await first.stop()
    assert await new_parley(database_url=url) is not first
