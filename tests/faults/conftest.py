"""Databases that a test may break, unlike those which tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.postgres_server import PostgresServer


@pytest.fixture
async def own_postgres() -> AsyncIterator[PostgresServer]:
    """A running served PostgreSQL of the test's own, which it may stop, kill and start again."""
    server = PostgresServer()
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
