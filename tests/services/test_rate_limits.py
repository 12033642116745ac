import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.rate_limits import Bucket, MemoryRateLimiter, NoRateLimiter, Rate, RateLimiter
from services.redis_link import RedisLink
from services.redis_rate_limits import RedisRateLimiter
from tests.support.eventually import eventually
from tests.support.processes import until
from tests.support.redis_server import RedisServer

SLOW = Rate(10, 36_000)
"""So slow that nothing comes back while a test runs."""


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TokenBucket:
    """The same limit told otherwise: a bucket holds a burst, and fills at the steady rate."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._capacity = rate.size * rate.interval
        self._cost = rate.interval
        self._level = self._capacity
        self._filled_at = round(now * 1_000_000)

    def _fill(self, now: float) -> None:
        moment = round(now * 1_000_000)
        self._level = min(self._capacity, self._level + moment - self._filled_at)
        self._filled_at = moment

    def take(self, now: float) -> float:
        self._fill(now)
        if self._level >= self._cost:
            self._level -= self._cost
            return 0.0
        return (self._cost - self._level) / 1_000_000

    def give_back(self, now: float) -> None:
        self._fill(now)
        self._level = min(self._capacity, self._level + self._cost)


@pytest.fixture(scope="module")
async def links(redis_url: str) -> AsyncIterator[tuple[RedisRateLimiter, RedisRateLimiter]]:
    """The limiters of two nodes."""
    links = [RedisLink(redis_url), RedisLink(redis_url)]
    limiters = RedisRateLimiter(links[0]), RedisRateLimiter(links[1])
    for link in links:
        await link.start()
    yield limiters
    for link in links:
        await link.stop()


@pytest.fixture(params=["memory", "redis"])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    if request.param == "memory":
        return MemoryRateLimiter()
    here: RateLimiter = request.getfixturevalue("links")[0]
    return here


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def test_the_burst_passes_and_then_one_waits_for_the_steady_rate(limiter: RateLimiter, key: str) -> None:
    waits = [await limiter.take(key, SLOW) for _ in range(11)]
    assert waits[:10] == [0.0] * 10
    assert waits[10] == pytest.approx(3600, abs=10)


async def test_a_burst_of_its_own_may_pass_at_once(limiter: RateLimiter, key: str) -> None:
    rate = Rate(10, 36_000, burst=3)
    assert [await limiter.take(key, rate) == 0.0 for _ in range(4)] == [True, True, True, False]


async def test_what_was_refused_took_nothing(limiter: RateLimiter, key: str) -> None:
    rate = Rate(1, 3600)
    await limiter.take(key, rate)
    waits = [await limiter.take(key, rate) for _ in range(3)]
    assert waits == pytest.approx([3600] * 3, abs=10)


async def test_what_was_given_back_can_be_taken_again(limiter: RateLimiter, key: str) -> None:
    for _ in range(10):
        await limiter.take(key, SLOW)
    await limiter.give_back(key, SLOW)
    assert await limiter.take(key, SLOW) == 0.0
    assert await limiter.take(key, SLOW) > 0


async def test_giving_back_what_was_settled_gives_nothing(limiter: RateLimiter, key: str) -> None:
    rate = Rate(1, 3600)
    await limiter.give_back(key, rate)
    assert [await limiter.take(key, rate) == 0.0 for _ in range(2)] == [True, False]


async def test_keys_do_not_share_a_limit(limiter: RateLimiter, key: str) -> None:
    rate = Rate(1, 3600)
    await limiter.take(key, rate)
    assert await limiter.take(f"{key}2", rate) == 0.0


async def test_one_may_go_on_after_waiting_as_told(limiter: RateLimiter, key: str) -> None:
    rate = Rate(1, 0.05)
    await limiter.take(key, rate)
    await asyncio.sleep(await limiter.take(key, rate) + 0.01)
    assert await limiter.take(key, rate) == 0.0


async def test_no_limiter_allows_everything(key: str) -> None:
    limiter = NoRateLimiter()
    assert [await limiter.take(key, Rate(1, 3600)) for _ in range(100)] == [0.0] * 100
    await limiter.give_back(key, Rate(1, 3600))


@pytest.mark.parametrize(("count", "period", "burst"), [(0, 1.0, None), (1, 0.0, None), (1, 1.0, 0), (-1, 1.0, 1)])
def test_a_rate_of_nothing_is_refused(count: int, period: float, burst: int | None) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        Rate(count, period, burst)


RATES = st.builds(Rate, st.integers(1, 20), st.sampled_from([1.0, 7.5, 600.0]), st.none() | st.integers(1, 30))
STEPS = st.lists(st.tuples(st.sampled_from(["take", "take", "give back"]), st.integers(0, 20_000_000)), max_size=60)


@given(RATES, STEPS)
async def test_memory_limits_as_a_token_bucket_does(rate: Rate, steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    limiter, model = MemoryRateLimiter(clock=clock), TokenBucket(rate, clock.now)
    taken = 0
    for step, microseconds in steps:
        clock.now = round(clock.now + microseconds / 1_000_000, 6)
        if step == "take":
            wait = await limiter.take("key", rate)
            assert wait == pytest.approx(model.take(clock.now), abs=2e-6)
            taken += wait == 0.0
        elif taken:
            taken -= 1
            await limiter.give_back("key", rate)
            model.give_back(clock.now)


@given(RATES, st.lists(st.integers(0, 20_000_000), max_size=60))
def test_a_bucket_limits_as_a_token_bucket_does(rate: Rate, pauses: list[int]) -> None:
    now = 1000.0
    bucket, model = Bucket(rate), TokenBucket(rate, now)
    for microseconds in pauses:
        now = round(now + microseconds / 1_000_000, 6)
        assert bucket.take(now) == pytest.approx(model.take(now), abs=2e-6)


def test_a_bucket_goes_by_the_time_if_none_is_given() -> None:
    bucket = Bucket(Rate(2, 3600))
    assert [bucket.take() == 0.0 for _ in range(3)] == [True, True, False]


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=40))
async def test_two_nodes_limit_through_redis_as_one_does_in_memory(
    links: tuple[RedisRateLimiter, RedisRateLimiter], steps: list[tuple[int, bool]]
) -> None:
    key = str(uuid4())
    model = MemoryRateLimiter()
    taken = [0, 0]
    for node, take in steps:
        if take:
            wait = await links[node].take(key, SLOW)
            assert wait == pytest.approx(await model.take(key, SLOW), abs=10)
            taken[node] += wait == 0.0
        elif taken[node]:
            taken[node] -= 1
            await links[node].give_back(key, SLOW)
            await model.give_back(key, SLOW)


async def test_what_another_node_used_up_takes_nothing_here(
    links: tuple[RedisRateLimiter, RedisRateLimiter], key: str
) -> None:
    here, there = links
    rate = Rate(2, 36_000)
    assert [await here.take(key, rate) for _ in range(2)] == [0.0, 0.0]
    assert all([await there.take(key, rate) > 0 for _ in range(3)])
    await here.give_back(key, rate)
    assert await there.take(key, rate) == 0.0


async def test_redis_forgets_a_key_that_has_settled(redis_url: str, key: str) -> None:
    link = RedisLink(redis_url)
    limiter = RedisRateLimiter(link)
    await link.start()
    await limiter.take(key, Rate(1, 0.05))

    async def forgotten() -> bool:
        return not int(await link.send("EXISTS", f"parley:limit::{key}"))

    assert 0 < await link.send("PTTL", f"parley:limit::{key}") <= 50
    await until(forgotten, otherwise=lambda: "still there")
    await limiter.take(key, SLOW)
    await limiter.give_back(key, SLOW)
    assert await forgotten()
    await link.stop()


async def test_memory_forgets_keys_that_have_settled() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    for number in range(100):
        await limiter.take(str(number), Rate(1, 1))
    clock.now += 2
    for number in range(100):
        await limiter.take(f"later {number}", Rate(1, 1))
    assert len(limiter) == 100


async def test_memory_holds_no_more_keys_than_it_may_and_forgets_the_least_used() -> None:
    limiter = MemoryRateLimiter(max_keys=3)
    rate = Rate(1, 3600)
    for key in ("a", "b", "c"):
        await limiter.take(key, rate)
    await limiter.take("a", rate)
    await limiter.take("d", rate)
    assert len(limiter) == 3
    assert await limiter.take("a", rate) > 0
    assert await limiter.take("b", rate) == 0.0


async def test_without_redis_a_node_goes_on_limiting_by_what_it_saw(redis: RedisServer, key: str) -> None:
    link = RedisLink(redis.url)
    limiter = RedisRateLimiter(link)
    await link.start()
    for _ in range(4):
        await limiter.take(key, SLOW)
    await redis.stop()
    before = REGISTRY.get_sample_value("parley_rate_limit_fallbacks_total") or 0
    waits = [await limiter.take(key, SLOW) for _ in range(7)]
    assert [wait == 0.0 for wait in waits] == [True] * 6 + [False]
    await limiter.give_back(key, SLOW)
    assert (REGISTRY.get_sample_value("parley_rate_limit_fallbacks_total") or 0) - before == 7
    await redis.start()
    await eventually(lambda: link.up)
    assert [await limiter.take(key, SLOW) == 0.0 for _ in range(2)] == [True, False]
    await link.stop()


async def test_a_hanging_redis_holds_nobody_up_and_lets_nobody_through(redis: RedisServer, key: str) -> None:
    link = RedisLink(redis.url)
    limiter = RedisRateLimiter(link)
    await link.start()
    redis.pause()
    async with asyncio.timeout(1):
        waits = [await limiter.take(key, SLOW) for _ in range(100)]
    assert waits.count(0.0) == 10
    redis.resume()
    await link.stop()
