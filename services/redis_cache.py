"""The cache that all nodes share, in Redis."""

import asyncio
import secrets
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from services.cache import Lease, Tally
from services.redis_link import RedisDown, RedisLink

PREFIX = "parley:cache:"
LEASE_MILLISECONDS = 10_000
"""A read of the database that takes longer fills no more."""

# Where Redis has no memory left it refuses SET; pcall makes that a lease or a value that is not kept.
_GET = """
local value = redis.call('GET', KEYS[1])
if value then return {1, value} end
local lease = redis.call('GET', KEYS[2])
if not lease then
  lease = ARGV[1]
  redis.pcall('SET', KEYS[2], lease, 'PX', ARGV[2])
end
return {0, lease}
"""
_FILL = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
end
"""


class RedisCache(Tally):
    """A cache of which all nodes see the same values and invalidations.

    Guaranteed: once ``invalidate`` has returned with Redis answering, no node is given the old value any
    more. Where Redis does not answer, the node remembers what it could not remove, gives no cached value at
    all until it has removed that, and does so as soon as Redis is back. A Redis that restarts, perhaps with
    older data, starts empty, because the server's run is part of each key.

    What remains: while one node is cut off, others that still reach Redis may be given what it could not
    remove, for at most the ``ttl`` of the entry; the same if a node dies between its commit and the removal.
    Give entries that grant a right a ``ttl`` of seconds.

    :param max_missed: keys remembered while Redis is away; beyond it the whole cache is emptied on return.
    """

    def __init__(self, link: RedisLink, *, max_missed: int = 100_000) -> None:
        super().__init__()
        self._link = link
        self._max_missed = max_missed
        # By key the number of the last failure: removing it once must not hide a failure that came later.
        self._missed: dict[str, int] = {}
        self._failures = 0
        self._emptying = False
        self._get, self._fill = link.script(_GET), link.script(_FILL)
        link.on_return(self._catch_up)

    async def get(self, key: str) -> bytes | Lease:
        """The value, or on a miss the lease to fill it with, which is empty where Redis does not answer."""
        found, value = 0, b""
        with suppress(RedisDown):
            found, value = await self._get(self._names(key), [secrets.token_bytes(8), LEASE_MILLISECONDS])
        if found and not self._missed and not self._emptying:
            self.hit(key)
            return value
        self.miss(key)
        return Lease(b"" if found else value)

    async def fill(self, key: str, lease: Lease, value: bytes, *, ttl: float) -> None:
        """Store ``value`` for ``ttl`` seconds, unless the key was invalidated since the lease was given."""
        if lease.token:
            with suppress(RedisDown):
                await self._fill(self._names(key), [lease.token, value, max(1, round(ttl * 1000))])

    async def invalidate(self, *keys: str) -> None:
        """Remove the values of ``keys`` and all leases for them, now or as soon as Redis is back."""
        if not keys:
            return
        removed = self._remove(*keys)
        # Noted whether or not the caller waits so long.
        removed.add_done_callback(partial(self._note_removal, keys))
        with suppress(RedisDown):
            await asyncio.shield(removed)

    async def empty(self) -> None:
        """Remove everything.

        :raises RedisDown: Redis does not answer.
        """
        failures, cursor = self._failures, b"0"
        while True:
            cursor, names = await self._link.send("SCAN", cursor, "MATCH", f"{PREFIX}*", "COUNT", 1000)
            if names:
                await self._link.send("UNLINK", *names)
            if not int(cursor):
                break
        self._emptying = failures != self._failures

    def _names(self, key: str) -> list[str]:
        name = f"{PREFIX}{self._link.namespace}:{self._link.epoch}:{key}"
        return [name, f"{name}:lease"]

    def _remove(self, *keys: str) -> "asyncio.Future[Any]":
        return self._link.send("UNLINK", *(name for key in keys for name in self._names(key)))

    def _note_removal(self, keys: tuple[str, ...], removed: "asyncio.Future[Any]") -> None:
        if removed.exception() is None:
            return
        self._failures += 1
        self._missed.update(dict.fromkeys(keys, self._failures))
        if len(self._missed) > self._max_missed:
            self._missed.clear()
            self._emptying = True

    async def _catch_up(self) -> None:
        with suppress(RedisDown):  # the link comes back once more
            if self._emptying:
                await self.empty()
            while self._missed:
                await self._remove_missed()

    async def _remove_missed(self) -> None:
        some = dict(islice(self._missed.items(), 500))
        await self._remove(*some)
        for key, failure in some.items():
            if self._missed.get(key) == failure:
                del self._missed[key]
