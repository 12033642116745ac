"""What tests may break, unlike what others share: a PostgreSQL, and nodes whose ways to it and to Redis they hold."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.postgres_server import PostgresServer, create_database
from tests.support.processes import until
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer
from tests.support.way import Way


class Node(NamedTuple):
    """A node and its way to Redis."""

    server: ParleyServer
    way: Way


class Pair(NamedTuple):
    """Two nodes on one database and one Redis, without rate limits."""

    east: Node
    west: Node
    redis: RedisServer
    database_url: str

    async def whole(self) -> None:
        """Wait until events cross again."""
        for node in (self.east, self.west):
            await shows(node.server, {"parley_bus_connected": 1, "parley_redis_up": 1})


class Lone(NamedTuple):
    """A node without Redis, and its way to PostgreSQL."""

    server: ParleyServer
    way: Way
    database_url: str


class Trio(NamedTuple):
    """Alice at the eastern node, the same Alice at the western one, and Bob there."""

    alice: Person
    elsewhere: Person
    bob: Person


@pytest.fixture(scope="session")
async def _pair(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    redis = RedisServer(folder)
    database_url = await create_database(postgres_url)
    async with AsyncExitStack() as ends:
        ends.push_async_callback(redis.stop)
        await redis.start()
        nodes = []
        for name in ("east", "west"):
            way = await ends.enter_async_context(Way.before(redis.url))
            server = ParleyServer(folder / name, {"DATABASE_URL": database_url, "REDIS_URL": way.url})
            ends.push_async_callback(server.clean_up)
            await server.start()
            nodes.append(Node(server, way))
        east, west = nodes
        yield Pair(east, west, redis, database_url)
        for node in nodes:
            await node.server.stop()


@pytest.fixture
async def pair(_pair: Pair) -> AsyncIterator[Pair]:
    """Two nodes that hear each other before the test and, however it left them, after it."""
    await _pair.whole()
    yield _pair
    for node in (_pair.east, _pair.west):
        node.way.resume()
    await _pair.whole()


@pytest.fixture
async def trio(pair: Pair, new_person: NewPerson) -> AsyncIterator[Trio]:
    """Two people at two nodes."""
    alice, bob = await new_person(url=pair.east.server.url), await new_person(url=pair.west.server.url)
    async with Person(pair.west.server.url, username=alice.username) as elsewhere:
        await elsewhere.sign_in()
        yield Trio(alice, elsewhere, bob)


LIMIT = 1.0
"""PARLEY_DATABASE_TIMEOUT of the lone node, in seconds."""


@pytest.fixture(scope="session")
async def _lone(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lone]:
    database_url = await create_database(postgres_url)
    async with Way.before(database_url) as way:
        settings = {"DATABASE_URL": way.url, "PARLEY_DATABASE_TIMEOUT": f"{LIMIT}"}
        server = ParleyServer(tmp_path_factory.mktemp("lone") / "data", settings)
        try:
            await server.start()
            yield Lone(server, way, database_url)
            await server.stop()
        finally:
            await server.clean_up()


@pytest.fixture
async def lone(_lone: Lone) -> AsyncIterator[Lone]:
    """A node whose way to PostgreSQL works before the test and, however it left it, after it."""
    await until(lambda: ready(_lone.server), within=20, otherwise=_lone.server.output)
    yield _lone
    _lone.way.resume()
    await until(lambda: ready(_lone.server), within=20, otherwise=_lone.server.output)


@pytest.fixture
async def own_postgres() -> AsyncIterator[PostgresServer]:
    """A running served PostgreSQL of the test's own, which it may stop, kill and start again."""
    server = PostgresServer()
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def ready(server: ParleyServer) -> bool:
    """Whether a node says that it is."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return (await client.get(f"{server.url}/health/ready")).status_code == httpx.codes.OK


async def metrics(server: ParleyServer) -> dict[str, float]:
    """What a node counts, those without labels."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        text = (await client.get(f"{server.url}/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: sample.value for sample in samples if not sample.labels}


async def shows(server: ParleyServer, wanted: dict[str, float], *, within: float = 15.0) -> None:
    """Wait until a node's metrics have these values."""

    async def shown() -> bool:
        return wanted.items() <= (await metrics(server)).items()

    await until(shown, within=within, otherwise=server.output)
