"""The servers under measurement, each a process of its own on the loopback address."""

import asyncio
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT, CpuTime, cpu_time, memory, on_server_cpu
from tests.support.postgres_server import PostgresServer
from tests.support.processes import free_port
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer

READY_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections.

    :param url: its address for HTTP. :param ws_url: its WebSocket. :param pid: its process.
    """

    url: str
    ws_url: str
    pid: int

    @property
    def cpu(self) -> CpuTime:
        """The processor time that it has used."""
        return cpu_time(self.pid)

    @property
    def memory(self) -> int:
        """The bytes of memory that it holds, its database not included."""
        return memory(self.pid)


@contextmanager
def parley(data: Path, secret: str, *, profile: Path | None = None) -> Iterator[Running]:
    """Run Parley with its embedded PostgreSQL, both on the server's processor, without rate limits.

    :param data: its data folder. :param secret: what sessions are signed with.
    :param profile: where to leave a profile.
    """
    with _running(data, {"PARLEY_SECRET": secret}, profile, cpu=on_server_cpu()) as server:
        yield server


@contextmanager
def _running(
    data: Path, settings: dict[str, str], profile: Path | None, *, cpu: AbstractContextManager[None]
) -> Iterator[Running]:
    """Run Parley; it is launched, and what it starts stays, on the processors that ``cpu`` gives."""
    program = ("-m", "benchmarks.profiled", str(profile)) if profile else ("app.py",)
    server = ParleyServer(data, settings, program=program)
    try:
        with cpu:
            server.launch()
        until_page(f"{server.url}/health/ready")
        yield Running(server.url, server.ws_url, server.pid)
        asyncio.run(server.stop())
    finally:
        asyncio.run(server.clean_up())


class Shared:
    """A PostgreSQL and a Redis for several nodes, each a server of its own.

    :param folder: where Redis writes its log, and nodes theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = PostgresServer(durable=True)
        self.redis = RedisServer(folder)

    @contextmanager
    def running(self) -> Iterator["Shared"]:
        """Run both on the processors of whoever calls; what is in the database stays until :meth:`remove`."""
        try:
            asyncio.run(self.postgres.start())
            asyncio.run(self.redis.start())
            yield self
        finally:
            asyncio.run(self.redis.stop())
            asyncio.run(self.postgres.shut_down())

    @contextmanager
    def node(self, secret: str, settings: dict[str, str], *, profile: Path | None = None) -> Iterator[Running]:
        """Run a node on the processors of whoever calls, without rate limits.

        :param secret: what sessions are signed with. :param settings: others, such as ``REDIS_URL``.
        :param profile: where to leave a profile.
        """
        settings = {"PARLEY_SECRET": secret, "DATABASE_URL": self.postgres.url} | settings
        with _running(self.folder / f"node-{free_port()}", settings, profile, cpu=nullcontext()) as node:
            yield node

    def remove(self) -> None:
        """Remove the database from the disk."""
        asyncio.run(self.postgres.stop())


@contextmanager
def bare(module: str) -> Iterator[Running]:
    """Run a reference: a server that sends what one client sent to all clients, and does nothing else.

    :param module: of this package, such as ``bare_websockets``.
    """
    port = free_port()
    command = [sys.executable, "-m", f"benchmarks.{module}", str(port)]
    with on_server_cpu():
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Running(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/", process.pid)
    finally:
        process.terminate()
        process.wait()


def until_page(url: str) -> None:
    """Ask for a page until it comes.

    :raises TimeoutError: it does not come in time.
    """
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(url):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} did not answer within {READY_WITHIN:g} s")
        time.sleep(0.01)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=READY_WITHIN) as answer:
            return bool(answer.read())
    except (urllib.error.URLError, ConnectionError):
        return False
