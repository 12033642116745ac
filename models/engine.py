"""The connections to PostgreSQL."""

import time
from asyncio import CancelledError
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

CONNECT_SECONDS = 5.0
"""The longest that a new connection may take to come about."""

NETWORK_SECONDS = 1.0
"""How much later than PostgreSQL itself we end a statement; by then PostgreSQL hangs, or the way to it."""


def create_engine(url: str, *, pool_size: int, timeout: float, **server_settings: str) -> AsyncEngine:
    """Make the engine; it connects when first used.

    :param url: a ``postgresql+asyncpg`` URL.
    :param pool_size: connections at most; a request waits for a free one for at most ``timeout``.
    :param timeout: seconds that one statement, or waiting for a connection, may take.
    :param server_settings: of PostgreSQL, for these connections.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=False,
        hide_parameters=True,  # errors would quote what people wrote
        connect_args={
            "command_timeout": timeout + NETWORK_SECONDS,
            "timeout": min(timeout, CONNECT_SECONDS),
            "server_settings": _server_settings(timeout) | server_settings,
        },
    )
    hangs = _Hangs()
    event.listen(engine.sync_engine, "handle_error", hangs.failed)
    event.listen(engine.sync_engine, "invalidate", hangs.dropped)
    event.listen(engine.sync_engine, "connect", hangs.connected)
    event.listen(engine.sync_engine, "checkout", hangs.check)
    return engine


def _server_settings(timeout: float) -> dict[str, str]:
    """Let PostgreSQL end what we no longer wait for, and let go of a node that is gone without a word.

    Otherwise the locks of such a node would keep a chat closed to all others for as long as TCP waits, which may be
    hours (PostgreSQL, 19.3.2 TCP Settings and 19.11.1 Statement Behavior). On Unix sockets the TCP ones do nothing.
    """
    milliseconds = round(timeout * 1000)
    return {
        "application_name": "parley",
        "timezone": "UTC",
        "jit": "off",
        "statement_timeout": str(milliseconds),
        "idle_in_transaction_session_timeout": str(max(milliseconds // 3, 1000)),
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


class _Hangs:
    """Has the pool connect anew in place of a connection that is dead, or may be.

    What the database closed, which may have been started again, asyncpg has seen. What was cut off without a word
    shows in the first connection that does not answer in time; the others of its age would cost somebody the whole
    time limit once more. Neither costs a question to the server, as ``pool_pre_ping`` would.
    """

    def __init__(self) -> None:
        self._last = float("-inf")

    def failed(self, context: ExceptionContext) -> None:
        """Note that a statement failed, or that somebody no longer waited for it."""
        error = context.original_exception
        if isinstance(error, TimeoutError):
            self._last = time.monotonic()
        if isinstance(error, TimeoutError | CancelledError) and context.connection is not None:
            _terminate(context.connection.connection.dbapi_connection)

    def dropped(self, connection: Any, _entry: ConnectionPoolEntry, error: BaseException | None) -> None:
        """Note that one who works with the driver's own connection gave it up."""
        if isinstance(error, TimeoutError):
            self._last = time.monotonic()
        if isinstance(error, TimeoutError | CancelledError):
            _terminate(connection)

    def connected(self, _connection: Any, entry: ConnectionPoolEntry) -> None:
        """Note when a connection came about."""
        entry.info["connected_at"] = time.monotonic()

    def check(self, connection: Any, entry: ConnectionPoolEntry, _proxy: Any) -> None:
        """Look at a connection that somebody is about to get."""
        if connection.driver_connection.is_closed() or entry.info["connected_at"] < self._last:
            _terminate(connection)
            raise DisconnectionError


def _terminate(connection: Any) -> None:
    # A polite end, as SQLAlchemy would make it, waits for the other side.
    if connection is not None:
        connection.driver_connection.terminate()
