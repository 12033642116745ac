"""The upgrade of the embedded PostgreSQL, when a newer Parley brings a newer one than has made the data folder.

Both versions run side by side while everything is copied from the old cluster into a new one, which then takes its
place::

    postgres/            the old cluster; nothing in it is changed
    upgrade/             a data folder of its own, where the new cluster is made and filled
    upgrade/complete     there once the new cluster holds everything; until then another start begins anew
    postgres.16/         the old cluster, kept aside under its version; it may be removed by hand

The copy is one of contents (``pg_dump``), not of files (``pg_upgrade``): it needs neither the same checksums nor the
same collations in both clusters, and it checks and rebuilds every index.
"""

import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import text

from models.engine import create_engine
from services import postgres_clients
from services.embedded_postgres import ClusterUnusable, DataFolderInUse, EmbeddedPostgres, EmbeddedPostgresError
from services.postgres_clients import ClientError, Server
from services.postgres_folder import sync, try_lock
from services.postgres_wheel import INSTALLED, MAJOR

COUNT_TIMEOUT = 3600.0
"""Seconds that counting a table's rows may take."""

logger = logging.getLogger("parley.postgres")


class UpgradeFailed(EmbeddedPostgresError):
    """The new cluster could not be filled; the old one is as it was."""


def cluster_major(data: Path) -> int | None:
    """Tell which version of PostgreSQL made a data folder; None where there is no complete cluster."""
    try:
        return int((data / "postgres/PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


async def upgrade_older_cluster(data: Path) -> None:
    """Bring a data folder to the version of PostgreSQL that this Parley brings; does nothing where it has that.

    :raises EmbeddedPostgresError: it cannot be upgraded, and is as it was.
    """
    if not _is_concerned(data):
        return
    with _claimed(data):
        _clear_up(data)
        major = cluster_major(data)
        if major is None or major >= MAJOR:
            return  # another Parley was faster
        if major not in INSTALLED:
            raise ClusterUnusable(
                f"{data}/postgres was made by PostgreSQL {major} and this Parley upgrades from {min(INSTALLED)}:"
                " back it up with the Parley that made it and restore that into a new data folder"
            )
        logger.info("Upgrading the database from PostgreSQL %d to %d", major, MAJOR)
        await _fill(data, major)
        (data / "upgrade/complete").write_text(f"{major}\n")
        sync(data / "upgrade")
        (data / "postgres").rename(_free(data / f"postgres.{major}"))
        sync(data)
        _clear_up(data)
        logger.info("PostgreSQL %d runs now; the cluster of %d is kept in %s/postgres.%d", MAJOR, major, data, major)


def _is_concerned(data: Path) -> bool:
    major = cluster_major(data)
    return (major is not None and major < MAJOR) or (data / "upgrade").exists()


async def _fill(data: Path, major: int) -> None:
    """Make the new cluster and copy everything into it."""
    try:
        async with _running(EmbeddedPostgres(data, major=major)) as old, _new(data / "upgrade") as new:
            script = postgres_clients.dump(old, "--format=plain", server=Server(major))
            await postgres_clients.load(new, script, server=Server(MAJOR))
            if await _counts(old) != await _counts(new):
                raise UpgradeFailed("the upgrade of the database lost rows; the old one is as it was")
    except ClientError as error:
        raise UpgradeFailed(f"the database could not be upgraded from PostgreSQL {major}: {error}") from error


@asynccontextmanager
async def _running(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    try:
        yield await postgres.start()
    finally:
        await postgres.stop()


@asynccontextmanager
async def _new(data: Path) -> AsyncIterator[str]:
    if (data / "postgres").exists():  # of an upgrade that was cut off, whose server may run on
        async with _running(EmbeddedPostgres(data)):
            pass
        shutil.rmtree(data)
    async with _running(EmbeddedPostgres(data)) as url:
        yield url


async def _counts(database_url: str) -> dict[str, int]:
    engine = create_engine(database_url, pool_size=1, timeout=COUNT_TIMEOUT)
    try:
        async with engine.connect() as connection:
            tables = await connection.scalars(
                text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema()")
            )
            count = "SELECT count(*) FROM "
            return {table: int(await connection.scalar(text(count + table))) for table in tables.all()}
    finally:
        await engine.dispose()


def _clear_up(data: Path) -> None:
    """Give a complete new cluster the old one's place if that is free; an incomplete one is left to be made anew."""
    new, place = data / "upgrade", data / "postgres"
    if not (new / "complete").exists():
        return
    if not place.exists():
        (new / "postgres").rename(place)
        sync(data)
    shutil.rmtree(new)


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


@contextmanager
def _claimed(data: Path) -> Iterator[None]:
    descriptor = os.open(data / "upgrade.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not try_lock(descriptor):
            raise DataFolderInUse(f"another Parley is upgrading {data}; wait for it")
        yield
    finally:
        os.close(descriptor)
