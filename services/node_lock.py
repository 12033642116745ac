"""One node without Redis needs the database for itself; nodes with Redis share it."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

KEY = 0x50_4E_4F_44
"""Key of the advisory lock (PostgreSQL, 13.3.5 Advisory Locks); the session that took it holds it until it ends."""


class NodeLockTaken(Exception):
    """Other nodes use the database, and this one could not hear them, or they it."""

    def __init__(self) -> None:
        super().__init__("another Parley uses this database: set REDIS_URL on every node to share it")


class NodeLock:
    """Holds the lock on a connection of its own.

    :param alone: refuse to share the database.
    """

    def __init__(self, engine: AsyncEngine, *, alone: bool) -> None:
        self._engine = engine
        self._function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> None:
        """Take the lock.

        :raises NodeLockTaken: someone holds it in a way that excludes us.
        """
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not await connection.scalar(text(f"SELECT {self._function}({KEY})")):
                raise NodeLockTaken
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def keep(self) -> None:
        """Take the lock again where its connection has ended, as when the database was started again.

        :raises NodeLockTaken: somebody else was faster, in a way that excludes us.
        """
        if self._connection is not None:
            try:
                await self._connection.execute(text("SELECT 1"))
            except DBAPIError:
                await self.release()
        if self._connection is None:
            await self.acquire()

    async def release(self) -> None:
        """Give the lock back by ending its connection."""
        if self._connection is not None:
            await self._connection.invalidate()
            await self._connection.close()
            self._connection = None
