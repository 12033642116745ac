"""A way to a real Redis on which messages get lost, as they may at a break of a connection, or get stuck."""

import asyncio
from contextlib import suppress

from tests.support.processes import free_port

MESSAGE = b"*3\r\n$7\r\nmessage\r\n"
"""How Redis begins what it pushes to a subscriber (RESP 2)."""


class LossyRedis:
    """A TCP proxy before a Redis, for one node.

    :param port: where Redis is, on the loopback address.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self.lost = 0
        self._port = port
        self._losing: tuple[bytes, ...] = ()
        self._open = asyncio.Event()
        self._open.set()
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

    @property
    def losing(self) -> bool:
        """Whether anything gets lost now."""
        return bool(self._losing)

    def lose(self, *topics: str) -> None:
        """Let the node not hear from now on what is published under these topics, and nothing else."""
        self._losing = tuple(f":{topic}\r\n".encode() for topic in topics)

    def hang(self) -> None:
        """Let nothing that the node sends reach Redis any more, while its connections stay open."""
        self._open.clear()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError):
                redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._port)
                await self._serve(redis_reader, redis_writer, reader, writer)
        finally:
            writer.close()
            self._connections.discard(task)

    async def _serve(
        self,
        redis_reader: asyncio.StreamReader,
        redis_writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        there = asyncio.create_task(self._pass_on(reader, redis_writer))
        back = asyncio.create_task(self._sift(redis_reader, writer))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            redis_writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()

    async def _sift(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            value = await _read_value(reader)
            if value.startswith(MESSAGE) and any(topic in value[:200] for topic in self._losing):
                self.lost += 1
            else:
                writer.write(value)
                await writer.drain()


async def _read_value(reader: asyncio.StreamReader) -> bytes:
    """Read one value of Redis's protocol (RESP 2), nested ones included."""
    line = await reader.readuntil(b"\r\n")
    if line[:1] == b"$" and (length := int(line[1:])) >= 0:
        return line + await reader.readexactly(length + 2)
    if line[:1] == b"*":
        return line + b"".join([await _read_value(reader) for _ in range(int(line[1:]))])
    return line
