from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.cache import Cache, Lease, MemoryCache, cached
from services.redis_cache import RedisCache
from services.redis_link import RedisLink
from tests.support.processes import until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
async def redis_cache(redis_url: str) -> AsyncIterator[RedisCache]:
    link = RedisLink(redis_url)
    cache = RedisCache(link)
    await link.start()
    yield cache
    await link.stop()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> Cache:
    if request.param == "memory":
        return MemoryCache()
    redis_cache: RedisCache = request.getfixturevalue("redis_cache")
    return redis_cache


@pytest.fixture
def key() -> str:
    return f"thing:{uuid4()}"


async def lease(cache: Cache, key: str) -> Lease:
    found = await cache.get(key)
    assert isinstance(found, Lease)
    return found


async def test_what_was_filled_is_found(cache: Cache, key: str) -> None:
    await cache.fill(key, await lease(cache, key), b"\x00value\xff", ttl=60)
    assert await cache.get(key) == b"\x00value\xff"


async def test_an_empty_value_is_a_value(cache: Cache, key: str) -> None:
    await cache.fill(key, await lease(cache, key), b"", ttl=60)
    assert await cache.get(key) == b""


async def test_an_invalidated_value_is_gone(cache: Cache, key: str) -> None:
    await cache.fill(key, await lease(cache, key), b"old", ttl=60)
    await cache.invalidate(key)
    await cache.fill(key, await lease(cache, key), b"new", ttl=60)
    assert await cache.get(key) == b"new"


async def test_a_slow_reader_cannot_store_what_was_invalidated_meanwhile(cache: Cache, key: str) -> None:
    outdated = await lease(cache, key)
    await cache.invalidate(key)
    await cache.fill(key, outdated, b"old", ttl=60)
    current = await lease(cache, key)
    await cache.fill(key, outdated, b"old", ttl=60)
    assert isinstance(await cache.get(key), Lease)
    await cache.fill(key, current, b"new", ttl=60)
    assert await cache.get(key) == b"new"


async def test_a_lease_fills_only_its_own_key(cache: Cache, key: str) -> None:
    await lease(cache, key)
    await cache.fill(key, await lease(cache, f"{key}2"), b"value", ttl=60)
    assert isinstance(await cache.get(key), Lease)


async def test_of_readers_who_miss_together_one_fills(cache: Cache, key: str) -> None:
    leases = [await lease(cache, key), await lease(cache, key)]
    for number, one in enumerate(leases):
        await cache.fill(key, one, b"%d" % number, ttl=60)
    assert await cache.get(key) == b"0"


async def test_several_keys_are_invalidated_together(cache: Cache, key: str) -> None:
    keys = [f"{key}{number}" for number in range(3)]
    for one in keys:
        await cache.fill(one, await lease(cache, one), b"value", ttl=60)
    await cache.invalidate(*keys)
    await cache.invalidate()
    assert all([isinstance(await cache.get(one), Lease) for one in keys])


async def test_a_value_in_redis_lives_for_its_time_only(redis_cache: RedisCache, key: str) -> None:
    await redis_cache.fill(key, await lease(redis_cache, key), b"value", ttl=0.05)

    async def gone() -> bool:
        return isinstance(await redis_cache.get(key), Lease)

    await until(gone, otherwise=lambda: "still there")


async def test_a_value_in_memory_lives_for_its_time_only() -> None:
    clock = Clock()
    cache = MemoryCache(clock=clock)
    await cache.fill("a:1", await lease(cache, "a:1"), b"value", ttl=2)
    clock.now = 1.9
    assert await cache.get("a:1") == b"value"
    clock.now = 2.0
    assert isinstance(await cache.get("a:1"), Lease)


async def test_hits_and_misses_are_counted_by_kind(cache: Cache) -> None:
    kind = f"kind{uuid4().hex}"
    hits, misses = cache.hits, cache.misses
    await cache.fill(f"{kind}:1", await lease(cache, f"{kind}:1"), b"value", ttl=60)
    await cache.get(f"{kind}:1")
    await cache.get(f"{kind}:1")
    await cache.get(f"{kind}:2")
    assert (cache.hits - hits, cache.misses - misses) == (2, 2)
    assert REGISTRY.get_sample_value("parley_cache_hits_total", {"kind": kind}) == 2
    assert REGISTRY.get_sample_value("parley_cache_misses_total", {"kind": kind}) == 2


async def test_cached_reads_once(cache: Cache, key: str) -> None:
    reads: list[str] = []

    async def read() -> bytes:
        reads.append(key)
        return b"value"

    assert [await cached(cache, key, read, ttl=60) for _ in range(3)] == [b"value"] * 3
    assert len(reads) == 1


async def test_memory_holds_no_more_values_than_it_may_and_drops_the_least_used() -> None:
    cache = MemoryCache(max_entries=2)
    for key in ("a:1", "a:2"):
        await cache.fill(key, await lease(cache, key), b"value", ttl=60)
    await cache.get("a:1")
    await cache.fill("a:3", await lease(cache, "a:3"), b"value", ttl=60)
    assert len(cache) == 2
    assert await cache.get("a:1") == b"value"
    assert isinstance(await cache.get("a:2"), Lease)


async def test_memory_holds_no_more_bytes_than_it_may() -> None:
    cache = MemoryCache(max_bytes=80)
    for number in range(20):
        await cache.fill(f"a:{number}", await lease(cache, f"a:{number}"), b"x" * 10, ttl=60)
    assert len(cache) == 8
    await cache.invalidate("a:19", "a:18")
    await cache.fill("a:20", await lease(cache, "a:20"), b"x" * 10, ttl=60)
    assert len(cache) == 7


async def test_memory_does_not_keep_a_value_that_would_push_out_many() -> None:
    cache = MemoryCache(max_bytes=80)
    await cache.fill("a:1", await lease(cache, "a:1"), b"x" * 11, ttl=60)
    assert isinstance(await cache.get("a:1"), Lease)


async def test_memory_forgets_the_oldest_of_too_many_leases() -> None:
    cache = MemoryCache(max_entries=2)
    forgotten = await lease(cache, "a:1")
    for key in ("a:2", "a:3"):
        await lease(cache, key)
    await cache.fill("a:1", forgotten, b"value", ttl=60)
    assert len(cache) == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "fill", "write"]), st.integers(0, 1), st.integers(0, 3)), max_size=40
)


async def play(cache: Cache, steps: list[tuple[str, int, int]]) -> None:
    """Several slow readers and writers of two rows: no hit is older than the last invalidation."""
    keys = [f"row:{uuid4()}", f"row:{uuid4()}"]
    rows = [0, 0]
    readers: dict[tuple[int, int], tuple[Lease, bytes]] = {}
    for step, row, reader in steps:
        if step == "write":
            rows[row] += 1
            await cache.invalidate(keys[row])
        elif step == "read":
            found = await cache.get(keys[row])
            if isinstance(found, Lease):
                readers[row, reader] = found, b"%d" % rows[row]
            else:
                assert found == b"%d" % rows[row]
        elif (row, reader) in readers:
            held, value = readers.pop((row, reader))
            await cache.fill(keys[row], held, value, ttl=60)


@given(STEPS)
async def test_memory_never_gives_what_is_outdated(steps: list[tuple[str, int, int]]) -> None:
    await play(MemoryCache(max_entries=2), steps)


@given(steps=STEPS)
async def test_redis_never_gives_what_is_outdated(redis_cache: RedisCache, steps: list[tuple[str, int, int]]) -> None:
    await play(redis_cache, steps)
