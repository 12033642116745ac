"""Running Parleys that the tests of `/ws` share: one with its limits on, and two nodes on one database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest

from tests.support.postgres_server import create_database
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer


class Nodes(NamedTuple):
    """Two nodes, and what a third one needs to join them."""

    east: ParleyServer
    west: ParleyServer
    redis: RedisServer
    settings: dict[str, str]


SEND_BUFFER = 128 * 1024
SYNC_CHANGES = 60


@pytest.fixture(scope="session")
async def limited(
    postgres_url: str, redis_url: str, served: bool, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ParleyServer]:
    """A running Parley whose limits are on; some are lower than by default."""
    settings = {
        "DATABASE_URL": await create_database(postgres_url),
        "PARLEY_LIMITS": "on",
        "PARLEY_SIGN_UPS_PER_HOUR": "10000",
        "PARLEY_MAX_SEND_BUFFER_BYTES": str(SEND_BUFFER),
        "PARLEY_MAX_SYNC_CHANGES": str(SYNC_CHANGES),
    } | ({"REDIS_URL": redis_url} if served else {})
    async with AsyncExitStack() as ends:
        node = await _start(ends, ParleyServer(tmp_path_factory.mktemp("limited") / "data", settings))
        yield node
        await node.stop()


@pytest.fixture(scope="session")
async def nodes(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    """Two running Parleys on one database and one Redis of their own, without rate limits."""
    folder = tmp_path_factory.mktemp("nodes")
    redis = RedisServer(folder)
    settings = {"DATABASE_URL": await create_database(postgres_url), "REDIS_URL": redis.url}
    async with AsyncExitStack() as ends:
        ends.push_async_callback(redis.stop)
        await redis.start()
        east = await _start(ends, ParleyServer(folder / "east", settings))
        west = await _start(ends, ParleyServer(folder / "west", settings))
        yield Nodes(east, west, redis, settings)
        await east.stop()
        await west.stop()


async def _start(ends: AsyncExitStack, node: ParleyServer) -> ParleyServer:
    ends.push_async_callback(node.clean_up)
    await node.start()
    return node
