"""Two nodes, several clients, and a bus that loses things: everybody ends with what a fresh fetch says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from migrations.run import migrate
from services.hub import Seat
from services.parley import CHAT_TOPIC, Parley
from services.presence import TOPIC as PRESENCE_TOPIC
from tests.services.conftest import settings_of
from tests.services.test_catching_up import STEPS, Step, World
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient, fresh, known
from tests.support.eventually import eventually
from tests.support.lossy_redis import LossyRedis
from tests.support.postgres_server import create_database, drop_database
from tests.support.processes import until
from tests.support.redis_server import RedisServer

PEOPLE = 3
WHERE = st.sampled_from(["east", "west"])
BOUNDED = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Site:
    """Two running nodes, each with its own way to Redis, and one that dies whenever it has committed something."""

    nodes: dict[str, Parley]
    ways: dict[str, LossyRedis]


@dataclass(frozen=True)
class Do:
    """Someone does something at a node; at the dying one it is committed, and nobody hears of it."""

    step: Step
    where: str


@dataclass(frozen=True)
class Move:
    """A client of someone at a node comes, goes or asks for what it missed."""

    move: str
    who: int
    where: str


@dataclass(frozen=True)
class Lose:
    """A node hears nothing of the others' changes from now on, or does again."""

    where: str
    losing: bool


PLANS = st.lists(
    st.one_of(
        st.builds(Do, STEPS, st.sampled_from(["east", "east", "west", "west", "dying"])),
        st.builds(Move, st.sampled_from(["connect", "connect", "disconnect", "catch up"]), st.integers(0, 2), WHERE),
        st.builds(Lose, WHERE, st.booleans()),
    ),
    max_size=40,
)


@pytest.fixture(scope="session")
async def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Two running nodes on a database and a Redis of their own."""
    async with AsyncExitStack() as ends:
        redis = RedisServer(tmp_path_factory.mktemp("two-nodes"))
        ends.push_async_callback(redis.stop)
        await redis.start()
        database = await create_database(postgres_url)
        ends.push_async_callback(drop_database, postgres_url, database=database)
        await migrate(database)
        nodes, ways = {}, {}
        for name in ("east", "west", "dying"):
            ways[name] = LossyRedis(redis.port)
            ends.push_async_callback(ways[name].stop)
            await ways[name].start()
            nodes[name] = Parley(settings_of(database, REDIS_URL=ways[name].url), database)
        for name in ("east", "west"):
            ends.push_async_callback(nodes[name].stop)
            await nodes[name].start()
        # It can do everything but tell the others: it is never put on the bus.
        ends.push_async_callback(nodes["dying"].stop)
        await nodes["dying"].sends.start()
        await eventually(lambda: all(nodes[name].bus.nodes() for name in ("east", "west")))
        yield Site(nodes, ways)


class Crowd:
    """Three people with a client at each node, who carry out a plan."""

    def __init__(self, site: Site, world: World) -> None:
        self.site, self.world = site, world
        self.clients = {
            (who, where): ChatClient(Actor(site.nodes[where], world.people[who].user))
            for who in range(PEOPLE)
            for where in ("east", "west")
        }
        self.connecting: set[asyncio.Task[None]] = set()
        self.connected: set[tuple[int, str]] = set()
        self.expected: dict[tuple[int, str], Any] = {}

    @classmethod
    async def create(cls, site: Site) -> "Crowd":
        return cls(site, await World.create(site.nodes["east"]))

    async def carry_out(self, part: Do | Move | Lose) -> None:
        if isinstance(part, Lose):
            self.site.ways[part.where].lose(*([CHAT_TOPIC] if part.losing else []))
        elif isinstance(part, Do):
            await self.do(part.step, part.where)
        elif part.move == "connect":
            # Not waited for: much happens while one connects.
            self.connecting.add(asyncio.create_task(self.connect(part.who, part.where)))
            await asyncio.sleep(0)
        else:
            await self.have_connected()
            await self.move(part)

    async def move(self, part: Move) -> None:
        if part.move == "disconnect":
            self.disconnect(part.who, part.where)
        else:
            await self.clients[part.who, part.where].catch_up()

    async def do(self, step: Step, where: str) -> None:
        deaf = {} if where == "dying" else {way: way.lost for way in self.site.ways.values() if way.losing}
        self.world.people[step.actor].parley = self.site.nodes[where]
        if await self.world.perform(step):
            # Before the next part of the plan, which may let messages through again.
            await eventually(lambda: all(way.lost > before for way, before in deaf.items()))

    async def have_connected(self) -> None:
        while self.connecting:
            await self.connecting.pop()

    async def connect(self, who: int, where: str) -> None:
        if (who, where) not in self.connected:
            self.connected.add((who, where))
            client, soon = self.clients[who, where], datetime.now(UTC) + timedelta(hours=1)
            client.seat = Seat(client.write, user_id=client.actor.id, expires_at=soon)
            await client.actor.parley.join(client.seat)

    def disconnect(self, who: int, where: str) -> None:
        client = self.clients[who, where]
        if (who, where) in self.connected and client.seat is not None:
            client.actor.parley.leave(client.seat)
            self.connected.remove((who, where))

    async def settle(self) -> None:
        """Let the nodes look for what they missed, and wait until every client knows what a fresh fetch says."""
        await self.have_connected()
        for name in ("east", "west"):
            self.site.ways[name].lose()
            await self.site.nodes[name].hub.compare()
        await until(self.all_know, otherwise=self.differences)

    async def all_know(self) -> bool:
        for which in self.connected:
            await self.clients[which].catch_up()
            self.expected[which] = await fresh(self.clients[which].actor)
        return all(known(self.clients[which]) == self.expected[which] for which in self.connected)

    def differences(self) -> str:
        return "\n".join(
            f"{which}: knows {known(self.clients[which])}\nand not {self.expected[which]}" for which in self.connected
        )

    def go(self) -> None:
        for which in list(self.connected):
            self.disconnect(*which)


def doing(deed: str, where: str, *, other: int = 0) -> Do:
    return Do(Step(deed, actor=0, other=other, pick=0, private=False), where)


THERE = [Move("connect", 1, "west"), Move("catch up", 1, "west")]
ALONE = [Move("disconnect", 2, "west"), *THERE]


@BOUNDED
@given(plan=PLANS)
@example(plan=[*THERE, doing("send", "dying")])
@example(plan=[*THERE, doing("remove", "dying", other=1)])
@example(plan=[*THERE, doing("remove", "dying", other=1), doing("add", "dying", other=1)])
@example(plan=[doing("remove", "east", other=1), *ALONE, doing("add", "dying", other=1)])
@example(plan=[*THERE, Lose("west", True), doing("send", "east"), Lose("west", False), doing("send", "east"),
               doing("remove", "east", other=1), doing("send", "east")])  # fmt: skip
@example(plan=[Move("connect", 1, "west"), doing("send", "west"), doing("send", "east"), doing("edit", "west")])
async def test_every_client_ends_with_what_a_fresh_fetch_says(site: Site, plan: list[Do | Move | Lose]) -> None:
    crowd = await Crowd.create(site)
    try:
        await crowd.connect(0, "east")
        await crowd.connect(2, "west")
        for part in plan:
            await crowd.carry_out(part)
        await crowd.settle()
        await crowd.world.check()
    finally:
        await crowd.have_connected()
        crowd.go()


async def test_what_one_node_did_not_hear_it_makes_up_for_by_itself_within_two_seconds(site: Site) -> None:
    crowd = await Crowd.create(site)
    try:
        await crowd.connect(1, "west")
        await crowd.carry_out(doing("remove", "east", other=1))
        await eventually(lambda: crowd.clients[1, "west"].of_type("chat.removed"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        await crowd.carry_out(doing("add", "dying", other=1))
        await crowd.carry_out(doing("send", "dying"))
        await until(crowd.all_know, otherwise=crowd.differences)
        assert loop.time() - started < 5
    finally:
        crowd.go()


async def test_presence_that_was_lost_on_the_way_is_made_up_for(site: Site) -> None:
    crowd = await Crowd.create(site)
    try:
        before, person = site.ways["east"].lost, crowd.clients[1, "west"].actor.id
        site.ways["east"].lose(PRESENCE_TOPIC)
        await crowd.connect(0, "east")
        await crowd.connect(1, "west")
        # A node hears itself too.
        await eventually(lambda: site.ways["east"].lost >= before + 2)
        site.ways["east"].lose()
        anns = crowd.clients[0, "east"]
        await eventually(lambda: any(str(person) in frame["online"] for frame in anns.of_type("presence")), within=10)
    finally:
        site.ways["east"].lose()
        crowd.go()
