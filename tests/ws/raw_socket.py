"""A WebSocket client by hand, for what a proper one never does: not reading, breaking the protocol."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from tests.support.person import Person

TEXT = 0x1
CLOSE = 0x8
BUFFER = 4096


class RawSocket:
    """An open connection; what the server sends stays in the network until it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take over a connection: see `connect`."""
        self.reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, person: Person) -> AsyncIterator[Self]:
        """Connect as someone."""
        host, port = person.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=BUFFER)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /ws HTTP/1.1",
            f"Host: {host}:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            f"Authorization: Bearer {person.token}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def send(self, opcode: int, data: bytes, *, masked: bool = True) -> None:
        """Send one frame, in one piece, with a mask of zeros."""
        length = len(data)
        size = bytes([length]) if length < 126 else bytes([126]) + length.to_bytes(2)
        header = bytes([0x80 | opcode, size[0] | (0x80 if masked else 0)]) + size[1:]
        self._writer.write(header + (bytes(4) if masked else b"") + data)
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def frame(self) -> tuple[int, bytes]:
        """Read the next frame.

        :return: its opcode and its data.
        """
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
        return first & 0xF, await self.reader.readexactly(length)

    async def close_code(self, *, within: float = 5.0) -> int:
        """Read on until the server closes, and return its code."""
        async with asyncio.timeout(within):
            while True:
                opcode, data = await self.frame()
                if opcode == CLOSE:
                    return int.from_bytes(data[:2])

    async def cut(self, *, within: float) -> None:
        """Wait until the connection is gone, reading all that is left."""
        async with asyncio.timeout(within):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                return
