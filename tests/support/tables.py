"""Everything that a database holds, row by row, for comparisons."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

Tables = dict[str, list[str]]


async def rows_of(url: str) -> Tables:
    """Read all tables as of one moment; each row is its text, and rows are sorted."""
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="REPEATABLE READ")
    try:
        async with engine.connect() as connection:
            named = await connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            return {
                table: sorted((await connection.scalars(text(f"SELECT t::text FROM {table} t"))).all())
                for table in named.all()
            }
    finally:
        await engine.dispose()
