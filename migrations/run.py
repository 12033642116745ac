"""Bringing a database to the newest version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from models.engine import create_engine

LOCK = 0x50_4D_49_47
"""Key of the advisory lock under which one node migrates while the others wait."""

SLOWEST = 3600.0
"""Seconds that a migration may take."""


async def migrate(database_url: str) -> None:
    """Apply all migrations that the database does not have yet.

    :param database_url: a ``postgresql+asyncpg`` URL.
    """
    engine = create_engine(database_url, pool_size=1, timeout=SLOWEST)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def versions() -> frozenset[str]:
    """Return the versions of the tables that this Parley knows."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
