"""PostgreSQL killed, and stopped and started again, while many people send."""

import asyncio
import os
import signal

import httpx
import psutil

from tests.conftest import StartServer
from tests.rest.checks import refused
from tests.support.eventually import eventually
from tests.support.person import Person
from tests.support.postgres_server import PostgresServer
from tests.support.processes import until
from tests.support.senders import Crowd
from tests.support.server import ParleyServer


async def test_an_embedded_postgres_that_is_killed_comes_back_by_itself_with_everything_acknowledged(
    start_server: StartServer,
) -> None:
    parley = await start_server(embedded=True)
    async with Crowd.gathered(parley.url) as crowd, httpx.AsyncClient(trust_env=False) as operator:

        async def answers(status: int) -> bool:
            return (await operator.get(f"{parley.url}/health/ready")).status_code == status

        for _ in range(2):
            await crowd.more(100)
            await parley.kill_postgres()
            await until(lambda: answers(503), otherwise=parley.output)
            await until(lambda: answers(200), otherwise=parley.output, within=30)
        await crowd.more(100)
        (await crowd.finish()).verify()
        assert crowd.close_codes == {}, "connections outlive the database"
    assert "Traceback" not in parley.output()


async def test_a_backend_that_is_killed_takes_the_others_along_and_all_recovers(start_server: StartServer) -> None:
    parley = await start_server(embedded=True)
    async with Crowd.gathered(parley.url) as crowd:
        await crowd.more(100)
        os.kill(_backend(parley), signal.SIGKILL)
        await crowd.more(100)
        (await crowd.finish()).verify()
    assert "Traceback" not in parley.output()


async def test_a_served_postgres_that_is_killed_and_started_again_has_everything_acknowledged(
    start_server: StartServer, own_postgres: PostgresServer
) -> None:
    parley = await start_server(DATABASE_URL=own_postgres.url, REDIS_URL="")
    async with Crowd.gathered(parley.url) as crowd:
        await crowd.more(100)
        await own_postgres.kill()
        await own_postgres.start()
        await crowd.more(100)
        (await crowd.finish()).verify()
    assert "Traceback" not in parley.output()


async def test_while_postgres_is_stopped_sends_are_refused_as_unavailable_and_then_all_goes_on(
    start_server: StartServer, own_postgres: PostgresServer
) -> None:
    parley = await start_server(DATABASE_URL=own_postgres.url, REDIS_URL="")
    async with Crowd.gathered(parley.url) as crowd, Person.registered(parley.url) as ada:
        chat = await ada.group_chat()
        await crowd.more(100)
        await own_postgres.shut_down()
        acknowledged = crowd.acknowledged
        before = crowd.tally["refused: unavailable"]
        await eventually(lambda: crowd.tally["refused: unavailable"] > before + 3 * len(crowd.senders))
        async with asyncio.timeout(2):
            refused(await ada.post(f"/chats/{chat['id']}/messages", body="x"), 503, "unavailable")
        refused(await ada.request("GET", f"{parley.url}/health/ready"), 503, "unavailable")
        assert crowd.acknowledged == acknowledged
        await own_postgres.start()
        await crowd.more(100)
        (await crowd.finish()).verify()
        assert crowd.close_codes == {}
    assert "Traceback" not in parley.output()


def _backend(parley: ParleyServer) -> int:
    """A process that serves one of the node's connections."""
    postmaster = (parley.data / "postgres/postmaster.pid").read_text().splitlines()[0]
    processes = psutil.Process(int(postmaster)).children()
    return next(process.pid for process in processes if "parley parley" in " ".join(process.cmdline()))
