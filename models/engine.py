"""The connection to PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def create_engine(url: str, *, pool_size: int, timeout: float) -> AsyncEngine:
    """Make the engine; it connects when first used.

    :param url: a ``postgresql+asyncpg`` URL.
    :param pool_size: connections at most; a request waits for a free one for at most ``timeout``.
    :param timeout: seconds that one statement, or waiting for a connection, may take.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=False,
        connect_args={
            "command_timeout": timeout,
            "timeout": timeout,
            "server_settings": {"application_name": "parley", "timezone": "UTC", "jit": "off"},
        },
    )
