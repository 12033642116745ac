"""The one way to Redis for short commands: time limits, and a circuit breaker while Redis is in trouble.

::

    start() --> down --(answers within the time limit)--> up
                 ^                                         |
                 +------(a call fails or takes too long)---+

While the link is down every call is refused at once and one task probes Redis, so nobody waits for it twice.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

logger = logging.getLogger(__name__)

T = TypeVar("T")

FAILURES = (RedisError, OSError, TimeoutError)
"""What a command to a Redis in trouble may raise."""

UP = Gauge("parley_redis_up", "1 while this node's link to Redis works")
LOST = Counter("parley_redis_lost_total", "How often this node's link to Redis failed")


class RedisDown(Exception):
    """Redis did not do what was asked, or may not have; its callers go on without it."""


def redis_client(url: str, *, connections: int, timeout: float, **options: Any) -> Redis:
    """Build a client that never retries by itself; nothing connects before the first command.

    :param connections: the most it opens; further commands wait for one.
    :param timeout: seconds for a connection to come about, and for each answer.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # every server speaks it, and it takes no handshake
        driver_info=None,
        **options,
    )
    return Redis.from_pool(pool)


class RedisLink:
    """A pool of connections to one run of one Redis server.

    :param timeout: seconds that one call may take, connecting included.
    :param connections: the most that are open at once.
    :param slowest_probe: seconds between probes once Redis has been away for some time.
    """

    def __init__(
        self, url: str, *, timeout: float = 0.2, connections: int = 16, slowest_probe: float = 2.0
    ) -> None:
        self._timeout, self._slowest_probe = timeout, slowest_probe
        self._client = redis_client(
            url, connections=connections, timeout=timeout, redis_connect_func=self._check_run
        )
        self._watcher: asyncio.Task[None] | None = None
        self._up, self._lost, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._calls = 0
        self._delay, self._returned_at = 0.0, float("-inf")
        self._on_return: list[Callable[[], Awaitable[None]]] = []
        self.epoch = ""
        """Names the run of the server: it changes when Redis restarts, perhaps with old data."""

    @property
    def up(self) -> bool:
        """Whether calls are let through."""
        return self._up.is_set()

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have ``callback`` awaited each time the link has come up."""
        self._on_return.append(callback)

    async def start(self) -> None:
        """Connect; where Redis does not answer within a second, go on without it and keep trying."""
        self._lost.set()
        self._watcher = asyncio.create_task(self._watch(), name="redis link")
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._up.wait()

    async def stop(self) -> None:
        """Close every connection; calls are refused from now on."""
        if self._watcher is None:
            return
        self._up.clear()
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        with suppress(*FAILURES):
            await self._client.aclose()
        UP.set(0)

    def script(self, source: str) -> Callable[[Sequence[str], Sequence[Any]], Awaitable[Any]]:
        """Make a Lua script a function of its keys and arguments, which raises `RedisDown` as `call` does."""
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

        async def evaluate(client: Redis, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
            try:
                return await client.evalsha(sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await client.eval(source, len(keys), *keys, *arguments)

        return lambda keys, arguments: self.call(lambda client: evaluate(client, keys, arguments))

    async def call(self, operation: Callable[[Redis], Awaitable[T]]) -> T:
        """Run ``operation`` within the time limit.

        :raises RedisDown: the link is down, or the call failed and has now brought it down.
        """
        if not self.up:
            raise RedisDown
        self._calls += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await operation(self._client)
        except FAILURES as error:
            self.trip(error)
            raise RedisDown from error
        finally:
            self._calls -= 1
            self._idle.set()

    def trip(self, reason: BaseException) -> None:
        """Take the link down until Redis has answered anew."""
        if self.up:
            self._up.clear()
            self._lost.set()
            UP.set(0)
            LOST.inc()
            logger.warning("Redis does not answer as it should: %s", str(reason) or type(reason).__name__)

    async def _watch(self) -> None:
        while True:
            await self._lost.wait()
            self._lost.clear()
            await self._reconnect()
            self._returned_at = asyncio.get_running_loop().time()
            self._up.set()
            UP.set(1)
            logger.info("Redis is connected")
            for callback in self._on_return:
                try:
                    await callback()
                except Exception:
                    logger.exception("A callback failed when Redis came back")

    async def _reconnect(self) -> None:
        # The first probe comes at once, unless the link failed again soon after it came up.
        if asyncio.get_running_loop().time() - self._returned_at > 10:
            self._delay = 0.0
        while True:
            await asyncio.sleep(self._delay * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, no secret
            self._delay = min(max(2 * self._delay, 0.1), self._slowest_probe)
            with suppress(*FAILURES):
                return await self._greet()

    async def _greet(self) -> None:
        while self._calls:
            self._idle.clear()
            await self._idle.wait()
        # No call is in flight and the old connections are closed, so none can mix two runs of the server.
        await self._client.connection_pool.disconnect()
        self.epoch = ""
        async with asyncio.timeout(1):
            await self._client.ping()
        async with asyncio.timeout(self._timeout):
            await self._client.ping()

    async def _check_run(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        lines = (await connection.read_response()).decode().splitlines()
        run = next((line.partition(":")[2] for line in lines if line.startswith("run_id:")), "unknown")
        if self.epoch and run != self.epoch:
            raise RedisConnectionError("the server was restarted")
        self.epoch = run
