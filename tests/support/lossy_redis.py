"""A way to a real Redis on which messages of the bus get lost, as they may at a break of a connection."""

import asyncio
from contextlib import suppress

from services.bus_link import CHANNEL
from tests.support.processes import free_port

MESSAGE = b"*3\r\n$7\r\nmessage\r\n"
"""How Redis begins what it pushes to a subscriber (RESP 2)."""


class LossyRedis:
    """A TCP proxy before a Redis. One node uses it, and does not hear what is published while it loses things.

    :param port: where Redis is, on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self.lost = 0
        self._port = port
        self._losing: tuple[bytes, ...] = ()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take connections."""
        port = free_port()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", port)
        self.url = f"redis://127.0.0.1:{port}/0"

    async def stop(self) -> None:
        """Break all connections, and take no more."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def lose(self, *topics: str) -> None:
        """Lose from now on what is published under these topics, and nothing else."""
        self._losing = tuple(f"\r\n{CHANNEL}{topic}\r\n".encode() for topic in topics)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._port)
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(_pass_on(reader, redis_writer))
                    ways.create_task(self._sift(redis_reader, writer))
            redis_writer.close()
            writer.close()
        finally:
            self._connections.discard(task)

    async def _sift(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            value = await _read_value(reader)
            if value.startswith(MESSAGE) and any(topic in value[:200] for topic in self._losing):
                self.lost += 1
            else:
                writer.write(value)
                await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise asyncio.IncompleteReadError(b"", None)


async def _read_value(reader: asyncio.StreamReader) -> bytes:
    """Read one value of Redis's protocol (RESP 2), nested ones included."""
    line = await reader.readuntil(b"\r\n")
    if line[:1] == b"$" and (length := int(line[1:])) >= 0:
        return line + await reader.readexactly(length + 2)
    if line[:1] == b"*":
        return line + b"".join([await _read_value(reader) for _ in range(int(line[1:]))])
    return line
