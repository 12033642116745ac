"""The connection to PostgreSQL."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry


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
        connect_args={
            "command_timeout": timeout,
            "timeout": timeout,
            "server_settings": {"application_name": "parley", "timezone": "UTC", "jit": "off"} | server_settings,
        },
    )
    event.listen(engine.sync_engine, "checkout", _replace_if_closed)
    return engine


def _replace_if_closed(connection: Any, _entry: ConnectionPoolEntry, _proxy: Any) -> None:
    """Have the pool connect anew where the database, which may have been started again, closed the connection.

    asyncpg has seen that already, so that this costs no question to the server, as ``pool_pre_ping`` would.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
