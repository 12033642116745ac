"""A client of Parley's WebSocket `/ws`, as another program would write one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]

WITHIN = 5.0


class Socket:
    """One connection to `/ws`. Frames wait in it until a test asks for them, whatever their order."""

    def __init__(self, connection: ClientConnection) -> None:
        """Take over an open connection: see `connect`."""
        self.hello: Frame = {}
        self.waiting: list[Frame] = []
        self.close_code: int | None = None
        self._connection = connection
        self._changed = asyncio.Condition()
        self._numbers = count(1)

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, headers: dict[str, str], **options: Any) -> AsyncIterator[Self]:
        """Connect and take `hello`; disconnect at the end.

        :param url: the address of `/ws`.
        :param headers: `Authorization` or `Cookie`, and `Origin` if it matters.
        :param options: more arguments for `websockets.connect`.
        :raises websockets.exceptions.InvalidStatus: the handshake was refused.
        """
        settings = {"proxy": None, "ping_interval": None, "max_size": None} | options
        async with connect(url, additional_headers=headers, **settings) as connection:
            socket = cls(connection)
            reader = asyncio.create_task(socket._read())
            try:
                socket.hello = await socket.expect("hello")
                yield socket
            finally:
                await connection.close()
                await reader

    async def request(self, type: str, **fields: Any) -> Frame:  # noqa: A002 - the frame's own word
        """Send a request and wait for its answer, or for the first of its answers.

        :param type: the frame's type.
        :param fields: the frame's other fields, `id` aside.
        :return: the frame that carries the request's `id` as `re`, an `error` included.
        """
        number = next(self._numbers)
        await self.send(type, id=number, **fields)
        return await self._take(lambda frame: frame.get("re") == number, f"the answer to {type} {fields}")

    async def send(self, type: str, **fields: Any) -> None:  # noqa: A002 - the frame's own word
        """Send a frame and wait for nothing."""
        await self.send_raw(json.dumps({"type": type, **fields}))

    async def send_raw(self, data: str | bytes) -> None:
        """Send anything, well-formed or not."""
        await self._connection.send(data)

    async def expect(self, type: str, *, within: float = WITHIN, **fields: Any) -> Frame:  # noqa: A002
        """Wait for the next frame of a type, and take it.

        :param type: the frame's type.
        :param within: seconds after which waiting fails.
        :param fields: values that it must have.
        :raises AssertionError: none came; tells which ones did.
        """
        wanted = {"type": type, **fields}
        return await self._take(lambda frame: wanted.items() <= frame.items(), str(wanted), within)

    async def nothing(self, type: str, **fields: Any) -> None:  # noqa: A002
        """Make sure that no such frame comes before the server has answered a ping sent now."""
        await self.request("ping")
        wanted = {"type": type, **fields}
        came = [frame for frame in self.waiting if wanted.items() <= frame.items()]
        assert not came, f"unexpected: {came}"

    async def closed(self, *, within: float = WITHIN) -> int:
        """Wait until the server closes the connection.

        :return: its close code.
        """
        async with self._changed:
            async with asyncio.timeout(within):
                await self._changed.wait_for(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    async def _take(self, wanted: Callable[[Frame], bool], name: str, within: float = WITHIN) -> Frame:
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(lambda: any(map(wanted, self.waiting)) or self.close_code is not None)
        except TimeoutError:
            raise AssertionError(f"{name} not within {within:g} s; waiting: {self.waiting}") from None
        frame = next(filter(wanted, self.waiting), None)
        assert frame is not None, f"closed with {self.close_code} before {name}; waiting: {self.waiting}"
        self.waiting.remove(frame)
        return frame

    async def _read(self) -> None:
        try:
            while True:
                frame = json.loads(await self._connection.recv())
                async with self._changed:
                    self.waiting.append(frame)
                    self._changed.notify_all()
        except ConnectionClosed:
            async with self._changed:
                self.close_code = self._connection.close_code
                self._changed.notify_all()
