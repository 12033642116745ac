"""The disk of the embedded database runs full while people send."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rest.checks import done, refused
from tests.support.eventually import eventually
from tests.support.person import Person
from tests.support.processes import until
from tests.support.senders import Crowd
from tests.support.server import ParleyServer
from tests.support.small_disk import MEBIBYTE, SmallDisk

KEPT_FREE = 64 * MEBIBYTE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk with room for a cluster, and some."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with SmallDisk(folder, size=256 * MEBIBYTE).mounted() as disk:
        yield disk


@pytest.fixture
async def parley(disk: SmallDisk) -> AsyncIterator[ParleyServer]:
    """A running Parley whose data is on that disk."""
    settings = {"PARLEY_MIN_FREE_BYTES": str(KEPT_FREE)}
    parley = ParleyServer(disk.folder / "data", settings, within=disk.within)
    parley.log = disk.folder.with_suffix(".log")
    try:
        await parley.start()
        yield parley
        await parley.stop()
    finally:
        await parley.clean_up()


async def test_on_a_full_disk_everything_can_be_read_and_sending_goes_on_once_there_is_room(
    parley: ParleyServer, disk: SmallDisk
) -> None:
    async with Crowd.gathered(parley.url) as crowd, Person.registered(parley.url) as ada:
        chat = await ada.group_chat()
        sent = await ada.say(chat["id"], "Kept")
        path = f"/chats/{chat['id']}/messages"
        await crowd.more(100)
        for free in (KEPT_FREE // 2, 0):
            disk.leave(free, pid=parley.pid)
            await _nobody_sends(crowd)
            answer = await ada.post(path, body="x")
            refused(answer, 503, "unavailable")
            assert "disk is full" in answer.json()["detail"]
            assert done(await ada.get(path))["messages"] == [sent]
            async with ada.socket() as socket:
                page = await socket.request("history", chat_id=chat["id"])
                assert page["messages"] == [sent]
            assert (await ada.request("GET", f"{parley.url}/health/ready")).is_success
        disk.leave(2 * KEPT_FREE, pid=parley.pid)
        await crowd.more(100)
        (await crowd.finish()).verify()
    assert "Traceback" not in parley.output()


async def test_a_postgres_that_ends_on_a_full_disk_is_back_at_once_when_there_is_room(
    parley: ParleyServer, disk: SmallDisk
) -> None:
    async with Crowd.gathered(parley.url) as crowd, Person.registered(parley.url) as ada:
        await crowd.more(100)
        disk.leave(0, pid=parley.pid)
        postmaster = Path(f"/proc/{parley.pid}/root{parley.data}/postgres/postmaster.pid")
        os.kill(int(postmaster.read_text().splitlines()[0]), signal.SIGKILL)
        await _nobody_sends(crowd)
        disk.leave(2 * KEPT_FREE, pid=parley.pid)

        async def ready() -> bool:
            return (await ada.request("GET", f"{parley.url}/health/ready")).is_success

        await until(ready, within=30, otherwise=parley.output)
        await crowd.more(100)
        (await crowd.finish()).verify()
    assert "Traceback" not in parley.output()


async def _nobody_sends(crowd: Crowd) -> None:
    """Wait until everyone is refused, and make sure that nothing is acknowledged then."""
    refusals = crowd.tally["refused: unavailable"]
    await eventually(lambda: crowd.tally["refused: unavailable"] > refusals + 4 * len(crowd.senders), within=20)
    acknowledged, refusals = crowd.acknowledged, crowd.tally["refused: unavailable"]
    await eventually(lambda: crowd.tally["refused: unavailable"] > refusals + 2 * len(crowd.senders), within=20)
    assert crowd.acknowledged == acknowledged
