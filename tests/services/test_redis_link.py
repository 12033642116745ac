import asyncio
from collections.abc import AsyncIterator

import pytest

from services.redis_link import RedisDown, RedisLink
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
async def link(redis: RedisServer) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis.url)
    await link.start()
    yield link
    await link.stop()


async def test_a_command_is_answered(link: RedisLink) -> None:
    await link.send("SET", "a", b"\x00\xff")
    assert await link.send("GET", "a") == b"\x00\xff"


async def test_a_rush_of_commands_is_answered_one_by_one_in_order(link: RedisLink) -> None:
    answers = await asyncio.gather(*(link.send("INCR", "n") for _ in range(3000)))
    assert answers == list(range(1, 3001))
    assert link.up


async def test_a_script_is_a_function_of_its_keys_and_arguments(redis: RedisServer) -> None:
    link = RedisLink(redis.url)
    add = link.script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    await link.start()
    assert [await add(["n"], [2]), await add(["n"], [3])] == [2, 5]
    await link.stop()


async def test_scripts_are_named_before_the_link_starts(link: RedisLink) -> None:
    with pytest.raises(RuntimeError, match="before the link starts"):
        link.script("return 1")


async def test_scripts_that_an_operator_flushed_come_back(redis: RedisServer) -> None:
    link = RedisLink(redis.url)
    one = link.script("return 1")
    await link.start()
    await link.send("SCRIPT", "FLUSH")
    with pytest.raises(RedisDown):
        await one([], [])
    await eventually(lambda: link.up)
    assert await one([], []) == 1
    await link.stop()


async def test_commands_fail_at_once_without_redis_and_the_link_returns_by_itself(
    redis: RedisServer, link: RedisLink
) -> None:
    epoch = link.epoch
    await redis.stop()
    with pytest.raises(RedisDown):
        await link.send("PING")
    assert not link.up
    with pytest.raises(RedisDown):
        await link.send("PING")
    await redis.start()
    await eventually(lambda: link.up)
    assert await link.send("PING") == b"PONG"
    assert link.epoch != epoch


async def test_a_restart_between_two_commands_is_noticed(redis: RedisServer, link: RedisLink) -> None:
    await redis.stop()
    await redis.start()
    with pytest.raises(RedisDown):
        await link.send("PING")
    await eventually(lambda: link.up)


async def test_a_hanging_redis_costs_everybody_together_one_time_limit(redis: RedisServer, link: RedisLink) -> None:
    loop = asyncio.get_running_loop()
    redis.pause()
    started = loop.time()
    answers = await asyncio.gather(*(link.send("PING") for _ in range(1000)), return_exceptions=True)
    answers += await asyncio.gather(*(link.send("PING") for _ in range(1000)), return_exceptions=True)
    assert loop.time() - started < 1.0
    assert all(isinstance(answer, RedisDown) for answer in answers)
    redis.resume()
    await eventually(lambda: link.up)
    assert await link.send("PING") == b"PONG"


async def test_a_command_that_redis_refuses_fails_alone(link: RedisLink) -> None:
    good, bad = link.send("PING"), link.send("NONSENSE")
    assert await good == b"PONG"
    with pytest.raises(RedisDown):
        await bad
    await eventually(lambda: link.up)


async def test_a_caller_that_goes_away_does_not_harm_the_others(link: RedisLink) -> None:
    first, second = link.send("INCR", "n"), link.send("INCR", "n")
    first.cancel()
    assert await second == 2
    assert link.up


async def test_it_starts_without_redis_and_finds_it_later(redis: RedisServer) -> None:
    await redis.stop()
    link = RedisLink(redis.url)
    await link.start()
    with pytest.raises(RedisDown):
        await link.send("PING")
    await redis.start()
    await eventually(lambda: link.up)
    await link.stop()


async def test_commands_fail_after_it_stopped(link: RedisLink) -> None:
    await link.stop()
    with pytest.raises(RedisDown):
        await link.send("PING")


async def test_what_is_on_its_way_fails_when_it_stops(redis: RedisServer, link: RedisLink) -> None:
    redis.pause()
    answer = link.send("PING")
    await asyncio.sleep(0)
    await link.stop()
    with pytest.raises(RedisDown):
        await answer


async def test_callbacks_hear_of_each_return_even_after_one_that_fails(redis: RedisServer) -> None:
    link = RedisLink(redis.url)
    returns: list[bool] = []

    async def fail() -> None:
        raise ValueError

    async def note() -> None:
        returns.append(link.up)

    link.on_return(fail)
    link.on_return(note)
    await link.start()
    await eventually(lambda: returns == [True])
    await redis.stop()
    await redis.start()
    with pytest.raises(RedisDown):
        await link.send("PING")
    await eventually(lambda: returns == [True, True])
    await link.stop()
