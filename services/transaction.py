"""A database transaction together with what is made known once it is committed."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from services.errors import Unavailable
from services.events import Announcement, ReadMoved
from services.settings import Settings


class Transaction:
    """What an action works in: the database session, and the news to spread after the commit.

    Actions never commit; :meth:`services.parley.Parley.transaction` does, and then spreads the news.
    """

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self.session = session
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
    """Turn a database that cannot be reached, or does not answer in time, into :class:`Unavailable`."""
    try:
        yield
    except (IntegrityError, DataError, ProgrammingError):
        raise
    except (DBAPIError, PoolTimeoutError, OSError, TimeoutError) as error:
        raise Unavailable from error
