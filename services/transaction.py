"""A database transaction together with what is made known once it is committed."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from asyncpg import InterfaceError, PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from models.prepared import Driver
from services.errors import Unavailable
from services.events import Announcement, ReadMoved
from services.settings import Settings

WRONG_STATEMENT = frozenset({"0A", "21", "22", "23", "42", "44"})
"""Classes of SQLSTATE (PostgreSQL, appendix A) that blame the statement or its values: trying again would not help.

All others blame the database: it starts, stops, recovers, only reads, has no room, or cannot be reached.
"""

TOLD_EVERY = 10.0
"""Seconds between two lines of the log that say why the database cannot be used."""

logger = logging.getLogger("parley.database")


class Transaction:
    """What an action works in: the database session, and the news to spread after the commit.

    Actions never commit; :meth:`services.parley.Parley.transaction` does, and then spreads the news. What ``driver``
    reads does not contain what the session has not flushed.
    """

    def __init__(self, session: AsyncSession, driver: Driver, settings: Settings) -> None:
        self.session = session
        self.driver = driver
        self.settings = settings
        self.announcements: list[Announcement] = []
        self.moved_reads: list[ReadMoved] = []
        self.ended_sessions: list[UUID] = []
        self.outdated: list[str] = []

    def announce(self, announcement: Announcement) -> None:
        """Deliver a numbered change to its chat."""
        self.announcements.append(announcement)

    def moved_read(self, chat_id: UUID, user_id: UUID, seq: int) -> None:
        """Tell a chat that someone's read mark moved."""
        self.moved_reads.append(ReadMoved(chat_id, user_id, seq))

    def end_session(self, session_id: UUID, cache_key: str) -> None:
        """Cut everything that a session holds open, on every node."""
        self.ended_sessions.append(session_id)
        self.outdated.append(cache_key)

    def outdate(self, *cache_keys: str) -> None:
        """Drop cached answers before anything is announced."""
        self.outdated.extend(cache_keys)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn a database that cannot be reached, or does not do its work now, into :class:`Unavailable`."""
    try:
        yield
    except (DBAPIError, PostgresError, InterfaceError) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        # asyncpg gives such a state too to values that it cannot encode and never sends.
        if str(getattr(said, "sqlstate", None))[:2] in WRONG_STATEMENT:
            raise
        OUTAGE.note(error)
        raise Unavailable from error
    except (PoolTimeoutError, OSError, TimeoutError) as error:
        OUTAGE.note(error)
        raise Unavailable from error


class Outage:
    """Says why the database cannot be used, once in a while, since every request finds out again."""

    def __init__(self) -> None:
        self._told_at = -math.inf

    def note(self, error: Exception) -> None:
        """Log an error unless another was logged just now."""
        now = time.monotonic()
        if now - self._told_at > TOLD_EVERY:
            self._told_at = now
            logger.warning("the database cannot be used: %s", error)


OUTAGE = Outage()
