"""Rate limits by the generic cell rate algorithm: a steady rate with a burst, in one number per key.

That number is the time at which the key will have made up for all it took. Nothing is counted in windows, so
there is no edge at which twice the burst passes at once.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

REFUSED = Counter("parley_rate_limited_total", "Requests that a limit refused", ["limit"])


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is allowed: ``count`` in every ``period`` seconds, ``burst`` of them at once.

    :param burst: as many as ``count`` when left out.
    """

    count: int
    period: float
    burst: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.interval < 1 or self.size < 1:
            raise ValueError(f"not a rate: {self.count} per {self.period} s, burst {self.size}")

    @property
    def interval(self) -> int:
        """Microseconds from one to the next at the steady rate."""
        return round(self.period * 1_000_000 / self.count)

    @property
    def size(self) -> int:
        """How many may come at once."""
        return self.count if self.burst is None else self.burst


def _wait(rate: Rate, *, settled: int, now: int) -> int:
    """Microseconds until one more is allowed, by the time at which the key will have settled."""
    return max(0, max(settled, now) + rate.interval - rate.interval * rate.size - now)


def refused(key: str) -> None:
    """Count a refusal by the kind of its key, which looks like ``kind:whom``."""
    REFUSED.labels(key.partition(":")[0]).inc()


class Bucket:
    """One limit without a key, for example of one connection; needs no clean-up.

    :param rate: kept by reference, so that thousands of buckets share one.
    """

    __slots__ = ("_rate", "_settled")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._settled = 0

    def take(self, now: float | None = None) -> float:
        """Take one.

        :param now: seconds on any clock that never goes back; the monotonic one when left out.
        :returns: 0.0 when allowed, otherwise seconds to wait, and nothing was taken.
        """
        moment = int((time.monotonic() if now is None else now) * 1_000_000)
        wait = _wait(self._rate, settled=self._settled, now=moment)
        if not wait:
            self._settled = max(self._settled, moment) + self._rate.interval
        return wait / 1_000_000


class RateLimiter(Protocol):
    """Limits by key. A key is always used with the same rate."""

    async def take(self, key: str, rate: Rate) -> float:
        """Take one.

        :returns: 0.0 when allowed, otherwise seconds to wait, and nothing was taken.
        """
        ...

    async def give_back(self, key: str, rate: Rate) -> None:
        """Undo one `take` that was allowed, for example of a sign-in that turned out right."""
        ...


class NoRateLimiter:
    """Allows everything: load tests run with ``PARLEY_LIMITS=off``."""

    async def take(self, key: str, rate: Rate) -> float:  # noqa: ARG002 - the protocol's arguments
        """Allow it.

        :returns: 0.0
        """
        return 0.0

    async def give_back(self, key: str, rate: Rate) -> None:
        """Do nothing."""


class MemoryRateLimiter:
    """The limits of one node.

    :param max_keys: keys remembered; beyond it the one that was used longest ago is forgotten.
    :param clock: seconds, never going back.
    """

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_keys = max_keys
        self._clock = clock
        self._settled: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._settled)

    async def take(self, key: str, rate: Rate) -> float:
        """Take one.

        :returns: 0.0 when allowed, otherwise seconds to wait, and nothing was taken.
        """
        now = self._now()
        settled = self._settled.get(key, 0)
        wait = _wait(rate, settled=settled, now=now)
        if wait:
            refused(key)
        else:
            self._settled[key] = max(settled, now) + rate.interval
        if key in self._settled:
            self._settled.move_to_end(key)
        self._tidy(now)
        return wait / 1_000_000

    async def give_back(self, key: str, rate: Rate) -> None:
        """Undo one `take` that was allowed."""
        if key in self._settled:
            self._settled[key] -= rate.interval

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _tidy(self, now: int) -> None:
        # Each take drops up to two, so that settled keys go faster than new ones come.
        for _ in range(2):
            oldest, settled = next(iter(self._settled.items()), ("", 0))
            if settled > now and len(self._settled) <= self._max_keys:
                return
            self._settled.pop(oldest, None)
