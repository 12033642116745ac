"""Whether a node should get traffic: told soon, even where the database hangs and refuses nothing."""

import asyncio

from sqlalchemy import text

from models.engine import create_engine
from services.errors import Unavailable
from services.transaction import database_errors

PATIENCE = 1.5
"""Seconds that the database has to answer."""


class Readiness:
    """Asks the database on a connection of its own: a node whose connections are all at work is busy, not ill.

    :param database_url: a ``postgresql+asyncpg`` URL.
    """

    def __init__(self, database_url: str) -> None:
        self._engine = create_engine(database_url, pool_size=1, timeout=PATIENCE)
        self._question: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Ask.

        :raises Unavailable: the database does not answer, or not in time.
        """
        # A question that hangs may take its time to end; until then no other is asked.
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask())
        question = self._question
        done, _ = await asyncio.wait([question], timeout=PATIENCE)
        if not done:
            question.cancel()
        if not done or question.cancelled():
            raise Unavailable("The database does not answer.")
        question.result()

    async def stop(self) -> None:
        """Let go of the connection."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait([self._question], timeout=PATIENCE)
        await self._engine.dispose()

    async def _ask(self) -> None:
        with database_errors():
            async with self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
