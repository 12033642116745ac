"""One node without Redis needs the database for itself; nodes with Redis share it."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

KEY = 0x50_4E_4F_44
"""Key of the advisory lock (PostgreSQL, 13.3.5 Advisory Locks); the session that took it holds it until it ends."""

ANSWER_SECONDS = 3.0
"""Seconds that the database has for an answer."""

_TAKE = """
SELECT {function}({key}), pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""

# What is left of a connection that was cut off may hold the lock for as long as TCP waits. The time of its start
# tells it from another process that was given its number since.
_END_PREDECESSOR = text("""
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE pid = :pid AND backend_start::text = :backend_start
""")


class NodeLockTaken(Exception):
    """Other nodes use the database, and this one could not hear them, or they it."""

    def __init__(self) -> None:
        super().__init__("another Parley uses this database: set REDIS_URL on every node to share it")


class _Holder(NamedTuple):
    """The process of PostgreSQL's that holds the lock for us."""

    pid: int
    backend_start: str


class NodeLock:
    """Holds the lock, and takes it again when its connection is lost.

    :param engine: one whose statements end after a few seconds. :param alone: refuse to share the database.
    """

    def __init__(self, engine: AsyncEngine, *, alone: bool) -> None:
        self._engine = engine
        function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
        self._take = text(_TAKE.format(function=function, key=KEY))
        self._connection: AsyncConnection | None = None
        self._holder: _Holder | None = None

    async def acquire(self) -> None:
        """Take the lock.

        :raises NodeLockTaken: someone holds it in a way that excludes us.
        """
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if self._holder is not None:
                await connection.execute(_END_PREDECESSOR, self._holder._asdict())
            taken, *process = (await connection.execute(self._take)).one()
            if not taken:
                raise NodeLockTaken
        except BaseException:
            await _end(connection)
            raise
        self._connection, self._holder = connection, _Holder(*process)

    async def keep(self) -> None:
        """Take the lock again where its connection has ended, as when the database was started again or cut off.

        :raises NodeLockTaken: somebody else was faster, in a way that excludes us.
        :raises DBAPIError, OSError, TimeoutError: the database does not answer.
        """
        if self._connection is not None:
            try:
                await self._connection.execute(text("SELECT 1"))
            except (DBAPIError, OSError, TimeoutError):
                await self.release()
        if self._connection is None:
            await self.acquire()

    async def release(self) -> None:
        """Give the lock back by ending its connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _end(connection)


async def _end(connection: AsyncConnection) -> None:
    await connection.invalidate()
    await connection.close()
