import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewPerson, StartServer
from tests.support.eventually import eventually
from tests.support.lossy_redis import LossyRedis
from tests.support.person import Person
from tests.support.processes import until
from tests.support.socket import Socket
from tests.ws.conftest import Nodes
from tests.ws.helpers import hears, own_chat, told

SOON = 1.0
THROTTLE = 2.0
UNHEARD = 2.0 + 2.0
"""Seconds in which a node finds what it was not told of, and some for a busy machine."""

# A person on the first node, the same person on the second, and another person on the second.
Trio = tuple[Person, Person, Person]


@pytest.fixture
async def trio(nodes: Nodes, new_person: NewPerson) -> AsyncIterator[Trio]:
    """Alice on both nodes, and Bob on the second."""
    alice, bob = await new_person(url=nodes.east.url), await new_person(url=nodes.west.url)
    async with Person(nodes.west.url, username=alice.username) as elsewhere:
        await elsewhere.sign_in()
        yield alice, elsewhere, bob


async def test_events_cross_between_nodes_within_a_second(trio: Trio) -> None:
    alice, alice_west, bob = trio
    chat = await alice.group_chat(bob)
    async with alice.socket() as own, alice_west.socket() as second, bob.socket() as other:
        assert own_chat(other, chat["id"])["title"] == "Group"
        answer = await own.request("message.send", chat_id=chat["id"], nonce="n", body="Hello")
        message = answer["message"]
        for socket in (own, second, other):
            event = await socket.expect("message.created", within=SOON)
            assert (event["seq"], event["message"]) == (message["seq"], message)
        about = {"chat_id": chat["id"], "message_id": message["id"]}
        await own.request("message.edit", **about, body="Edited")
        await other.expect("message.updated", within=SOON, seq=message["seq"] + 1)
        await other.request("reaction.add", **about, emoji="👍")
        event = await own.expect("message.updated", within=SOON, seq=message["seq"] + 2)
        assert event["message"]["reactions"] == {"👍": {"count": 1, "user_ids": [bob.id]}}
        await other.request("read", chat_id=chat["id"], seq=event["seq"])
        await own.expect("read", within=SOON + 0.5, user_id=bob.id, seq=event["seq"])
        await own.request("read", chat_id=chat["id"], seq=event["seq"])
        await second.expect("read", within=SOON + 0.5, user_id=alice.id, seq=event["seq"])
        await own.send("typing", chat_id=chat["id"])
        await other.expect("typing", within=SOON, user_id=alice.id)
        await second.nothing("typing")
        await alice.patch(f"/chats/{chat['id']}", title="Renamed")
        await other.expect("chat.updated", within=SOON)


async def test_membership_crosses_between_nodes_within_a_second(trio: Trio) -> None:
    alice, _, bob = trio
    async with alice.socket() as own, bob.socket() as other:
        chat = await alice.group_chat()
        await alice.post(f"/chats/{chat['id']}/members", user_id=bob.id)
        added = await other.expect("chat.added", within=SOON)
        assert added["chat"]["id"] == chat["id"]
        message = await alice.say(chat["id"], "Hello")
        await other.expect("message.created", within=SOON, seq=message["seq"])
        assert (await other.request("message.send", chat_id=chat["id"], nonce="n", body="Hi"))["type"] == "ack"
        for socket in (own, other):
            await socket.expect("message.created", within=SOON, seq=message["seq"] + 1)
        await alice.delete(f"/chats/{chat['id']}/members/{bob.id}")
        await other.expect("chat.removed", within=SOON, chat_id=chat["id"])
        refused = await other.request("message.send", chat_id=chat["id"], nonce="m", body="Hi")
        assert refused["code"] == "not_found"
        await alice.say(chat["id"], "Secret")
        private = await bob.private_chat(alice)
        await own.expect("chat.added", within=SOON)
        await alice.say(private["id"], "A clock: what was said before it has arrived")
        await other.expect("message.created", within=SOON, chat_id=private["id"])
        await other.nothing("message.created", chat_id=chat["id"])


async def test_presence_crosses_between_nodes(trio: Trio) -> None:
    alice, alice_west, bob = trio
    await alice.group_chat(bob)
    async with bob.socket() as other:
        async with alice.socket(), alice_west.socket():
            await told(other, online={alice.id}, within=SOON + 0.5)
        await told(other, offline={alice.id}, within=4)
        async with alice.socket() as own:
            assert bob.id in own.hello["online"]


async def test_both_sides_learn_across_nodes_who_is_online_when_someone_joins(trio: Trio) -> None:
    alice, _, bob = trio
    async with alice.socket() as own, bob.socket() as other:
        await alice.private_chat(bob)
        await told(own, online={bob.id})
        await told(other, online={alice.id})


async def test_typing_at_two_nodes_is_shown_at_most_every_two_seconds(trio: Trio) -> None:
    alice, alice_west, bob = trio
    chat = await alice.group_chat(bob)
    async with alice.socket() as own, alice_west.socket() as second, bob.socket() as other:
        await own.send("typing", chat_id=chat["id"])
        await other.expect("typing")
        first = time.monotonic()

        async def type_away() -> None:
            while True:
                for socket in (second, own):
                    await socket.send("typing", chat_id=chat["id"])
                await asyncio.sleep(0.05)

        typing = asyncio.create_task(type_away())
        await other.expect("typing")
        waited = time.monotonic() - first
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)
    assert waited > THROTTLE - 0.1


async def test_a_session_ended_on_one_node_closes_its_connections_on_the_other(trio: Trio) -> None:
    alice, alice_west, _ = trio
    async with alice.socket() as own, alice_west.socket() as ended:
        assert (await alice_west.get("/me")).status_code == 200
        await alice.delete(f"/sessions/{alice_west.session_id}")
        assert (await alice_west.get("/me")).status_code == 401
        assert await ended.closed(within=SOON) == 4401
        assert (await own.request("ping"))["type"] == "pong"


async def test_what_changed_on_one_node_is_read_on_the_other_at_once(trio: Trio) -> None:
    alice, alice_west, bob = trio
    chat = await alice.group_chat(bob)
    path = f"/chats/{chat['id']}"
    for number in range(5):
        message = await alice.say(chat["id"], f"Message {number}")
        assert (await bob.get(f"{path}/messages")).json()["messages"][0] == message
        await alice.patch(f"{path}/messages/{message['id']}", body=f"Edited {number}")
        assert (await bob.get(f"{path}/messages")).json()["messages"][0]["body"] == f"Edited {number}"
        await alice.patch(path, title=f"Title {number}")
        assert (await bob.get(path)).json()["title"] == f"Title {number}"
        await alice.patch("/me", display_name=f"Name {number}")
        assert (await alice_west.get("/me")).json()["display_name"] == f"Name {number}"
        await alice.delete(f"{path}/members/{bob.id}")
        assert (await bob.get(path)).status_code == 404
        assert (await bob.get(f"{path}/messages")).status_code == 404
        await alice.post(f"{path}/members", user_id=bob.id)
        assert (await bob.get(path)).status_code == 200


async def test_numbers_have_no_holes_across_nodes_and_everyone_hears_them_in_order(trio: Trio) -> None:
    alice, alice_west, bob = trio
    chat = await alice.group_chat(bob)
    async with alice.socket() as one, alice_west.socket() as two, bob.socket() as three:
        sockets = [one, two, three]
        for number in range(30):
            for name, socket in enumerate(sockets):
                fields = {"chat_id": chat["id"], "nonce": f"{name}-{number}", "body": "Hello"}
                await socket.send("message.send", **fields)
        await hears(sockets, chat["id"], after=chat["seq"], upto=chat["seq"] + 90, within=20)


async def test_what_is_sent_on_one_node_while_one_connects_to_the_other_appears_exactly_once(trio: Trio) -> None:
    alice, _, bob = trio
    chat = await alice.group_chat(bob)
    async with alice.socket() as sending, AsyncExitStack() as open_sockets:

        async def talk() -> None:
            for number in range(60):
                await sending.request("message.send", chat_id=chat["id"], nonce=f"{number}", body="Hello")

        talking = asyncio.create_task(talk())
        readers: list[Socket] = []
        while len(readers) < 12 and not talking.done():
            readers.append(await open_sockets.enter_async_context(bob.socket()))
        await talking
        last = chat["seq"] + 60
        for socket in readers:
            after = own_chat(socket, chat["id"])["seq"]
            if after < last:
                await hears([socket], chat["id"], after=after, upto=last)


async def test_a_node_that_stops_or_dies_takes_its_presence_with_it_and_loses_nothing_it_acknowledged(
    nodes: Nodes, start_server: StartServer, new_person: NewPerson
) -> None:
    stopping, dying = await asyncio.gather(start_server(**nodes.settings), start_server(**nodes.settings))
    alice, bob, carol = [await new_person(url=node.url) for node in (nodes.east, stopping, dying)]
    chat = await alice.group_chat(bob, carol)
    async with alice.socket() as watching, bob.socket() as stopped, carol.socket() as dead:
        await told(watching, online={bob.id, carol.id})
        for number in range(40):
            for socket in (stopped, dead):
                fields = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": "Hello"}
                await socket.send("message.send", id=number, **fields)
        await eventually(lambda: acknowledged(stopped) and acknowledged(dead))
        await dying.kill()
        await stopping.stop()
        assert [await socket.closed() for socket in (stopped, dead)] == [1012, 1006]
        page = (await alice.get(f"/chats/{chat['id']}/messages", limit=100)).json()
        assert {message["id"] for message in page["messages"]} >= acknowledged(stopped) | acknowledged(dead)
        await told(watching, offline={bob.id}, within=4)
        await told(watching, offline={carol.id}, within=15)


async def test_a_node_that_stands_still_takes_its_presence_with_it_until_it_goes_on(
    nodes: Nodes, new_person: NewPerson
) -> None:
    alice, bob = await new_person(url=nodes.east.url), await new_person(url=nodes.west.url)
    chat = await alice.group_chat(bob)
    async with alice.socket() as watching, bob.socket() as other:
        await told(watching, online={bob.id})
        nodes.west.pause()
        try:
            await told(watching, offline={bob.id}, within=15)
            message = await alice.say(chat["id"], "Are you there?")
        finally:
            nodes.west.resume()
        await told(watching, online={bob.id}, within=10)
        # As an event that Redis kept for it, or from the database.
        heard = {"chat_id": chat["id"], "seq": message["seq"]}
        await eventually(lambda: any(heard.items() <= frame.items() for frame in other.waiting))


async def test_what_a_node_committed_and_told_nobody_before_it_was_killed_is_heard_within_two_seconds(
    nodes: Nodes, start_server: StartServer, new_person: NewPerson
) -> None:
    way = LossyRedis(nodes.redis.port)
    await way.start()
    try:
        dying = await start_server(**nodes.settings | {"REDIS_URL": way.url})
        alice, bob = await new_person(url=dying.url), await new_person(url=nodes.west.url)
        old, new = await alice.group_chat(bob), await alice.group_chat()
        async with bob.socket() as listening:
            way.hang()
            done = [
                asyncio.create_task(alice.say(old["id"], "My last words")),
                asyncio.create_task(alice.post(f"/chats/{new['id']}/members", user_id=bob.id)),
            ]
            await until(lambda: are_committed(bob, old, new), otherwise=dying.output)
            await dying.kill()
            page = await listening.expect("sync", within=UNHEARD, chat_id=old["id"])
            assert [message["body"] for message in page["messages"]] == ["My last words"]
            assert (await listening.expect("chat.added", within=UNHEARD))["chat"]["id"] == new["id"]
            await listening.nothing("message.created")
            await asyncio.gather(*done, return_exceptions=True)
    finally:
        await way.stop()


async def are_committed(person: Person, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether the chat that one was in has moved on, and one is in the other."""
    numbers = {chat["id"]: chat["seq"] for chat in (await person.get("/chats")).json()["chats"]}
    return numbers[old["id"]] > old["seq"] and new["id"] in numbers


def acknowledged(socket: Socket) -> set[str]:
    """The ids of the messages whose `ack` has come."""
    return {frame["message"]["id"] for frame in socket.waiting if frame["type"] == "ack"}


async def test_without_redis_messages_flow_and_the_other_node_reads_them_from_the_database(
    trio: Trio, nodes: Nodes
) -> None:
    alice, alice_west, bob = trio
    chat = await alice.group_chat(bob)
    async with alice.socket() as own, alice.socket() as near, bob.socket() as other:
        await own.request("message.send", chat_id=chat["id"], nonce="before", body="Hello")
        await hears([own, near, other], chat["id"], after=chat["seq"], upto=chat["seq"] + 1)
        await nodes.redis.stop()
        try:
            answer = await own.request("message.send", chat_id=chat["id"], nonce="without", body="Hello")
            assert answer["type"] == "ack"
            await near.expect("message.created", seq=chat["seq"] + 2)
            healed = await other.expect("sync", within=8, chat_id=chat["id"])
            assert ("re" in healed, [message["nonce"] for message in healed["messages"]]) == (False, ["without"])
            async with alice_west.socket() as ended:
                await alice.delete(f"/sessions/{alice_west.session_id}")
                assert await ended.closed(within=2) == 4401
        finally:
            await nodes.redis.start()
        await until(lambda: heard_as_event(own, other, chat["id"]), within=15, otherwise=lambda: str(other.waiting))


async def heard_as_event(sending: Socket, receiving: Socket, chat_id: str) -> bool:
    """Say something and tell whether it came as an event within a second, not from the database."""
    answer = await sending.request("message.send", chat_id=chat_id, nonce=uuid4().hex, body="Hello")
    try:
        await receiving.expect("message.created", within=SOON, seq=answer["message"]["seq"])
    except AssertionError:
        return False
    return True
