"""What the shared cache keeps to while Redis is in trouble, and between nodes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from services.cache import Lease, cached
from services.redis_cache import RedisCache
from services.redis_link import RedisLink
from tests.support.eventually import eventually
from tests.support.processes import until
from tests.support.redis_server import RedisServer


class Node:
    """One node's cache with its link."""

    def __init__(self, url: str, *, max_missed: int) -> None:
        self.link = RedisLink(url)
        self.cache = RedisCache(self.link, max_missed=max_missed)

    async def fill(self, key: str, value: bytes = b"value") -> None:
        lease = await self.cache.get(key)
        assert isinstance(lease, Lease)
        await self.cache.fill(key, lease, value, ttl=60)
        assert await self.cache.get(key) == value

    async def misses(self, key: str) -> bool:
        return isinstance(await self.cache.get(key), Lease)

    async def cut_off(self) -> None:
        """Have it notice that Redis, which is away or hangs, does not answer."""
        assert await self.misses("any:thing")
        assert not self.link.up


@pytest.fixture
async def new_node(redis: RedisServer) -> AsyncIterator[Callable[..., Awaitable[Node]]]:
    async with AsyncExitStack() as ends:

        async def new(*, max_missed: int = 1000) -> Node:
            node = Node(redis.url, max_missed=max_missed)
            await node.link.start()
            ends.push_async_callback(node.link.stop)
            return node

        yield new


NewNode = Callable[..., Awaitable[Node]]


async def test_another_node_sees_values_and_invalidations_at_once(new_node: NewNode) -> None:
    here, there = await new_node(), await new_node()
    await here.fill("a:1")
    assert await there.cache.get("a:1") == b"value"
    await there.cache.invalidate("a:1")
    assert await here.misses("a:1")


async def test_another_nodes_invalidation_takes_a_lease_away(new_node: NewNode) -> None:
    here, there = await new_node(), await new_node()
    lease = await here.cache.get("a:1")
    assert isinstance(lease, Lease)
    await there.cache.invalidate("a:1")
    await here.cache.fill("a:1", lease, b"old", ttl=60)
    assert await there.misses("a:1")


async def test_without_redis_everything_misses_and_nothing_is_stored(redis: RedisServer, new_node: NewNode) -> None:
    node = await new_node()
    await node.fill("a:1")
    await redis.stop()
    for key in ("a:1", "a:2"):
        lease = await node.cache.get(key)
        assert isinstance(lease, Lease)
        await node.cache.fill(key, lease, b"value", ttl=60)
        await node.cache.invalidate(key)
    await redis.start()
    await eventually(lambda: node.link.up)
    assert await node.misses("a:1")
    assert await node.misses("a:2")


async def test_a_hanging_redis_holds_nobody_up(redis: RedisServer, new_node: NewNode) -> None:
    node = await new_node()
    lease = await node.cache.get("a:1")
    assert isinstance(lease, Lease)
    redis.pause()
    async with asyncio.timeout(1):
        await node.cache.fill("a:1", lease, b"value", ttl=60)
        for number in range(1000):
            await node.cache.get(f"a:{number}")
            await node.cache.invalidate(f"a:{number}")
    redis.resume()


async def test_what_could_not_be_removed_is_removed_on_return_for_all_nodes(
    redis: RedisServer, new_node: NewNode
) -> None:
    here, there = await new_node(), await new_node()
    await here.fill("a:1", b"old")
    await here.fill("a:2", b"kept")
    redis.pause()
    await here.cut_off()
    await here.cache.invalidate("a:1")
    redis.resume()

    async def here_reads_again() -> bool:
        found = await here.cache.get("a:2")
        assert await here.cache.get("a:1") != b"old"
        return found == b"kept"

    await until(here_reads_again, otherwise=lambda: "the cache is still bypassed")
    assert await there.misses("a:1")
    assert await there.cache.get("a:2") == b"kept"


async def test_an_old_lease_does_not_bring_back_what_could_not_be_removed(
    redis: RedisServer, new_node: NewNode
) -> None:
    node = await new_node()
    lease = await node.cache.get("a:1")
    assert isinstance(lease, Lease)
    redis.pause()
    await node.cut_off()
    await node.cache.invalidate("a:1")
    redis.resume()
    await eventually(lambda: node.link.up)
    await node.cache.fill("a:1", lease, b"old", ttl=60)
    assert await node.misses("a:1")


async def test_the_cache_is_emptied_where_too_much_could_not_be_removed(
    redis: RedisServer, new_node: NewNode
) -> None:
    here, there = await new_node(max_missed=2), await new_node()
    for number in range(5):
        await here.fill(f"a:{number}", b"old")
    redis.pause()
    await here.cut_off()
    for number in range(4):
        await here.cache.invalidate(f"a:{number}")
    redis.resume()
    await eventually(lambda: here.link.up)

    async def emptied() -> bool:
        return all([await there.misses(f"a:{number}") for number in range(5)])

    await until(emptied, otherwise=lambda: "something is left")

    async def used_again() -> bool:
        await cached(here.cache, "b:1", read, ttl=60)
        return await here.cache.get("b:1") == b"new"

    async def read() -> bytes:
        return b"new"

    await until(used_again, otherwise=lambda: "the cache is still bypassed")


async def test_an_invalidation_counts_although_its_caller_went_away(redis: RedisServer, new_node: NewNode) -> None:
    here, there = await new_node(), await new_node()
    await here.fill("a:1")
    invalidating = asyncio.create_task(here.cache.invalidate("a:1"))
    await asyncio.sleep(0)
    invalidating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await invalidating

    async def gone() -> bool:
        return await there.misses("a:1")

    await until(gone, otherwise=lambda: "still there")


async def test_a_redis_that_restarts_with_older_data_starts_empty(redis: RedisServer, new_node: NewNode) -> None:
    node = await new_node()
    await node.fill("a:1", b"old")
    snapshot = await read_all(node)
    assert snapshot
    await node.cache.invalidate("a:1")
    await redis.stop()
    await redis.start()
    await write_all(await new_node(), snapshot)
    assert await node.misses("a:1")
    await eventually(lambda: node.link.up)
    assert await node.misses("a:1")


async def test_a_redis_without_memory_left_keeps_nothing_and_breaks_nothing(
    redis: RedisServer, new_node: NewNode
) -> None:
    node = await new_node()
    await node.fill("a:1")
    lease = await node.cache.get("a:2")
    assert isinstance(lease, Lease)
    await node.link.send("CONFIG", "SET", "maxmemory", 1)
    await node.cache.fill("a:2", lease, b"value", ttl=60)
    assert await node.misses("a:2")
    assert await node.cache.get("a:1") == b"value"
    await node.cache.invalidate("a:1")
    assert await node.misses("a:1")
    assert node.link.up


async def read_all(node: Node) -> dict[bytes, bytes]:
    return {key: await node.link.send("DUMP", key) for key in await node.link.send("KEYS", "*")}


async def write_all(node: Node, snapshot: dict[bytes, bytes]) -> None:
    for key, value in snapshot.items():
        await node.link.send("RESTORE", key, 0, value)
