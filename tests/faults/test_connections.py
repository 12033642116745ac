"""Very many connections: all that each of them costs is given back. `--connections 20` tries twenty times as many."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple
from uuid import uuid4

import psutil
import pytest

from tests.conftest import NewPerson, StartServer
from tests.faults.conftest import metrics
from tests.support.person import Person
from tests.support.processes import until
from tests.support.server import ParleyServer
from tests.support.socket import Socket
from tests.ws.raw_socket import CLOSE, TEXT, RawSocket

COMING_AND_GOING = 500
WARMING_UP = 200
AT_ONCE = 20
STORM = 50

MEGABYTE = 1024 * 1024
KEPT = 12 * MEGABYTE
"""What the allocator may keep of a rush, however large it was."""

SMALL_POOL = "4"
"""Connections to the database: so few that a rush makes all of them, and the next one no more."""

SETTLED_WITHIN = 20.0
BACK_WITHIN = 90.0
LONGEST_WAIT = 4.0
GOING_AWAY = 1001
RESTARTING = 1012
MESSAGE = "x" * 16_000
PAGE = 50
ANSWER = PAGE * 2 * len(MESSAGE)
"""Bytes of one answer, in which each message is there twice: as it was written, and as HTML."""

SEND_BUFFER = MEGABYTE
STUCK = 10
TURNS = 4
PATIENCE = 3.0
"""Seconds that a send may take while others do not read, on a busy machine."""


class Size(NamedTuple):
    """What a process holds."""

    memory: int
    descriptors: int


@pytest.fixture
def times(request: pytest.FixtureRequest) -> int:
    """How many times as many connections as usual are wanted."""
    return int(request.config.getoption("--connections"))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells what was measured."""
    return lambda line: request.config.get_terminal_writer().line(f"\n{line}")


def size_of(server: ParleyServer) -> Size:
    process = psutil.Process(server.pid)
    return Size(process.memory_info().rss, process.num_fds())


async def at_rest(server: ParleyServer, *, descriptors: int | None = None) -> Size:
    """Wait until nobody is connected, and the files that are open are no more than before.

    :param descriptors: how many those were.
    """

    async def settled() -> bool:
        if (await metrics(server))["parley_connections"]:
            return False
        return descriptors is None or size_of(server).descriptors <= descriptors

    await until(settled, within=SETTLED_WITHIN, otherwise=lambda: f"{size_of(server)}, {descriptors} wanted")
    return size_of(server)


async def hello(socket: RawSocket) -> None:
    opcode, data = await socket.frame()
    assert (opcode, b'"type":"hello"' in data) == (TEXT, True)


async def come_and_go(person: Person, times: int) -> None:
    """Connect and leave, politely and not, with some connections at a time."""
    left = iter(range(times))

    async def visit() -> None:
        for number in left:
            async with RawSocket.connect(person) as socket:
                await hello(socket)
                if number % 2:
                    await socket.send(CLOSE, GOING_AWAY.to_bytes(2))

    await asyncio.gather(*(visit() for _ in range(AT_ONCE)))


async def test_those_who_come_and_go_leave_nothing_behind(
    start_server: StartServer, new_person: NewPerson, times: int, note: Callable[[str], None]
) -> None:
    server = await start_server(PARLEY_DATABASE_POOL=SMALL_POOL)
    alice = await new_person(url=server.url)
    await alice.group_chat()
    await come_and_go(alice, WARMING_UP)
    before = await at_rest(server)
    began = time.monotonic()
    await come_and_go(alice, COMING_AND_GOING * times)
    took = time.monotonic() - began
    after = await at_rest(server, descriptors=before.descriptors)
    note(f"{COMING_AND_GOING * times} connects and disconnects in {took:.1f} s: {before} before, {after} after")
    assert after.memory - before.memory < KEPT


class Crowd:
    """Clients that connect again by themselves as the page does, only that they never wait for half a minute.

    :param people: who they are, in turn.
    """

    def __init__(self, people: list[Person], size: int) -> None:
        self.connected = 0
        self.codes: list[int] = []
        self.heard = 0
        self._tasks = [asyncio.create_task(self._stay(people[number % len(people)])) for number in range(size)]

    @classmethod
    @asynccontextmanager
    async def of(cls, people: list[Person], size: int) -> AsyncIterator["Crowd"]:
        """A crowd that is there, and gone at the end."""
        crowd = cls(people, size)
        try:
            await crowd.there()
            yield crowd
        finally:
            for task in crowd._tasks:
                task.cancel()
            await asyncio.gather(*crowd._tasks, return_exceptions=True)

    async def there(self) -> None:
        """Wait until all are connected."""

        async def complete() -> bool:
            return self.connected == len(self._tasks)

        await until(complete, within=BACK_WITHIN, otherwise=lambda: f"{self.connected} of {len(self._tasks)}")

    async def _stay(self, person: Person) -> None:
        attempts = 0
        while True:
            try:
                async with RawSocket.connect(person) as socket:
                    await hello(socket)
                    attempts = 0
                    self.connected += 1
                    try:
                        await self._listen(socket)
                    finally:
                        self.connected -= 1
            except (AssertionError, OSError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(min(LONGEST_WAIT, 2**attempts) * random.random())
            attempts += 1

    async def _listen(self, socket: RawSocket) -> None:
        while True:
            opcode, data = await socket.frame()
            if opcode == CLOSE:
                self.codes.append(int.from_bytes(data[:2]))
                return
            self.heard += b'"type":"message.created"' in data


async def test_a_crowd_comes_back_after_a_restart_and_leaves_nothing_behind(
    start_server: StartServer, new_person: NewPerson, times: int, note: Callable[[str], None]
) -> None:
    server = await start_server(PARLEY_DATABASE_POOL=SMALL_POOL)
    people = [await new_person(url=server.url) for _ in range(4)]
    chat = await people[0].group_chat(*people[1:])
    async with Crowd.of(people, STORM * times) as crowd:
        crowd.codes.clear()
        await server.stop()
        assert set(crowd.codes) == {RESTARTING}
        assert len(crowd.codes) == STORM * times
        await server.start()
        began = time.monotonic()
        await crowd.there()
        back = time.monotonic() - began
        await people[0].say(chat["id"], "Everybody is back")

        async def heard() -> bool:
            return crowd.heard == STORM * times

        await until(heard, otherwise=lambda: f"{crowd.heard} of {STORM * times}")
        full = size_of(server)
    rests = [await at_rest(server)]
    # And now all at once, as nothing spreads the first attempts; what that leaves is the same each time.
    for _ in range(2):
        async with Crowd.of(people, STORM * times):
            pass
        rests.append(await at_rest(server, descriptors=rests[0].descriptors))
    note(f"{STORM * times} back {back:.1f} s after the restart: {full} then, {rests} at rest")
    assert rests[-1].memory - rests[-2].memory < KEPT


async def talk(socket: Socket, chat_id: str) -> float:
    """Send a long message.

    :return: how long it took, in seconds.
    """
    began = time.monotonic()
    answer = await socket.request("message.send", chat_id=chat_id, nonce=uuid4().hex, body=MESSAGE)
    assert answer["type"] == "ack", answer
    return time.monotonic() - began


async def test_those_who_stop_reading_cost_no_more_than_their_queues_which_are_given_back(
    start_server: StartServer, new_person: NewPerson, note: Callable[[str], None]
) -> None:
    server = await start_server(PARLEY_MAX_SEND_BUFFER_BYTES=str(SEND_BUFFER))
    alice, bob = await new_person(url=server.url), await new_person(url=server.url)
    chat = await alice.group_chat(bob)
    # Not the newest page, which is cached.
    request = {"type": "history", "chat_id": chat["id"], "before": chat["seq"] + PAGE + 1, "limit": PAGE}
    history = json.dumps(request).encode()
    sizes: list[Size] = []
    async with alice.socket() as sending:
        for _ in range(PAGE + 1):
            await talk(sending, chat["id"])
        for turn in range(1, TURNS + 1):
            async with AsyncExitStack() as ends:
                stuck = [await ends.enter_async_context(RawSocket.connect(bob)) for _ in range(STUCK)]
                peak = before = size_of(server).memory
                while (await metrics(server)).get("parley_slow_readers_cut_total", 0) < turn * STUCK:
                    # Each asks for more than the network holds (4 MB on Linux) before it stops to read.
                    for socket in stuck:
                        await socket.send(TEXT, history)
                    assert await talk(sending, chat["id"]) < PATIENCE
                    sending.waiting.clear()
                    peak = max(peak, size_of(server).memory)
                # An answer is written whole, and is there more than once while it is being made.
                assert peak - before < STUCK * (SEND_BUFFER + 3 * ANSWER) + KEPT
            sizes.append(size_of(server))
    await at_rest(server)
    note(f"{STUCK} readers stuck, {TURNS} times: {[size.memory // MEGABYTE for size in sizes]} MB after each")
    assert sizes[-1].memory - sizes[1].memory < KEPT
