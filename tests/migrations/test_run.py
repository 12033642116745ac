import asyncio

from sqlalchemy import text

from migrations.run import LOCK, migrate
from models.engine import create_engine
from tests.conftest import FreshDatabase
from tests.support.processes import until

NODES = 4


async def test_of_nodes_that_start_together_one_migrates_and_the_others_wait(fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    engine = create_engine(database, pool_size=2, timeout=30)

    async def count(query: str) -> int:
        async with engine.connect() as connection:
            return int((await connection.execute(text(query))).scalar_one())

    async def all_wait() -> bool:
        own = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        return (
            await count(f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND {own}")
            == NODES
        )

    async with engine.begin() as first:
        await first.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        starting = [asyncio.create_task(migrate(database)) for _ in range(NODES)]
        await until(all_wait, within=30, otherwise=lambda: f"not all of {NODES} wait")
        assert await count("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await asyncio.gather(*starting)
    assert await count("SELECT count(*) FROM alembic_version") == 1
    await engine.dispose()
