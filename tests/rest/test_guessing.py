"""What a stranger could learn from how long an answer takes."""

import time
from statistics import median

from tests.conftest import NewPerson
from tests.support.person import Person

PAIRS = 12
ROUNDS = 4
ALIKE = (0.6, 1.6)
"""Bounds of a ratio; without a hash to compare for an unknown name it would be about 0.1."""


async def test_signing_in_as_nobody_takes_as_long_as_with_a_wrong_password(new_person: NewPerson) -> None:
    known = await new_person()
    async with Person(known.url) as visitor:

        async def seconds(username: str, password: str) -> float:
            began = time.perf_counter()
            response = await visitor.post("/auth/login", username=username, password=password)
            assert response.status_code == 401
            return time.perf_counter() - began

        ratios = []
        for _ in range(ROUNDS):
            # One after the other, so that whatever else the machine does slows both alike.
            pairs = [
                (await seconds(known.username, "wrong password"), await seconds("nobody-here", "wrong password"))
                for _ in range(PAIRS)
            ]
            wrong, unknown = (median(times) for times in zip(*pairs, strict=True))
            ratios.append(unknown / wrong)
            if ALIKE[0] < ratios[-1] < ALIKE[1]:
                return
        raise AssertionError(f"unknown to wrong: {ratios}")
