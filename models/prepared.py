"""Queries that are asked of asyncpg itself, for what is read so often that SQLAlchemy's layers would cost the most.

Reading 50 messages through them took 1.5 ms of processor time with rows and 2.4 ms with objects, and 0.5 ms without.
"""

from asyncio import CancelledError
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from asyncpg import Connection, Record
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")

_PLANNED_ANEW = """
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL max_parallel_workers_per_gather = 0
"""

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class Prepared:
    """A query, built with SQLAlchemy once.

    :param query: whose rows are taken as the driver gives them; its parameters are named by ``bindparam``.
    """

    def __init__(self, query: ClauseElement) -> None:
        compiled = cast("SQLCompiler", query.compile(dialect=_DIALECT))
        self.statement = str(compiled)
        self._fixed = dict(compiled.params)
        self._names: list[str] = compiled.positiontup or []

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """Put values into the order in which the statement numbers them."""
        given = self._fixed | values
        return [given[name] for name in self._names]


class Driver:
    """asyncpg's own connection under one of SQLAlchemy's.

    :param connection: SQLAlchemy's. :param driver: asyncpg's.
    """

    def __init__(self, connection: AsyncConnection, driver: Connection) -> None:
        self._connection = connection
        self._driver = driver

    @classmethod
    async def of(cls, connection: AsyncConnection) -> "Driver":
        """Look under a connection."""
        return cls(connection, (await connection.get_raw_connection()).driver_connection)

    async def fetch(self, query: Prepared, **values: Any) -> list[Record]:
        """Read rows, in the transaction that the connection is in.

        :param values: of the query's parameters. :raises PostgresError, InterfaceError, OSError, TimeoutError: the
            database refused, cannot be reached or did not answer in time.
        """
        return await self._run(self._driver.fetch(query.statement, *query.arguments(values)))

    async def ask(self, statement: str, *arguments: Any) -> list[Record]:
        """Read rows by SQL in which ``$1`` stands for the first argument; see :meth:`fetch`."""
        return await self._run(self._driver.fetch(statement, *arguments))

    async def plan_anew(self) -> None:
        """Let each statement of this transaction be planned by its arguments, where one plan would not suit all.

        They keep to one process: starting others takes longer than most searches, and takes cores from who sends.

        :raises PostgresError, InterfaceError, OSError, TimeoutError: as when reading.
        """
        await self._run(self._driver.execute(_PLANNED_ANEW))

    async def begin_snapshot(self) -> None:
        """Let everything that is read from now on, through SQLAlchemy too, be as of one moment.

        :raises PostgresError, InterfaceError, OSError, TimeoutError: as when reading.
        """
        await self._run(self._driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))

    async def end_snapshot(self) -> None:
        """Let go of that moment, unless the connection broke meanwhile.

        :raises PostgresError, InterfaceError, OSError, TimeoutError: as when reading.
        """
        if not self._driver.is_closed():
            await self._run(self._driver.execute("ROLLBACK"))

    async def _run(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (TimeoutError, CancelledError) as error:
            # Nobody knows what state it is in; after a timeout the engine does not trust others of its age either.
            await self._connection.invalidate(error)
            raise
