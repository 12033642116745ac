"""HTTP by hand, for what no HTTP client would send."""

import asyncio
from contextlib import suppress

WITHIN = 15.0


async def exchanged(url: str, sent: bytes, *, within: float = WITHIN) -> bytes:
    """Send bytes over a connection of their own and read until the server closes it.

    :param url: where Parley is, such as `http://127.0.0.1:8080`.
    :param within: seconds after which waiting for the close fails.
    """
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    received = bytearray()
    try:
        # The server may close before it has read all; what it said until then counts.
        with suppress(ConnectionError):
            writer.write(sent)
            await writer.drain()
        with suppress(ConnectionError):
            async with asyncio.timeout(within):
                while part := await reader.read(65536):
                    received += part
    finally:
        writer.transport.abort()
    return bytes(received)


def statuses(received: bytes) -> list[int]:
    """The statuses of all answers in what was received."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
