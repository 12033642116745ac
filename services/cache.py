"""A look-aside cache with leases, after 'Scaling Memcache at Facebook' (NSDI 2013).

A reader that misses gets a lease, reads the database, and fills with the lease. An invalidation in between
takes the lease away, so that a slow reader never stores what was outdated before it got here::

    found = await cache.get(key)
    if isinstance(found, Lease):
        value = ...  # read what is committed now, in a snapshot that is not older than the lease
        await cache.fill(key, found, value, ttl=60)

Writers invalidate after their commit and before they announce it. Keys look like ``kind:id``; hits and misses
are counted by kind.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter

HITS = Counter("parley_cache_hits_total", "Answers that came from the cache", ["kind"])
MISSES = Counter("parley_cache_misses_total", "Answers that the cache did not have", ["kind"])


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fill one key, until it is invalidated; an empty token gives none."""

    token: bytes = b""


class Cache(Protocol):
    """Values by key, each for a limited time. A cache may forget at any moment."""

    hits: int
    misses: int

    async def get(self, key: str) -> bytes | Lease:
        """The value, or on a miss the lease to fill it with."""
        ...

    async def fill(self, key: str, lease: Lease, value: bytes, *, ttl: float) -> None:
        """Store ``value`` for ``ttl`` seconds, unless the key was invalidated since the lease was given."""
        ...

    async def invalidate(self, *keys: str) -> None:
        """Remove the values of ``keys`` and all leases for them."""
        ...


async def cached(cache: Cache, key: str, read: Callable[[], Awaitable[bytes]], *, ttl: float) -> bytes:
    """The value from the cache, or from ``read``, whose answer is then kept for ``ttl`` seconds.

    :param read: must see all that was committed before it is called (no older snapshot).
    """
    found = await cache.get(key)
    if not isinstance(found, Lease):
        return found
    value = await read()
    await cache.fill(key, found, value, ttl=ttl)
    return value


class Tally:
    """Counts hits and misses, in total and for Prometheus by kind."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0

    def hit(self, key: str) -> None:
        """Count a hit of this key's kind."""
        self.hits += 1
        HITS.labels(key.partition(":")[0]).inc()

    def miss(self, key: str) -> None:
        """Count a miss of this key's kind."""
        self.misses += 1
        MISSES.labels(key.partition(":")[0]).inc()


class MemoryCache(Tally):
    """The cache of one node that runs alone; what was used longest ago goes first.

    :param max_entries: values, and leases, that are kept.
    :param max_bytes: all values together; one that would take more than an eighth of it is not kept.
    :param clock: seconds, never going back.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._clock = clock
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._bytes = 0
        self._given = 0

    def __len__(self) -> int:
        return len(self._values)

    async def get(self, key: str) -> bytes | Lease:
        """The value, or on a miss the lease to fill it with."""
        value, until = self._values.get(key, (b"", float("-inf")))
        if until > self._clock():
            self._values.move_to_end(key)
            self.hit(key)
            return value
        self.miss(key)
        self._given += 1
        lease = self._leases.setdefault(key, Lease(self._given.to_bytes(8)))
        if len(self._leases) > self._max_entries:
            self._leases.popitem(last=False)
        return lease

    async def fill(self, key: str, lease: Lease, value: bytes, *, ttl: float) -> None:
        """Store ``value`` for ``ttl`` seconds, unless the key was invalidated since the lease was given."""
        if self._leases.get(key) != lease or len(value) * 8 > self._max_bytes:
            return
        del self._leases[key]
        self._drop(key)
        self._values[key] = value, self._clock() + ttl
        self._bytes += len(value)
        while len(self._values) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._values)))

    async def invalidate(self, *keys: str) -> None:
        """Remove the values of ``keys`` and all leases for them."""
        for key in keys:
            self._leases.pop(key, None)
            self._drop(key)

    def _drop(self, key: str) -> None:
        value, _ = self._values.pop(key, (b"", 0.0))
        self._bytes -= len(value)
