import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from services.errors import RateLimited
from services.passwords import Passwords


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    passwords = Passwords(max_waiting=16)
    await passwords.start()
    yield passwords
    await passwords.stop()


async def test_a_password_matches_its_own_hash_alone(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct horse" not in stored
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("Correct horse", stored)


async def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_nothing_matches_a_malformed_hash(passwords: Passwords) -> None:
    assert not await passwords.verify("correct horse", "not a hash")


async def test_without_a_hash_the_answer_is_no_and_takes_as_long(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")

    async def fastest(password_hash: str | None) -> float:
        times = []
        for _ in range(3):
            started = time.perf_counter()
            assert not await passwords.verify("wrong", password_hash)
            times.append(time.perf_counter() - started)
        return min(times)

    known, unknown = await fastest(stored), await fastest(None)
    assert 0.2 < known / unknown < 5


async def test_not_even_the_password_of_nobody_matches_nobody(passwords: Passwords) -> None:
    assert not await passwords.verify("nobody has this password", None)


async def test_two_hash_and_sixteen_wait_and_more_are_turned_away_until_the_rush_is_over(
    passwords: Passwords,
) -> None:
    answers = await asyncio.gather(*(passwords.hash("x" * 8) for _ in range(25)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert len(refused) == 25 - 18
    assert all(answer.retry_after and answer.retry_after > 0 for answer in refused)
    assert len({answer for answer in answers if isinstance(answer, str)}) == 18
    assert await passwords.hash("x" * 8)


async def test_those_who_gave_up_waiting_keep_no_place(passwords: Passwords) -> None:
    waiting = [asyncio.create_task(passwords.hash("x" * 8)) for _ in range(18)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await passwords.hash("x" * 8)


async def test_hashing_leaves_the_event_loop_free(passwords: Passwords) -> None:
    hashing = asyncio.create_task(passwords.hash("x" * 8))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


async def test_a_hash_with_weaker_parameters_is_outdated(passwords: Passwords) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse")
    assert await passwords.verify("correct horse", weak)
    assert passwords.is_outdated(weak)
    assert not passwords.is_outdated(await passwords.hash("correct horse"))
