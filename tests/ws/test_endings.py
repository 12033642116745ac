import asyncio
import time
from datetime import UTC, datetime

from tests.conftest import NewPerson, StartServer
from tests.support.person import Person
from tests.support.server import ParleyServer

HOURS = "0.0012"  # 4.3 seconds


async def test_signing_out_closes_the_sessions_connections_and_no_others(new_person: NewPerson) -> None:
    alice = await new_person()
    async with Person(alice.url, username=alice.username) as elsewhere:
        await elsewhere.sign_in()
        async with alice.socket() as first, alice.socket() as second, elsewhere.socket() as other:
            began = time.monotonic()
            await alice.post("/auth/logout")
            assert [await socket.closed(within=1) for socket in (first, second)] == [4401, 4401]
            assert time.monotonic() - began < 1
            assert (await other.request("ping"))["type"] == "pong"


async def test_ending_a_session_from_another_closes_its_connections(new_person: NewPerson) -> None:
    alice = await new_person()
    async with Person(alice.url, username=alice.username) as elsewhere:
        await elsewhere.sign_in()
        async with elsewhere.socket() as ended, alice.socket() as own:
            await alice.delete(f"/sessions/{elsewhere.session_id}")
            assert await ended.closed(within=1) == 4401
            assert (await own.request("ping"))["type"] == "pong"
        await elsewhere.sign_in()
        async with elsewhere.socket() as ended, alice.socket() as own:
            await alice.delete("/sessions")
            assert await ended.closed(within=1) == 4401
            assert (await own.request("ping"))["type"] == "pong"


async def test_a_connection_ends_when_its_session_expires_and_a_stopping_server_says_1012(
    start_server: StartServer, new_person: NewPerson
) -> None:
    server = await start_server(PARLEY_SESSION_HOURS=HOURS)
    alice = await new_person(url=server.url)
    async with alice.socket() as socket:
        expires_at = datetime.fromisoformat(socket.hello["session_expires_at"])
        assert await socket.closed(within=10) == 4401
        late = (datetime.now(UTC) - expires_at).total_seconds()
    assert -0.1 < late < 1
    await alice.sign_in()
    async with alice.socket() as socket:
        stopping = asyncio.create_task(server.stop())
        assert await socket.closed(within=5) == 1012
        await stopping


async def test_all_that_was_acknowledged_before_a_stop_is_there_after_it(
    server: ParleyServer, start_server: StartServer, new_person: NewPerson
) -> None:
    own = await start_server()
    alice = await new_person(url=own.url)
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        for number in range(40):
            fields = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": "Hello"}
            await socket.send("message.send", id=number, **fields)
        await socket.expect("ack", re=5)
        await own.stop()
        assert await socket.closed() == 1012
        acknowledged = [frame["message"]["id"] for frame in socket.waiting if frame["type"] == "ack"]
    await own.start()
    page = (await alice.get(f"/chats/{chat['id']}/messages", limit=100)).json()
    assert set(acknowledged) <= {message["id"] for message in page["messages"]}
