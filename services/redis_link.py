"""The one way to Redis for short commands: in batches, within a time limit, and not to a Redis in trouble.

::

    start() --> down --(answers)--> up
                 ^                   |
                 +--(a batch fails)--+

While the link is down every command fails at once, and one task tries to connect again, so that nobody else
waits. While one batch is on its way the next one gathers: many callers share one round trip.
"""

import asyncio
import hashlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge
from redis.asyncio.connection import AbstractConnection

from services.redis_connection import FAILURES, ask, check, connected, redis_pool

logger = logging.getLogger("parley.redis")

UP = Gauge("parley_redis_up", "1 while this node's link to Redis works")
LOST = Counter("parley_redis_lost_total", "How often this node's link to Redis failed")

BATCH = 256
"""Commands that travel in one go."""
CONNECT_SECONDS = 1.0
STEADY_SECONDS = 10.0
"""A link that worked for shorter than this is not tried again at once."""

Script = Callable[[Sequence[str], Sequence[Any]], "asyncio.Future[Any]"]


class RedisDown(Exception):
    """Redis did not do what was asked, or may not have; its callers go on without it."""


class _Call(NamedTuple):
    command: tuple[Any, ...]
    answer: "asyncio.Future[Any]"

    def settle(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            self.fail()
        elif not self.answer.done():
            self.answer.set_result(answer)

    def fail(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(RedisDown())


class RedisLink:
    """One connection to Redis for the commands of the whole node.

    :param timeout: seconds that one batch may take, and so the longest that anybody waits.
    :param slowest_retry: seconds between attempts to connect once Redis has been away for some time.
    """

    def __init__(self, url: str, *, timeout: float = 0.25, slowest_retry: float = 2.0) -> None:
        self._timeout, self._slowest_retry = timeout, slowest_retry
        self._pool = redis_pool(url, connections=1, timeout=CONNECT_SECONDS)
        self._up, self._queued = asyncio.Event(), asyncio.Event()
        self._queue: deque[_Call] = deque()
        self._scripts: list[str] = []
        self._on_return: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.namespace = ""
        """Names the installation whose keys these are: others may use the same Redis."""
        self.epoch = ""
        """Names the run of the server: it changes when Redis restarts, perhaps with old data."""

    @property
    def up(self) -> bool:
        """Whether commands are sent at all."""
        return self._up.is_set()

    def on_return(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have ``callback`` awaited each time the link has come up."""
        self._on_return.append(callback)

    async def start(self) -> None:
        """Connect; where Redis does not answer within a second, go on without it and keep trying."""
        self._spawn(self._stay())
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._up.wait()

    async def stop(self) -> None:
        """Disconnect; all commands fail from now on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._go_down()
        with suppress(*FAILURES):
            await self._pool.aclose()

    def send(self, *command: Any) -> "asyncio.Future[Any]":
        """Queue a command; it is sent even if the caller does not wait for the answer.

        :returns: the answer to come, which fails with `RedisDown` where the command did not succeed.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.up:
            self._queue.append(_Call(command, answer))
            self._queued.set()
        else:
            answer.set_exception(RedisDown())
        return answer

    def script(self, source: str) -> Script:
        """Make a Lua script a function of its keys and arguments, which answers as `send` does.

        :raises RuntimeError: the link has started.
        """
        if self._tasks:
            raise RuntimeError("name scripts before the link starts")
        self._scripts.append(source)
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return lambda keys, arguments: self.send("EVALSHA", sha, len(keys), *keys, *arguments)

    async def _stay(self) -> None:
        delay, told = 0.0, False
        while True:
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, no secret
            delay = min(max(2 * delay, 0.1), self._slowest_retry)
            started_at = time.monotonic()
            try:
                async with connected(self._pool) as connection:
                    await self._greet(connection)
                    self._come_up()
                    told = False
                    await self._serve(connection)
            except Exception as error:  # whatever it is, callers must not wait for a link that is gone
                if not told:
                    LOST.inc()
                    unforeseen = not isinstance(error, FAILURES)
                    logger.warning("Redis is not connected: %r", error, exc_info=unforeseen)
                    told = True
                if self.up and time.monotonic() - started_at > STEADY_SECONDS:
                    delay = 0.0
                self._go_down()

    async def _greet(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            commands = [("SCRIPT", "LOAD", source) for source in self._scripts]
            answers = await ask(connection, [*commands, ("INFO", "server")])
        check(answers)
        lines = answers[-1].decode().splitlines()
        self.epoch = next((line.partition(":")[2] for line in lines if line.startswith("run_id:")), "unknown")

    def _come_up(self) -> None:
        self._up.set()
        UP.set(1)
        logger.info("Redis is connected")
        self._spawn(self._tell_return())

    async def _tell_return(self) -> None:
        for callback in self._on_return:
            try:
                await callback()
            except Exception:
                logger.exception("A callback failed when Redis came back")

    async def _serve(self, connection: AbstractConnection) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                await self._send_batch(connection)

    async def _send_batch(self, connection: AbstractConnection) -> None:
        calls = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        try:
            async with asyncio.timeout(self._timeout):
                answers = await ask(connection, [call.command for call in calls])
        except BaseException:
            for call in calls:
                call.fail()
            raise
        for call, answer in zip(calls, answers, strict=True):
            call.settle(answer)
        check(answers)

    def _go_down(self) -> None:
        self._up.clear()
        UP.set(0)
        while self._queue:
            self._queue.popleft().fail()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="redis link")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
