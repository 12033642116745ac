"""A node that is killed, and one that is asked to stop, while many people send."""

import asyncio
import signal
import time

from tests.conftest import FreshDatabase, StartServer
from tests.support.eventually import eventually
from tests.support.senders import Crowd

STOPPED_WITHIN = 10.0
"""Seconds that a node has to end after SIGTERM, under whatever load."""

RESTARTING = 1012


async def test_after_kill_9_of_a_node_everything_acknowledged_is_there_once(start_server: StartServer) -> None:
    parley = await start_server(embedded=True)
    async with Crowd.gathered(parley.url) as crowd:
        await crowd.more(100)
        await parley.kill()
        await parley.start()
        await crowd.more(100)
        (await crowd.finish()).verify()


async def test_of_two_nodes_one_is_killed_and_its_people_go_on_at_the_other(
    start_server: StartServer, fresh_database: FreshDatabase, redis_url: str
) -> None:
    settings = {"DATABASE_URL": await fresh_database(), "REDIS_URL": redis_url}
    first, second = await asyncio.gather(start_server(**settings), start_server(**settings))
    async with Crowd.gathered(first.url, second.url) as crowd:
        await crowd.more(100)
        await first.kill()
        await crowd.more(100)
        await first.start()
        await crowd.more(100)
        (await crowd.finish()).verify()


async def test_sigterm_under_load_ends_in_time_and_loses_nothing(start_server: StartServer) -> None:
    parley = await start_server(embedded=True)
    async with Crowd.gathered(parley.url, people=12, window=8) as crowd:
        await crowd.more(200)
        asked = time.monotonic()
        await parley.stop(signal.SIGTERM)
        assert time.monotonic() - asked < STOPPED_WITHIN
        await eventually(lambda: crowd.close_codes.total() == len(crowd.senders))
        assert set(crowd.close_codes) == {RESTARTING}
        await parley.start()
        await crowd.more(100)
        (await crowd.finish()).verify()
    assert "Traceback" not in parley.output()
