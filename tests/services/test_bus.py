import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.bus import Bus, LocalBus
from services.redis_bus import HEAL_DELAY, RedisBus
from services.redis_link import RedisLink
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.way import Way

BEAT = 0.2
OTHER_PROCESS = f"""
import asyncio, sys
from services.redis_bus import RedisBus

async def main():
    bus = RedisBus(sys.argv[1], beat={BEAT})
    await bus.start()
    print(bus.node_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Node:
    """A node that writes down what the bus tells it."""

    def __init__(self, url: str, **options: int) -> None:
        self.bus = RedisBus(url, beat=BEAT, lost_after=5 * BEAT, **options)
        self.heard: list[tuple[str, bytes]] = []
        self.heals = 0
        self.found: list[str] = []
        self.lost: list[str] = []
        for topic in ("chat", "typing"):
            self.bus.subscribe(topic, partial(self._hear, topic))
        self.bus.on_reconnect(self._heal)
        self.bus.on_node_found(self.found.append)
        self.bus.on_node_lost(self.lost.append)

    def _hear(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))

    def _heal(self) -> None:
        self.heals += 1


NewNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def new_node(redis: RedisServer) -> AsyncIterator[NewNode]:
    """Starts a node at each call."""
    async with AsyncExitStack() as ends:

        async def new(**options: int) -> Node:
            node = Node(redis.url, **options)
            await node.bus.start()
            ends.push_async_callback(node.bus.stop)
            return node

        yield new


@pytest.fixture
async def two(new_node: NewNode) -> tuple[Node, Node]:
    """Two nodes that know of each other and have nothing to heal."""
    here, there = await new_node(), await new_node()
    await eventually(lambda: here.bus.nodes() and there.bus.nodes())
    await settled(here)
    await settled(there)
    return here, there


async def settled(node: Node) -> None:
    """Let as much time pass as the node takes to hear all others and to heal what it missed of them."""
    heals = -1
    while heals != node.heals:
        heals = node.heals
        await asyncio.sleep(2 * BEAT + HEAL_DELAY)


@pytest.fixture
def other_process(redis: RedisServer) -> Iterator[subprocess.Popen[str]]:
    """A node that is a process of its own; its first line is its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, redis.url],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"parley_bus_{name}_total") or 0


async def test_what_one_publishes_the_others_hear_in_order(new_node: NewNode) -> None:
    here, there, third = await new_node(), await new_node(), await new_node()
    sent = [("chat", b"1"), ("typing", b"2"), ("chat", b"\x003\xff"), ("chat", b"")]
    for topic, payload in sent:
        here.bus.publish(topic, payload)
    await eventually(lambda: len(there.heard) == len(third.heard) == 4)
    assert there.heard == third.heard == sent
    assert here.heard == []


async def test_a_rush_arrives_whole(two: tuple[Node, Node]) -> None:
    here, there = two
    sent = [("chat", b"%d" % number * 50) for number in range(8000)]
    before = counted("published"), counted("received"), counted("dropped")
    for topic, payload in sent:
        here.bus.publish(topic, payload)
    await eventually(lambda: len(there.heard) == len(sent))
    assert there.heard == sent
    assert counted("published") - before[0] >= 8000
    assert counted("received") - before[1] >= 8000
    assert counted("dropped") == before[2]


async def test_a_handler_that_fails_keeps_nothing_from_the_others(redis: RedisServer, new_node: NewNode) -> None:
    sender = await new_node()
    receiver = Node(redis.url)

    def fail(payload: bytes) -> None:
        raise ValueError(payload)

    receiver.bus.subscribe("other", fail)
    receiver.bus.subscribe("other", lambda payload: receiver.heard.append(("other", payload)))
    await receiver.bus.start()
    sender.bus.publish("other", b"1")
    sender.bus.publish("other", b"2")
    await eventually(lambda: receiver.heard == [("other", b"1"), ("other", b"2")])
    assert receiver.bus.connected
    await receiver.bus.stop()


async def test_handlers_are_named_before_the_bus_starts(new_node: NewNode) -> None:
    node = await new_node()
    with pytest.raises(RuntimeError, match="before the bus starts"):
        node.bus.subscribe("late", lambda _: None)


async def test_what_no_node_published_is_ignored(redis: RedisServer, two: tuple[Node, Node]) -> None:
    here, there = two
    stranger = RedisLink(redis.url)
    await stranger.start()
    for topic in ("chat", "beats"):
        await stranger.send("PUBLISH", f"parley:bus::{topic}", b"hello")
        await stranger.send("PUBLISH", f"parley:bus::{topic}", b"\0" * 16 + b"\0\0\0\x01\xc1")
    await stranger.stop()
    here.bus.publish("chat", b"1")
    await eventually(lambda: there.heard[-1:] == [("chat", b"1")])
    assert there.bus.connected


async def test_it_starts_without_redis_and_sends_later_what_waits(redis: RedisServer) -> None:
    await redis.stop()
    here, there = Node(redis.url), Node(redis.url)
    await there.bus.start()
    await here.bus.start()
    assert not here.bus.connected
    here.bus.publish("typing", b"1")
    await redis.start()
    await eventually(lambda: there.bus.connected and here.bus.connected)
    # The message may have gone out before the other one was there to hear it: then that one heals.
    await eventually(lambda: there.heard or there.heals > 1)
    await here.bus.stop()
    await there.bus.stop()


async def test_after_a_break_the_callbacks_run_and_messages_flow_again(
    redis: RedisServer, two: tuple[Node, Node]
) -> None:
    here, there = two
    heals, reconnects = there.heals, counted("reconnects")
    await redis.stop()
    await eventually(lambda: not there.bus.connected and not here.bus.connected)
    await redis.start()
    await eventually(lambda: there.bus.connected and here.bus.connected)
    assert there.heals > heals
    assert counted("reconnects") - reconnects == 2
    here.bus.publish("chat", b"1")
    await eventually(lambda: ("chat", b"1") in there.heard)


async def test_a_redis_that_hangs_is_noticed_and_holds_nobody_up(redis: RedisServer, two: tuple[Node, Node]) -> None:
    here, there = two
    heals = there.heals
    redis.pause()
    started = time.monotonic()
    for number in range(1000):
        here.bus.publish("chat", b"%d" % number)
    assert time.monotonic() - started < 0.5
    await eventually(lambda: not here.bus.connected and not there.bus.connected, within=20 * BEAT)
    redis.resume()
    await eventually(lambda: here.bus.connected and there.bus.connected)
    await eventually(lambda: there.heals > heals)
    here.bus.publish("chat", b"after")
    await eventually(lambda: ("chat", b"after") in there.heard)
    assert len(there.heard) == len(set(there.heard))


@pytest.mark.parametrize("stalled", ["listener", "publisher"])
async def test_a_single_connection_that_hangs_is_noticed(redis: RedisServer, new_node: NewNode, stalled: str) -> None:
    async with Way.before(redis.url) as way:
        here, there = Node(way.url), await new_node()
        await here.bus.start()
        way.stall(["listener", "publisher"].index(stalled))
        await eventually(lambda: not here.bus.connected, within=20 * BEAT)
        await eventually(lambda: here.bus.connected)
        there.bus.publish("chat", b"1")
        await eventually(lambda: ("chat", b"1") in here.heard)
        await here.bus.stop()


async def test_beyond_its_bound_the_oldest_messages_are_dropped_and_others_learn_of_it(
    new_node: NewNode,
) -> None:
    here, there = await new_node(max_queued=3), await new_node()
    await settled(there)
    heals, dropped = there.heals, counted("dropped")
    for number in range(100):
        here.bus.publish("chat", b"%d" % number)
    await eventually(lambda: there.heals > heals)
    assert there.heard[-1] == ("chat", b"99")
    assert len(there.heard) < 50
    assert counted("dropped") - dropped >= 97


async def test_a_lost_message_that_nothing_follows_is_noticed(new_node: NewNode) -> None:
    here, there = await new_node(max_queued_bytes=100), await new_node()
    await settled(there)
    heals = there.heals
    here.bus.publish("chat", b"x" * 101)
    await eventually(lambda: there.heals > heals)
    assert there.heard == []


async def test_nodes_find_each_other_and_hear_at_once_of_one_that_leaves(
    redis: RedisServer, new_node: NewNode
) -> None:
    here, there = await new_node(), Node(redis.url)
    await there.bus.start()
    await eventually(lambda: here.found == [there.bus.node_id] and there.found == [here.bus.node_id])
    assert here.bus.nodes() == {there.bus.node_id}
    await there.bus.stop()
    await eventually(lambda: here.lost == [there.bus.node_id], within=2 * BEAT)
    assert here.bus.nodes() == frozenset()


async def test_a_node_that_dies_is_lost_after_its_time(
    new_node: NewNode, other_process: subprocess.Popen[str]
) -> None:
    here = await new_node()
    assert other_process.stdout is not None
    other = (await asyncio.to_thread(other_process.stdout.readline)).strip()
    await eventually(lambda: here.bus.nodes() == {other})
    await settled(here)
    assert here.lost == []
    other_process.kill()
    await eventually(lambda: here.lost == [other], within=15 * BEAT)


async def test_a_process_that_stood_still_takes_nobody_for_lost(
    new_node: NewNode, other_process: subprocess.Popen[str]
) -> None:
    here = await new_node()
    assert other_process.stdout is not None
    other = (await asyncio.to_thread(other_process.stdout.readline)).strip()
    await eventually(lambda: here.bus.nodes() == {other})
    time.sleep(7 * BEAT)  # noqa: ASYNC251 - the loop is to stand still
    await settled(here)
    assert here.lost == []


async def test_nobody_is_lost_because_redis_is(redis: RedisServer, two: tuple[Node, Node]) -> None:
    here, there = two
    await redis.stop()
    await asyncio.sleep(7 * BEAT)
    await redis.start()
    await eventually(lambda: here.bus.connected and there.bus.connected)
    await settled(here)
    assert here.lost == there.lost == []


async def test_it_stops_in_time_when_redis_hangs(redis: RedisServer, two: tuple[Node, Node]) -> None:
    redis.pause()
    async with asyncio.timeout(5):
        for node in two:
            await node.bus.stop()
    redis.resume()


async def test_the_bus_of_a_single_node_is_always_connected_and_says_nothing() -> None:
    bus: Bus = LocalBus()
    heard: list[object] = []
    bus.subscribe("chat", heard.append)
    bus.on_reconnect(lambda: heard.append(None))
    bus.on_node_found(heard.append)
    bus.on_node_lost(heard.append)
    await bus.start()
    bus.publish("chat", b"1")
    await bus.stop()
    assert bus.connected
    assert bus.nodes() == frozenset()
    assert bus.node_id != LocalBus().node_id
    assert heard == []
