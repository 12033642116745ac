"""The services on a real database, without a web server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations.run import migrate
from services.hub import Seat
from services.parley import Parley
from services.settings import Settings
from tests.conftest import FreshDatabase
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient
from tests.support.postgres_server import create_database, drop_database

NewActor = Callable[..., Awaitable[Actor]]
NewParley = Callable[..., Awaitable[Parley]]
Connect = Callable[[Actor], Awaitable[ChatClient]]


def settings_of(database_url: str, **changes: Any) -> Settings:
    """The settings of a node under test, whatever the environment says."""
    return Settings(**({"DATABASE_URL": database_url, "REDIS_URL": None} | changes))


@pytest.fixture(scope="session")
async def migrated_database(postgres_url: str) -> AsyncIterator[str]:
    """The URL of a database with all tables, which tests share."""
    database = await create_database(postgres_url)
    await migrate(database)
    yield database
    await drop_database(postgres_url, database=database)


@pytest.fixture(scope="session")
async def parley(migrated_database: str) -> AsyncIterator[Parley]:
    """A running node that tests share; each test makes people, chats and addresses of its own."""
    low_limits = {"sign_ups_per_hour": 2, "failed_sign_ins_per_hour": 4, "failed_sign_ins_per_account": 2}
    node = Parley(settings_of(migrated_database, **low_limits), migrated_database)
    try:
        await node.start()
        yield node
    finally:
        await node.stop()


@pytest.fixture
async def new_parley(fresh_database: FreshDatabase) -> AsyncIterator[NewParley]:
    """Starts a node of the test's own at each call, on an empty database unless `database_url` is given.

    Its other arguments are settings; `REDIS_URL` lets it share.
    """
    async with AsyncExitStack() as ends:

        async def start(*, database_url: str = "", **changes: Any) -> Parley:
            if not database_url:
                database_url = await fresh_database()
                await migrate(database_url)
            node = Parley(settings_of(database_url, **changes), database_url)
            ends.push_async_callback(node.stop)
            await node.start()
            return node

        yield start


@pytest.fixture(scope="session")
def new_actor(parley: Parley) -> NewActor:
    """Makes a new person at each call, at the shared node unless another `parley` is given."""

    async def create(*, parley: Parley = parley, **fields: Any) -> Actor:
        return await Actor.create(parley, **fields)

    return create


@pytest.fixture
async def ann(new_actor: NewActor) -> Actor:
    """A person of the test's own."""
    return await new_actor(display_name="Ann")


@pytest.fixture
async def ben(new_actor: NewActor) -> Actor:
    """Another person."""
    return await new_actor(display_name="Ben")


@pytest.fixture
async def cat(new_actor: NewActor) -> Actor:
    """A third person."""
    return await new_actor(display_name="Cat")


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Gives a person a connection at their node; it has had its `hello`, and ends after the test."""
    seats: list[tuple[Parley, Seat]] = []

    async def connect(actor: Actor) -> ChatClient:
        client = ChatClient(actor)
        client.seat = Seat(client.write, user_id=actor.id, expires_at=datetime.now(UTC) + timedelta(hours=1))
        seats.append((actor.parley, client.seat))
        await actor.parley.join(client.seat)
        await client.catch_up()
        return client

    yield connect
    for node, seat in seats:
        node.leave(seat)
