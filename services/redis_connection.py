"""Connections to Redis that give up in time and never try twice by themselves."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

FAILURES = (RedisError, OSError, TimeoutError)
"""What a command to a Redis in trouble may raise."""


def redis_pool(url: str, *, connections: int, timeout: float) -> BlockingConnectionPool:
    """Make a pool that never tries twice by itself and connects only when it is asked to.

    Its connections have no time limits for commands, which are their users' own: the library's would go through
    `asyncio.wait_for`, which in Python 3.11 may swallow a cancellation.

    :param connections: the most it opens; who wants more waits.
    :param timeout: seconds for a connection to come about.
    """
    return BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout,
        socket_timeout=None,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # every server speaks it, and it takes no handshake
        driver_info=None,
    )


@asynccontextmanager
async def connected(pool: BlockingConnectionPool) -> AsyncIterator[AbstractConnection]:
    """A new connection, which is closed in the end.

    :raises RedisError, OSError, TimeoutError: it does not come about in the pool's time.
    """
    async with asyncio.timeout(pool.timeout):
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # it is, but for its decorator
    try:
        yield connection
    finally:
        await connection.disconnect(nowait=True)
        await pool.release(connection)


async def ask(connection: AbstractConnection, commands: list[tuple[Any, ...]]) -> list[Any]:
    """Send commands together and return their answers; one that Redis refused is answered by an exception."""
    await connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response(timeout=math.inf))
        except ResponseError as error:
            answers.append(error)
    return answers


def check(answers: list[Any]) -> None:
    """Raise the first exception among the answers that `ask` returned.

    :raises ResponseError: a command was refused.
    """
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
