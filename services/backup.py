"""Backups: everything that Parley keeps, in one file, read as of one moment while people go on talking.

The file is a ZIP archive that Parley alone writes and anyone can open::

    parley.json      what made it, when, and the version of its tables
    database.dump    the database, in the format `custom` of pg_dump

What else Parley comes to keep goes in beside them. Sign-ins are left out: what was signed out since would be
signed in again by an old backup. So is the cache.

Errors::

    BackupError   the message is one line for the person at the terminal
"""

import os
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from msgspec import DecodeError, Struct, json
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from models.engine import create_engine
from services import postgres_clients
from services.embedded_postgres import DataFolderInUse, EmbeddedPostgres
from services.node_lock import NodeLock, NodeLockTaken
from services.postgres_clients import CHUNK, ClientError, Server, server_of
from services.postgres_upgrade import cluster_major, upgrade_older_cluster
from services.redis_cache import RedisCache
from services.redis_link import RedisDown, RedisLink
from services.settings import Settings

FORMAT = 1
"""The format of the file; a Parley reads all up to its own."""

ABOUT, DATABASE = "parley.json", "database.dump"

QUERY_TIMEOUT = 60.0
"""Seconds that one of the small questions may take that are asked of the database beside its copy."""


class BackupError(Exception):
    """A backup could not be made or restored."""


class About(Struct, frozen=True, kw_only=True):
    """What a backup says of itself; ``tables`` is the version of the tables, ``postgresql`` the server's."""

    format: int
    made_at: datetime
    tables: str
    postgresql: int


class Contents(NamedTuple):
    """How much is in a database."""

    people: int
    chats: int
    messages: int

    def __str__(self) -> str:
        return f"people: {self.people}, chats: {self.chats}, messages: {self.messages}"


async def back_up(settings: Settings, file: Path | None) -> Contents:
    """Write a backup, whether or not Parley runs.

    :param file: must not exist yet; appears when it is complete, closed to others. None for standard output.
    :return: what is in it, as counted just before.
    :raises BackupError: there is no backup.
    """
    _refuse_existing(file)
    with _told_plainly():
        async with _database_to_read(settings) as engine:
            contents, about, server = await _look(engine)
            with _whole(file) as target:
                await _write(target, about, engine, server)
    return contents


async def restore(
    settings: Settings,
    file: Path,
    *,
    replace: bool,
    known_tables: frozenset[str],
    migrate: Callable[[str], Awaitable[None]],
) -> Contents:
    """Put what a backup holds into the database, while no node runs on it; then all have to sign in again.

    :param replace: remove what the database holds now, in the same transaction.
    :param known_tables: the versions of the tables that can be migrated. :param migrate: brings them to the newest.
    :return: what is in the database now.
    :raises BackupError: the database is as it was, or restored and not migrated. :raises NodeLockTaken: a node runs.
    """
    with _told_plainly(), _opened(file) as archive:
        _check(_about(archive), known_tables)
        async with _database_to_change(settings) as engine:
            await _forget_cached(settings)
            await _load(archive, engine, replace=replace)
            await migrate(_url(engine))
            async with engine.connect() as connection:
                return await _count(connection)


async def _look(engine: AsyncEngine) -> tuple[Contents, About, Server]:
    async with engine.connect() as connection:
        if "alembic_version" not in await _tables(connection):
            raise BackupError("there is nothing to back up: no Parley has run on this database")
        server = await server_of(connection)
        about = About(
            format=FORMAT,
            made_at=datetime.now(UTC),
            tables=str(await connection.scalar(text("SELECT version_num FROM alembic_version"))),
            postgresql=server.major,
        )
        return await _count(connection), about, server


async def _write(target: IO[bytes], about: About, engine: AsyncEngine, server: Server) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(ABOUT, json.format(json.encode(about)))
        # Its size is not known before, and pg_dump has compressed it.
        with archive.open(DATABASE, "w", force_zip64=True) as member:
            options = ["--format=custom", "--exclude-table-data=sessions"]
            async for part in postgres_clients.dump(_url(engine), *options, server=server):
                member.write(part)


async def _load(archive: zipfile.ZipFile, engine: AsyncEngine, *, replace: bool) -> None:
    async with engine.connect() as connection:
        tables = await _tables(connection)
        server = await server_of(connection)
    if tables and not replace:
        raise BackupError("the database is not empty; to replace all that is in it, say --replace")
    script = postgres_clients.script_of(_read(archive), server=server)
    first = [f"DROP TABLE {', '.join(tables)} CASCADE"] if tables else []
    await postgres_clients.load(_url(engine), script, first=first, server=server)


async def _read(archive: zipfile.ZipFile) -> AsyncIterator[bytes]:
    with archive.open(DATABASE) as member:
        while part := member.read(CHUNK):
            yield part


@asynccontextmanager
async def _database_to_read(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Connect to the database, starting the embedded one where it does not run; an older one is not upgraded."""
    if settings.database_url:
        async with _engine(settings.database_url) as engine:
            yield engine
        return
    major = cluster_major(settings.data)
    if major is None:
        raise BackupError(f"there is nothing to back up: no Parley has run in {settings.data}")
    postgres = EmbeddedPostgres(settings.data, major=major)
    with suppress(DataFolderInUse):  # by a running Parley, whose PostgreSQL answers us too
        await postgres.start()
    try:
        async with _engine(postgres.url) as engine:
            yield engine
    finally:
        await postgres.stop()


@asynccontextmanager
async def _database_to_change(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Connect to the database, and keep all nodes from it."""
    if settings.database_url:
        async with _engine(settings.database_url) as engine, _alone(engine):
            yield engine
        return
    await upgrade_older_cluster(settings.data)
    postgres = EmbeddedPostgres(settings.data)
    try:
        async with _engine(await postgres.start()) as engine, _alone(engine):
            yield engine
    finally:
        await postgres.stop()


@asynccontextmanager
async def _engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=2, timeout=QUERY_TIMEOUT)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[None]:
    lock = NodeLock(engine, alone=True)
    try:
        await lock.acquire()
    except NodeLockTaken:
        raise BackupError("a Parley runs on this database; stop every node first") from None
    try:
        yield
    finally:
        await lock.release()


async def _forget_cached(settings: Settings) -> None:
    """Empty the nodes' cache: it holds pages of messages by numbers that the restored chats will use again."""
    if settings.redis_url is None:
        return
    link = RedisLink(settings.redis_url)
    cache = RedisCache(link)
    await link.start()
    try:
        await cache.empty()
    except RedisDown:
        raise BackupError("Redis does not answer, and its cache has to be emptied before a restore") from None
    finally:
        await link.stop()


async def _tables(connection: AsyncConnection) -> list[str]:
    found = await connection.scalars(
        text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()")
    )
    return list(found)


async def _count(connection: AsyncConnection) -> Contents:
    tables = ("users", "chats", "messages")
    return Contents(*[int(await connection.scalar(text(f"SELECT count(*) FROM {table}"))) for table in tables])  # noqa: S608 - of the three


def _url(engine: AsyncEngine) -> str:
    return engine.url.render_as_string(hide_password=False)


@contextmanager
def _whole(file: Path | None) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name when it is complete and on the disk."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".partial", dir=file.parent)  # mode 0600
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        _refuse_existing(file)
        partial.rename(file)
        folder = os.open(file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


def _refuse_existing(file: Path | None) -> None:
    if file is not None and file.exists():
        raise BackupError(f"{file} exists already; remove it or choose another name")


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise BackupError(f"{file} is not a whole backup of Parley: {error}") from error


def _about(archive: zipfile.ZipFile) -> About:
    try:
        archive.getinfo(DATABASE)
        return json.decode(archive.read(ABOUT), type=About)
    except (KeyError, DecodeError) as error:
        raise BackupError(f"{archive.filename} is not a backup of Parley") from error


def _check(about: About, known_tables: frozenset[str]) -> None:
    if about.format > FORMAT or about.tables not in known_tables:
        raise BackupError("the backup was made by a newer Parley; restore it with that one or a later one")


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise BackupError(f"the database cannot be used: {' '.join(str(error.orig).split())}") from error
    except (ClientError, OSError) as error:
        raise BackupError(str(error)) from error
