"""A served PostgreSQL, made from Debian's server programs, and databases of one's own in any PostgreSQL."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.processes import free_port, until

PASSWORD = "throw-away"

DROPPED_WITHIN = 30.0
"""Seconds."""


class PostgresServer:
    """A PostgreSQL cluster of its own on a free port of the loopback address, with a password."""

    def __init__(self, *, durable: bool = False) -> None:
        """Only prepare it: `start` starts it.

        :param durable: have each commit on the disk before it is answered; otherwise it survives all but power cuts.
        """
        self._durable = durable
        self.port = free_port()
        self.url = f"postgresql+asyncpg://parley:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        # PostgreSQL refuses to run as root, and its other user must be able to reach the folder.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="parley-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "not running"
        return self._process.pid

    async def start(self) -> str:
        """Make the cluster unless it is there, start it and wait until it takes connections.

        :return: the URL of its first database, as an administrator.
        """
        if not self._data.exists():
            await self._make_cluster()
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        settings += [f"fsync={'on' if self._durable else 'off'}", "max_connections=300"]
        command = [_program("postgres"), "-D", str(self._data)]
        command += [word for setting in settings for word in ("-c", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, user=self._user, extra_groups=self._groups
            )
        await until(self._answers, within=30, otherwise=self._log.read_text)
        return self.url

    async def shut_down(self) -> None:
        """End it in order, cutting connections, as for an upgrade of its machine."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def kill(self) -> None:
        """Kill the postmaster and wait for the end of its other processes, before which no other can start."""
        if self._process is not None:
            others = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            await asyncio.to_thread(psutil.wait_procs, others)
            self._process = None

    async def stop(self) -> None:
        """End it and remove it from the disk."""
        await self.shut_down()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _groups(self) -> list[str] | None:
        return [] if self._user else None

    async def _make_cluster(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(PASSWORD)
        if self._user:
            shutil.chown(self._folder, self._user)
        initdb = [_program("initdb"), f"--pgdata={self._data}", "--username=parley", "--encoding=UTF8"]
        initdb += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        await asyncio.to_thread(self._run, initdb)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            extra_groups=self._groups,
        )
        assert done.returncode == 0, done.stderr

    async def _answers(self) -> bool:
        try:
            await execute(self.url, "SELECT 1")
        except (OSError, DBAPIError):
            return False
        return True


async def create_database(url: str, *, like: str | None = None) -> str:
    """Make a database beside the one of this URL.

    :param url: a database that may make others.
    :param like: the URL of one that nobody uses, to make a copy of it instead of an empty one.
    :return: the new one's URL.
    """
    name = f"test_{uuid4().hex}"
    await execute(url, f"CREATE DATABASE {name}" + (f" TEMPLATE {make_url(like).database}" if like else ""))
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def drop_database(url: str, *, database: str) -> None:
    """Remove a database that `create_database` made, whoever is connected to it.

    :param url: the one that it was made with.
    :param database: the URL of the one to remove.
    """
    name = make_url(database).database

    async def dropped() -> bool:
        # A worker of autovacuum belongs to the superuser, so that nobody else may end it; it ends by itself.
        try:
            await execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        except ProgrammingError:
            return False
        return True

    await until(dropped, within=DROPPED_WITHIN, otherwise=lambda: f"database {name} is still there")


async def execute(url: str, statement: str) -> None:
    """Run one statement outside of any transaction.

    :param url: the database to run it in.
    :param statement: the statement, trusted.
    """
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def end_connections(url: str) -> None:
    """End every connection to a database but one's own, and wait until they are gone."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await execute(url, f"SELECT pg_terminate_backend(pid, 5000) {others}")


async def query(url: str, statement: str) -> Any:
    """Return the first value that one statement finds.

    :param url: the database to ask.
    :param statement: the statement, trusted.
    """
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            return await connection.scalar(text(statement))
    finally:
        await engine.dispose()


def _program(name: str) -> str:
    """The path of the newest of PostgreSQL's server programs, which Debian keeps out of PATH."""
    found = shutil.which(name)
    if found:
        return found
    paths = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    assert paths, f"{name} not found: install PostgreSQL's server (Debian: postgresql)"
    return str(paths[-1])
