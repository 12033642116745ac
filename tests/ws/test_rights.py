"""A right that ends on one node has ended on the other within a second: for `/ws`, REST and open pages."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import socketio
from socketio.exceptions import ConnectionError as PageRefused
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from websockets.exceptions import InvalidStatus

from tests.conftest import NewPerson, StartServer
from tests.support.open_page import OpenPage, updates
from tests.support.person import Person
from tests.support.postgres_server import execute
from tests.support.processes import until
from tests.support.redis_server import RedisServer
from tests.support.socket import Socket
from tests.ws.conftest import Nodes

SOON = 1.0
SIGNED_OUT = 4401
NEW_PASSWORD = "another password"


class Device:
    """Someone at one device, with all that their session keeps open there: a connection to `/ws`, and a page."""

    def __init__(self, person: Person, socket: Socket, page: OpenPage, page_socket: socketio.AsyncClient) -> None:
        self.person, self.socket, self.page = person, socket, page
        self._page_socket, self._changes = page_socket, updates(page_socket)

    @classmethod
    @asynccontextmanager
    async def of(cls, person: Person) -> AsyncIterator["Device"]:
        """Open them; each does something, and so do the caches that hold the session."""
        page = await OpenPage.of(person)
        async with page.connected(person.cookie) as page_socket, person.socket() as socket:
            device = cls(person, socket, page, page_socket)
            await page_socket.emit("event", page.new_chat)
            async with asyncio.timeout(5):
                await device._changes.get()
            assert (await person.get("/me")).status_code == 200
            yield device

    async def is_out(self, *, stranger: Person, within: float = SOON) -> None:
        """Expect that nothing of it works any more."""
        assert await self.socket.closed(within=within) == SIGNED_OUT
        assert (await self.person.get("/me")).status_code == 401
        with pytest.raises(InvalidStatus):
            async with self.person.socket():
                pass
        while not self._changes.empty():
            self._changes.get_nowait()
        await self._page_socket.emit("event", self.page.new_chat)
        for cookie in ("", self.person.cookie, stranger.cookie):
            with pytest.raises(PageRefused):
                async with self.page.connected(cookie):
                    pass
        await asyncio.sleep(0.3)  # what must not happen announces nothing
        assert self._changes.empty()

    async def is_in(self) -> None:
        """Expect that all of it works."""
        assert (await self.socket.request("ping"))["type"] == "pong"
        assert (await self.person.get("/me")).status_code == 200
        await self._page_socket.emit("event", self.page.new_chat)
        async with asyncio.timeout(5):
            await self._changes.get()


@pytest.fixture(scope="module")
async def admin(nodes: Nodes) -> AsyncIterator[Person]:
    """An administrator at the first node."""
    async with Person.registered(nodes.east.url) as person:
        promoted = f"UPDATE users SET is_admin = true WHERE id = '{person.id}'"
        await execute(nodes.settings["DATABASE_URL"], promoted)
        yield person


async def end_the_session(own: Person, _: Person, device: Device) -> Any:
    return await own.delete(f"/sessions/{device.person.session_id}")


async def end_all_others(own: Person, _: Person, __: Device) -> Any:
    return await own.delete("/sessions")


async def change_the_password(own: Person, _: Person, __: Device) -> Any:
    return await own.post("/me/password", current_password=own.password, new_password=NEW_PASSWORD)


async def set_the_password(own: Person, admin: Person, _: Device) -> Any:
    return await admin.post(f"/users/{own.id}/password", new_password=NEW_PASSWORD)


async def deactivate(own: Person, admin: Person, _: Device) -> Any:
    return await admin.post(f"/users/{own.id}/deactivate")


@pytest.mark.parametrize("do", [end_the_session, end_all_others, change_the_password, set_the_password, deactivate])
async def test_what_ends_a_session_on_one_node_ends_all_that_it_keeps_open_on_the_other(
    nodes: Nodes,
    new_person: NewPerson,
    admin: Person,
    do: Callable[[Person, Person, Device], Awaitable[Any]],
) -> None:
    own = await new_person(url=nodes.east.url)
    async with Person(nodes.west.url, username=own.username) as elsewhere:
        await elsewhere.sign_in()
        async with Device.of(elsewhere) as device:
            assert (await do(own, admin, device)).status_code == 204
            await device.is_out(stranger=admin)
    assert (await own.get("/me")).status_code == (401 if do in {set_the_password, deactivate} else 200)


async def test_other_people_and_the_session_that_changes_the_password_notice_nothing(
    nodes: Nodes, new_person: NewPerson, admin: Person
) -> None:
    own, other = await new_person(url=nodes.east.url), await new_person(url=nodes.west.url)
    async with Device.of(own) as changing, Device.of(other) as bystander:
        await change_the_password(own, admin, changing)
        await changing.is_in()
        await bystander.is_in()


async def test_a_session_expires_to_the_moment_though_nobody_asks_and_it_is_cached(
    start_server: StartServer, new_person: NewPerson, redis: RedisServer
) -> None:
    server = await start_server(PARLEY_SESSION_HOURS="0.0015", REDIS_URL=redis.url)
    bob, alice = await new_person(url=server.url), await new_person(url=server.url)
    async with Device.of(alice) as device:
        expires_at = datetime.fromisoformat(device.socket.hello["session_expires_at"])
        assert await device.socket.closed(within=10) == SIGNED_OUT
        late = (datetime.now(UTC) - expires_at).total_seconds()
        await device.is_out(stranger=bob)
    assert 0 <= late < SOON


async def test_one_removed_from_a_chat_has_no_part_in_it_on_any_node(
    nodes: Nodes, new_person: NewPerson, admin: Person
) -> None:
    bob = await new_person(url=nodes.west.url)
    chat = await admin.group_chat(bob)
    path = f"/chats/{chat['id']}"
    message = await bob.say(chat["id"], "Still here")
    async with bob.socket() as socket:
        assert (await bob.get(f"{path}/messages")).status_code == 200
        await admin.delete(f"{path}/members/{bob.id}")
        assert (await bob.get(f"{path}/messages")).status_code == 404
        assert (await bob.post(f"{path}/messages", body="Too late")).status_code == 404
        await socket.expect("chat.removed", within=SOON, chat_id=chat["id"])
        about = {"chat_id": chat["id"], "message_id": message["id"]}
        for type_, fields in (
            ("message.send", {"chat_id": chat["id"], "nonce": "n", "body": "Too late"}),
            ("message.edit", {**about, "body": "Too late"}),
            ("message.delete", about),
            ("reaction.add", {**about, "emoji": "👍"}),
            ("read", {"chat_id": chat["id"], "seq": 1}),
            ("history", {"chat_id": chat["id"]}),
        ):
            assert (await socket.request(type_, **fields)).get("code") == "not_found", type_
        assert (await socket.request("sync", chats={chat["id"]: 0}))["type"] == "chat.removed"


async def test_a_closed_chat_is_closed_on_every_node(nodes: Nodes, new_person: NewPerson, admin: Person) -> None:
    bob = await new_person(url=nodes.west.url)
    chat = await admin.group_chat(bob)
    path = f"/chats/{chat['id']}"
    async with bob.socket() as socket:
        await admin.post(f"{path}/close")
        refused = await bob.post(f"{path}/messages", body="Too late")
        assert (refused.status_code, refused.json()["code"]) == (409, "chat_closed")
        event = await socket.expect("chat.updated", within=SOON, chat_id=chat["id"])
        assert event["chat"]["closed_at"]
        answer = await socket.request("message.send", chat_id=chat["id"], nonce="n", body="Too late")
        assert answer["code"] == "chat_closed"


async def test_nothing_numbered_after_a_removal_reaches_the_removed_whoever_sends_meanwhile(
    nodes: Nodes, new_person: NewPerson, admin: Person
) -> None:
    carol, bob = await new_person(url=nodes.west.url), await new_person(url=nodes.west.url)
    async with Person(nodes.east.url, username=bob.username) as bob_east, AsyncExitStack() as open_sockets:
        await bob_east.sign_in()
        own, other, near, far = [
            await open_sockets.enter_async_context(one.socket()) for one in (admin, carol, bob, bob_east)
        ]
        for _ in range(5):
            chat = await admin.group_chat(bob, carol)
            chat_id, enough = chat["id"], asyncio.Event()
            talking = [asyncio.create_task(talk(socket, chat_id, enough)) for socket in (own, other)]
            await own.expect("message.created", chat_id=chat_id)
            await admin.delete(f"/chats/{chat_id}/members/{bob.id}")
            removal = await own.expect("member.removed", chat_id=chat_id)
            for socket in (near, far):
                await socket.expect("chat.removed", chat_id=chat_id)
            while (await own.expect("message.created", chat_id=chat_id))["seq"] < removal["seq"]:
                pass
            enough.set()
            await asyncio.gather(*talking)
            for socket in (near, far):
                await socket.request("ping")
                heard = [one for one in socket.waiting if one.get("chat_id") == chat_id and "seq" in one]
                assert all(one["seq"] < removal["seq"] for one in heard), heard


async def talk(socket: Socket, chat_id: str, enough: asyncio.Event) -> None:
    """Say one thing after another."""
    while not enough.is_set():
        answer = await socket.request("message.send", chat_id=chat_id, nonce=uuid4().hex, body="Hello")
        assert answer["type"] == "ack"


WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@asynccontextmanager
async def held(nodes: Nodes, chat_id: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Keep a chat locked, as a long change of it does; gives a function that tells whether someone waits."""
    engine = create_async_engine(nodes.settings["DATABASE_URL"])

    async def somebody_waits() -> bool:
        # In a transaction of its own: one transaction sees the same activity all the time.
        async with engine.connect() as watching:
            return bool(await watching.scalar(WAITING))

    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT FROM chats WHERE id = '{chat_id}' FOR UPDATE"))
            yield somebody_waits
    finally:
        await engine.dispose()


async def test_what_a_session_had_begun_when_it_ended_does_not_happen(
    nodes: Nodes, new_person: NewPerson, admin: Person
) -> None:
    bob = await new_person(url=nodes.west.url)
    chat = await admin.group_chat(bob)
    async with Device.of(bob) as device, admin.socket() as own:
        async with held(nodes, chat["id"]) as somebody_waits:
            posting = asyncio.create_task(bob.post(f"/chats/{chat['id']}/messages", body="By REST"))
            await until(somebody_waits, within=10, otherwise=lambda: "it does not wait for the chat")
            for number in range(3):
                await device.socket.send("message.send", chat_id=chat["id"], nonce=f"n-{number}", body="By /ws")
            await device.socket.send("typing", chat_id=chat["id"])
            await device.socket.request("ping")  # which it answers once it has taken what came before
            await admin.post(f"/users/{bob.id}/deactivate")
            assert await device.socket.closed(within=SOON) == SIGNED_OUT
        refused = await posting
        assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
        await device.is_out(stranger=admin)
        await own.nothing("typing")
    assert (await admin.get(f"/chats/{chat['id']}/messages")).json()["messages"] == []
    assert (await admin.get(f"/chats/{chat['id']}")).json()["seq"] == chat["seq"]


async def test_no_connection_survives_that_begins_while_its_session_ends(nodes: Nodes, new_person: NewPerson) -> None:
    own = await new_person(url=nodes.east.url)
    async with Person(nodes.west.url, username=own.username) as elsewhere:
        for _ in range(4):
            await elsewhere.sign_in()

            async def outlives() -> int | None:
                try:
                    async with elsewhere.socket() as socket:
                        return await socket.closed(within=10)
                except (InvalidStatus, AssertionError):  # refused, or closed before `hello`
                    return None

            connecting = [asyncio.create_task(outlives()) for _ in range(8)]
            await asyncio.sleep(random.uniform(0, 0.1))
            began = time.monotonic()
            await own.delete(f"/sessions/{elsewhere.session_id}")
            assert set(await asyncio.gather(*connecting)) <= {None, SIGNED_OUT}
            assert time.monotonic() - began < SOON + 4
