import asyncio
import time

import pytest

from tests.faults.conftest import Pair, Trio, metrics, shows
from tests.support.eventually import eventually
from tests.support.person import Person
from tests.support.socket import Socket
from tests.ws.helpers import hears, numbers

SOON = 1.0
SLACK = 1.0
"""Seconds that a busy machine may take longer than what is promised."""

NOTICED = 3.0
HEALED = 2.5

BOTH = {"to_server": True, "to_client": True}
DIRECTIONS = [BOTH, BOTH | {"to_client": False}, BOTH | {"to_server": False}]


@pytest.mark.parametrize("cut", DIRECTIONS, ids=["both ways", "to Redis", "from Redis"])
async def test_a_way_to_redis_that_hangs_holds_nobody_up(pair: Pair, trio: Trio, cut: dict[str, bool]) -> None:
    alice, _, bob = trio
    chat = await alice.group_chat(bob)
    lost = (await metrics(pair.east.server))["parley_redis_lost_total"]
    async with alice.socket() as own, alice.socket() as near, bob.socket() as far:
        pair.east.way.hang(**cut)
        began = time.monotonic()
        for number in range(20):
            answer = await own.request("message.send", chat_id=chat["id"], nonce=f"{number}", body="Hello")
            assert answer["type"] == "ack"
            assert (await alice.get("/me")).status_code == 200
        # The first that asks Redis waits a quarter of a second, and the others no more.
        assert time.monotonic() - began < 20 * 0.25
        last = chat["seq"] + 20
        await hears([own, near], chat["id"], after=chat["seq"], upto=last, within=SOON + SLACK)
        # What is sent still arrives where only Redis's answers do not; the rest the other node reads.
        await eventually(lambda: _known(far, chat["id"]) == last, within=HEALED + SLACK)
        await shows(pair.east.server, {"parley_bus_connected": 0}, within=NOTICED + 2)
        pair.east.way.resume()
        await pair.whole()
        answer = await own.request("message.send", chat_id=chat["id"], nonce="after", body="Hello")
        await far.expect("message.created", within=SOON + SLACK, seq=answer["message"]["seq"])
    assert (await metrics(pair.east.server))["parley_redis_lost_total"] > lost


@pytest.mark.parametrize("hanging", ["where it ends", "where it is used", "everywhere"])
async def test_a_session_ends_within_a_second_although_a_way_to_redis_hangs(
    pair: Pair, trio: Trio, hanging: str
) -> None:
    alice, elsewhere, _ = trio
    ways = {"where it ends": [pair.east], "where it is used": [pair.west], "everywhere": [pair.east, pair.west]}
    async with elsewhere.socket() as ended:
        for node in ways[hanging]:
            node.way.hang()
        assert (await elsewhere.get("/me")).status_code == 200
        await alice.delete(f"/sessions/{elsewhere.session_id}")
        gone = time.monotonic()
        assert await ended.closed(within=SOON + SLACK) == 4401
        await asyncio.sleep(gone + SOON - time.monotonic())
        assert (await elsewhere.get("/me")).status_code == 401


async def test_one_who_was_removed_hears_nothing_more_although_the_way_to_redis_hangs(pair: Pair, trio: Trio) -> None:
    alice, elsewhere, bob = trio
    chat = await alice.group_chat(bob)
    async with bob.socket() as removed, elsewhere.socket() as near:
        pair.west.way.hang()
        await alice.delete(f"/chats/{chat['id']}/members/{bob.id}")
        message = await elsewhere.say(chat["id"], "Without Bob")
        await eventually(lambda: message["id"] in str(near.waiting), within=HEALED + SLACK)
        await removed.expect("chat.removed", within=HEALED + SLACK)
        assert message["id"] not in str(removed.waiting)


async def test_a_node_starts_while_the_way_to_redis_hangs(pair: Pair, trio: Trio) -> None:
    pair.west.way.hang()
    await pair.west.server.stop()
    began = time.monotonic()
    await pair.west.server.start()
    assert time.monotonic() - began < 20
    async with Person(pair.west.server.url, username=trio.bob.username) as bob:
        await bob.sign_in()
        chat = await bob.group_chat(trio.alice)
        pair.west.way.resume()
        await pair.whole()
        async with bob.socket() as there:
            message = await trio.alice.say(chat["id"], "Hello")
            await there.expect("message.created", within=SOON + SLACK, seq=message["seq"])


def _known(socket: Socket, chat_id: str) -> int:
    """The number up to which events and pages have told a connection of a chat."""
    pages = [frame["seq"] for frame in socket.waiting if frame["type"] == "sync" and frame["chat_id"] == chat_id]
    return max(numbers(socket, chat_id) + pages, default=0)
