"""Reading by single statements: what every connection, and many a request, begins with.

It goes to asyncpg directly: SQLAlchemy's layers, and a transaction around them, would cost several times as much as
these statements. Each of them sees one snapshot of its own (PostgreSQL, 13.2.1 Read Committed).
"""

from typing import Any

from asyncpg import Record
from sqlalchemy import event

from models.engine import create_engine
from services import observation
from services.send_statement import PLANNED_ONCE
from services.transaction import database_errors

CONNECTIONS = 4
"""Database connections that these reads take together at most."""


class SingleReads:
    """Runs statements that only read; each is planned once for a connection, and each of its look-ups has its key.

    :param database_url: a ``postgresql+asyncpg`` URL. :param timeout: seconds that one of them may take.
    """

    def __init__(self, database_url: str, *, timeout: float) -> None:
        self._engine = create_engine(database_url, pool_size=CONNECTIONS, timeout=timeout, **PLANNED_ONCE)
        event.listen(self._engine.sync_engine, "close", _end)

    async def fetch(self, statement: str, *arguments: Any) -> list[Record]:
        """Run a statement.

        :param statement: SQL, in which ``$1`` stands for the first argument.
        :raises Unavailable: the database cannot be reached or does not answer in time.
        """
        with database_errors():
            with observation.POOL_WAITS.time():
                pooled = await self._engine.raw_connection()
            driver: Any = pooled.driver_connection
            try:
                rows: list[Record] = await driver.fetch(statement, *arguments)
            except BaseException as error:
                # Nobody knows what state it is in; after a timeout the engine does not trust its others either.
                pooled.invalidate(error)
                raise
            pooled.close()
        return rows

    async def stop(self) -> None:
        """Let go of the connections."""
        await self._engine.dispose()


def _end(connection: Any, _entry: Any) -> None:
    # Nothing is lost with them, and a polite end would wait for a database that hangs.
    connection.driver_connection.terminate()
