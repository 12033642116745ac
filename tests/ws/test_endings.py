import time
from datetime import UTC, datetime

from tests.conftest import NewPerson, StartServer
from tests.support.person import Person

HOURS = "0.001"  # 3.6 seconds


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


async def test_a_connection_ends_when_its_session_expires(start_server: StartServer, new_person: NewPerson) -> None:
    server = await start_server(PARLEY_SESSION_HOURS=HOURS)
    alice = await new_person(url=server.url)
    async with alice.socket() as socket:
        expires_at = datetime.fromisoformat(socket.hello["session_expires_at"])
        assert await socket.closed(within=10) == 4401
        late = (datetime.now(UTC) - expires_at).total_seconds()
    assert -0.1 < late < 1
    assert (await alice.get("/me")).status_code == 401
