"""What the tests of the REST interface share beyond the fixtures of all tests."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.postgres_server import create_database, drop_database
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer

_addresses = count(1)


@dataclass
class Group:
    """A group chat with its owner, a member, and someone who is in no chat with them."""

    owner: Person
    member: Person
    stranger: Person
    chat: dict[str, Any]

    @property
    def id(self) -> str:
        """The chat's id."""
        return str(self.chat["id"])

    @property
    def path(self) -> str:
        """The chat's path."""
        return f"/chats/{self.id}"


@pytest.fixture(scope="session")
async def _people(server: ParleyServer) -> AsyncIterator[tuple[Person, Person, Person]]:
    """Three people for many chats, because signing up takes longer than anything else."""
    async with (
        Person.registered(server.url, display_name="Olga Owner") as owner,
        Person.registered(server.url, display_name="Max Member") as member,
        Person.registered(server.url, display_name="Sam Stranger") as stranger,
    ):
        yield owner, member, stranger


@pytest.fixture
async def group(_people: tuple[Person, Person, Person]) -> Group:
    """A new group chat of people who may be in other chats too."""
    owner, member, stranger = _people
    return Group(owner, member, stranger, await owner.group_chat(member))


@pytest.fixture
async def pair(new_person: NewPerson) -> tuple[Person, Person]:
    """Two people who have no chat yet."""
    return await new_person(), await new_person()


@pytest.fixture(scope="session")
async def limited(
    postgres_url: str, served: bool, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ParleyServer]:
    """A running Parley with small limits, rate limits among them, that believes a proxy on the loopback address.

    A test without an address of its own signs up few people: they count together.
    """
    folder = tmp_path_factory.mktemp("limited")
    redis = RedisServer(folder)
    database = await create_database(postgres_url)
    parley = ParleyServer(
        folder / "data",
        {
            "DATABASE_URL": database,
            "PARLEY_LIMITS": "on",
            "PARLEY_TRUSTED_PROXIES": "127.0.0.1",
            "PARLEY_SENDS_PER_SECOND": "1",
            "PARLEY_SENDS_BURST": "5",
            "PARLEY_SIGN_UPS_PER_HOUR": "10",
            "PARLEY_FAILED_SIGN_INS_PER_HOUR": "6",
            "PARLEY_FAILED_SIGN_INS_PER_ACCOUNT": "3",
            "PARLEY_MAX_CHAT_MEMBERS": "3",
            "PARLEY_MAX_SYNC_CHANGES": "4",
        }
        | ({"REDIS_URL": redis.url} if served else {}),
    )
    try:
        if served:
            await redis.start()
        await parley.start()
        yield parley
        await parley.stop()
    finally:
        await parley.clean_up()
        await redis.stop()
        await drop_database(postgres_url, database=database)


@pytest.fixture
def address() -> str:
    """An address that nobody else comes from, for limits by address."""
    return f"2001:db8::{next(_addresses):x}"
