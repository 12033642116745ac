"""A node's two connections to Redis pub/sub: one publishes, one listens; if one fails both are made anew."""

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import Counter, Gauge
from redis.asyncio.connection import AbstractConnection

from services.bus_frames import Outbox, pack
from services.redis_connection import FAILURES, connected, redis_pool

logger = logging.getLogger("parley.bus")

CONNECTED = Gauge("parley_bus_connected", "1 while this node's link to the bus works")
RECONNECTS = Counter("parley_bus_reconnects_total", "How often this node's link to the bus came back")
PUBLISHED = Counter("parley_bus_published_total", "Messages that this node sent to others")
DROPPED = Counter("parley_bus_dropped_total", "Messages that this node could not send to others")

CHANNEL = "parley:bus:"
BATCH_BYTES = 256 * 1024
"""Payloads that travel to Redis in one go."""
READ_AT_ONCE = 64
"""Frames that are taken, where so many have come, before others get their turn."""
SLOWEST_RETRY = 2.0
"""Seconds between attempts once Redis has been away for some time."""


class BusLink:
    """Sends what is in the outbox and hands on what arrives; connects again by itself, for ever.

    :param outbox: what is to be sent; while the link is broken it waits there.
    :param patience: seconds without any message after which the link is broken. One's own messages come back,
        so whoever sends more often than that notices a link that hangs.
    :param joined: called each time nothing more is lost from now on.
    :param arrived: called with the topic and the frame, one's own included.
    """

    def __init__(
        self,
        url: str,
        *,
        outbox: Outbox,
        patience: float,
        joined: Callable[[], None],
        arrived: Callable[[str, bytes], None],
    ) -> None:
        self._pool = redis_pool(url, connections=2, timeout=patience)
        self._outbox, self._patience = outbox, patience
        self._joined, self._arrived = joined, arrived
        self._prefix = CHANNEL
        self._channels: list[str] = []
        self._queued, self._sent = asyncio.Event(), asyncio.Event()
        self._flushed, self._works = asyncio.Event(), asyncio.Event()
        self._unanswered: deque[int] = deque()
        self._joins = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether both connections work, as far as one can tell."""
        return self._works.is_set()

    async def open(self, topics: list[str], namespace: str) -> None:
        """Connect and listen to ``topics``; without an answer within a second go on trying meanwhile.

        :param namespace: what sets these topics apart from those of other installations: Redis has its databases
            apart, but not its channels.
        """
        self._prefix = f"{CHANNEL}{namespace}:"
        self._channels = [f"{self._prefix}{topic}" for topic in topics]
        self._task = asyncio.create_task(self._stay(), name="bus")
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._works.wait()

    async def close(self) -> None:
        """Send what waits, for at most a second if the link works, and disconnect."""
        if self._task is None:
            return
        if self.connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._flushed.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with suppress(*FAILURES):
            await self._pool.aclose()

    def send_soon(self) -> None:
        """Note that there is something in the outbox."""
        self._flushed.clear()
        self._queued.set()

    async def _stay(self) -> None:
        delay, told = 0.0, False
        while True:
            joins = self._joins
            try:
                await self._connect()
            except* FAILURES as errors:
                if joins != self._joins or not told:
                    logger.warning("The bus is not connected: %r", errors.exceptions[0])
                    told = True
            except* Exception:
                logger.exception("The bus failed")
            delay = 0.1 if joins != self._joins else min(max(2 * delay, 0.1), SLOWEST_RETRY)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, no secret

    async def _connect(self) -> None:
        async with connected(self._pool) as listener, connected(self._pool) as publisher:
            await self._join(listener)
            self._works.set()
            CONNECTED.set(1)
            try:
                self._joined()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(listener))
                    tasks.create_task(self._write(publisher))
                    tasks.create_task(self._check(publisher))
            finally:
                self._works.clear()
                CONNECTED.set(0)

    async def _join(self, listener: AbstractConnection) -> None:
        async with asyncio.timeout(self._patience):
            await listener.send_command("SUBSCRIBE", *self._channels)
            for _ in self._channels:
                await listener.read_response(timeout=math.inf)
        self._joins += 1
        if self._joins > 1:
            RECONNECTS.inc()
        logger.info("The bus is connected")

    async def _read(self, listener: AbstractConnection) -> None:
        while True:
            for _ in range(READ_AT_ONCE):
                async with asyncio.timeout(self._patience):
                    _, channel, data = await listener.read_response(timeout=math.inf)
                self._arrived(channel.decode().removeprefix(self._prefix), data)
            # Where more has come already, reading it does not wait and would keep others from running.
            await asyncio.sleep(0)

    async def _write(self, publisher: AbstractConnection) -> None:
        while True:
            while self._outbox:
                await self._send_batch(publisher)
            await self._queued.wait()
            self._queued.clear()

    async def _send_batch(self, publisher: AbstractConnection) -> None:
        """Send what waits, without waiting for the answer to what was sent before."""
        frames = self._outbox.take(max_bytes=BATCH_BYTES)
        commands = [("PUBLISH", f"{self._prefix}{topic}", pack(frame)) for topic, frame in frames]
        self._unanswered += [len(frame.payloads) for _, frame in frames]
        self._sent.set()
        async with asyncio.timeout(self._patience):
            await publisher.send_packed_command(publisher.pack_commands(commands))

    async def _check(self, publisher: AbstractConnection) -> None:
        """Take the answers; one that says no breaks the link."""
        try:
            while True:
                while self._unanswered:
                    async with asyncio.timeout(self._patience):
                        await publisher.read_response(timeout=math.inf)
                    PUBLISHED.inc(self._unanswered.popleft())
                if not self._outbox:
                    self._flushed.set()
                self._sent.clear()
                await self._sent.wait()
        finally:
            # They may have been sent or not: sending them again could make them arrive twice.
            DROPPED.inc(sum(self._unanswered))
            self._unanswered.clear()
