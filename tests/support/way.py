"""The way to PostgreSQL or Redis: a TCP proxy that does to connections what a network may do to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy import URL, make_url

from tests.support.processes import free_port

CHUNK = 65536


@dataclass(slots=True, eq=False)
class _Gates:
    """What holds back the two directions of one connection."""

    to_server: asyncio.Event = field(default_factory=asyncio.Event)
    to_client: asyncio.Event = field(default_factory=asyncio.Event)

    def let(self, *, to_server: bool, to_client: bool) -> None:
        """Open or close each direction."""
        for gate, is_open in ((self.to_server, to_server), (self.to_client, to_client)):
            if is_open:
                gate.set()
            else:
                gate.clear()


class Way:
    """Forwards what comes to a port of the loopback address, until it is told to do something worse.

    Its clients are given `url` instead of the server's. A connection that hangs is open for both its ends, and
    neither learns when the other one is gone.
    """

    def __init__(self, url: str) -> None:
        """Only prepare it: see `before`.

        :param url: the server's; of PostgreSQL, on a Unix socket or not, or of Redis.
        """
        self._target = make_url(url)
        self._port = free_port()
        kept = self._target.difference_update_query(["host", "port"])
        self.url = kept.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)
        self.connections: list[asyncio.Task[None]] = []
        self._gates: list[_Gates] = []
        self._flow = {"to_server": True, "to_client": True}
        self._server: asyncio.Server | None = None

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Self]:
        """A way that works, before the server of this URL."""
        way = cls(url)
        await way.accept()
        try:
            yield way
        finally:
            await way.refuse()

    def hang(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Let nothing through any more in these directions, on old connections and on new ones."""
        self._flow = {"to_server": not to_server, "to_client": not to_client}
        for gates in self._gates:
            gates.let(**self._flow)

    def stall(self, number: int) -> None:
        """Let nothing through any more on this connection, counted from 0 in the order of their beginnings."""
        self._gates[number].let(to_server=False, to_client=False)

    def resume(self, *, old: bool = True) -> None:
        """End `hang`; what was held back arrives late.

        :param old: connections that hang go on; otherwise they hang for ever, and only new ones work.
        """
        self._flow = {"to_server": True, "to_client": True}
        if not old:
            self._gates.clear()
        for gates in self._gates:
            gates.let(**self._flow)

    async def accept(self) -> None:
        """End `refuse`."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)

    async def refuse(self) -> None:
        """Break all connections and take no new ones."""
        if self._server is not None:
            self._server.close()
        connections, self.connections, self._gates = self.connections, [], []
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gates = _Gates()
        gates.let(**self._flow)
        self._gates.append(gates)
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        writers = [writer]
        try:
            far_reader, far_writer = await _open(self._target)
            writers.append(far_writer)
            pumps = (_pump(reader, far_writer, gates.to_server), _pump(far_reader, writer, gates.to_client))
            tasks = [asyncio.create_task(pump) for pump in pumps]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump_task in tasks:
                    pump_task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            return  # the streams' own callback would report it
        finally:
            for one in writers:
                one.transport.abort()


async def _open(target: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = target.host or str(target.query["host"]), target.port or target.query["port"]
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, int(str(port)))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await source.read(CHUNK):
            await gate.wait()
            target.write(data)
            await target.drain()
    await gate.wait()
