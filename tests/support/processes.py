"""Small things that every started process needs: a port, and a wait that ends."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def accepts(port: int) -> bool:
    """Whether something on the loopback address takes connections at a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def until(
    condition: Callable[[], Awaitable[bool]], *, within: float = 10.0, otherwise: Callable[[], str]
) -> None:
    """Wait for a condition outside this process, which nothing can announce to us, by asking again and again.

    :param condition: asked until it is true.
    :param within: seconds after which waiting fails.
    :param otherwise: says what to tell when it fails.
    :raises AssertionError: the condition was not met in time.
    """
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {otherwise()}"
        await asyncio.sleep(0.02)
