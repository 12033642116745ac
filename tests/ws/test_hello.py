import asyncio
from contextlib import AsyncExitStack

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.support.socket import Socket
from tests.ws.helpers import hears, own_chat

ROUNDS = 12
SENDERS = 4
SENDS = 25
READERS = 15


async def test_hello_says_who_one_is_and_when_the_session_ends(new_person: NewPerson) -> None:
    alice = await new_person(display_name="Alice")
    sessions = (await alice.get("/sessions")).json()["sessions"]
    async with alice.socket() as socket:
        hello = socket.hello
    assert hello["protocol"] == 1
    assert hello["user"] == (await alice.get("/me")).json()
    assert hello["session_expires_at"] == sessions[0]["expires_at"]
    assert (hello["chats"], hello["users"], hello["online"]) == ([], [], [])


async def test_hello_tells_an_administrator_that_they_are_one(administrator: Person) -> None:
    async with administrator.socket() as socket:
        assert socket.hello["user"]["is_admin"] is True


async def test_hello_shows_the_chats_as_rest_shows_them(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    group, private = await alice.group_chat(bob), await bob.private_chat(alice)
    await alice.say(group["id"], "Hello")
    async with bob.socket() as socket:
        assert socket.hello["chats"] == (await bob.get("/chats")).json()["chats"]
        assert own_chat(socket, group["id"])["unread"] == 1
        assert own_chat(socket, group["id"])["last_message"]["body"] == "Hello"
        assert own_chat(socket, private["id"])["peer"]["id"] == alice.id


async def test_hello_names_the_people_that_its_chats_refer_to(new_person: NewPerson) -> None:
    alice, bob, carol, stranger = [await new_person() for _ in range(4)]
    group = await alice.group_chat(bob)
    await bob.private_chat(carol)
    await alice.say(group["id"], "Hello")
    async with bob.socket() as socket:
        named = {user["id"] for user in socket.hello["users"]}
    assert {alice.id, carol.id} <= named
    assert stranger.id not in named


async def test_hello_names_only_those_online_who_share_a_chat(new_person: NewPerson) -> None:
    alice, bob, away, stranger = [await new_person() for _ in range(4)]
    await alice.group_chat(bob, away)
    async with alice.socket(), stranger.socket(), bob.socket() as socket:
        assert socket.hello["online"] == [alice.id]


async def talk(socket: Socket, chat_id: str, times: int) -> None:
    for number in range(times):
        answer = await socket.request("message.send", chat_id=chat_id, nonce=f"talk-{number}", body="Hello")
        assert answer["type"] == "ack", answer


async def test_what_is_sent_while_one_connects_appears_exactly_once(new_person: NewPerson) -> None:
    people = [await new_person() for _ in range(SENDERS)]
    reader = await new_person()
    chat = await people[0].group_chat(*people[1:], reader)
    async with AsyncExitStack() as open_sockets:
        sending = [await open_sockets.enter_async_context(person.socket()) for person in people]
        senders = [asyncio.create_task(talk(socket, chat["id"], SENDS)) for socket in sending]
        readers: list[Socket] = []
        while len(readers) < READERS and not all(sender.done() for sender in senders):
            readers.append(await open_sockets.enter_async_context(reader.socket()))
            shown = own_chat(readers[-1], chat["id"])
            assert shown["last_message"] is None or shown["last_message"]["seq"] == shown["seq"]
        await asyncio.gather(*senders)
        last = chat["seq"] + SENDERS * SENDS
        assert len(readers) > 2
        for socket in readers:
            after = own_chat(socket, chat["id"])["seq"]
            if after < last:
                await hears([socket], chat["id"], after=after, upto=last)
            await socket.nothing("sync")


async def test_the_only_one_to_hear_a_chat_misses_nothing_that_is_sent_while_they_connect(
    new_person: NewPerson,
) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    seq = chat["seq"]
    for _ in range(ROUNDS):
        sending = asyncio.create_task(alice.say(chat["id"], "Hello"))
        async with bob.socket() as socket:
            seq = (await sending)["seq"]
            if own_chat(socket, chat["id"])["seq"] < seq:
                await socket.expect("message.created", seq=seq)
            await socket.nothing("message.created")


async def test_a_chat_made_while_one_connects_appears_exactly_once(
    server: ParleyServer, new_person: NewPerson
) -> None:
    alice, bob = await new_person(), await new_person()
    for number in range(ROUNDS):
        making = asyncio.create_task(alice.group_chat(bob, title=f"Chat {number}"))
        async with bob.socket() as socket:
            chat = await making
            told = [frame for frame in socket.waiting if frame["type"] == "chat.added"]
            in_hello = [found for found in socket.hello["chats"] if found["id"] == chat["id"]]
            if not in_hello and not told:
                told = [await socket.expect("chat.added")]
            assert len(in_hello) + len(told) == 1
            await alice.say(chat["id"], "Hello")
            assert (await socket.expect("message.created", chat_id=chat["id"]))["seq"] == chat["seq"] + 1


async def test_one_removed_while_connecting_hears_nothing_of_the_chat_any_more(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    for _ in range(ROUNDS):
        chat = await alice.group_chat(bob)
        removing = asyncio.create_task(alice.delete(f"/chats/{chat['id']}/members/{bob.id}"))
        async with bob.socket() as socket:
            await removing
            in_hello = any(found["id"] == chat["id"] for found in socket.hello["chats"])
            if in_hello:
                await socket.expect("chat.removed", chat_id=chat["id"])
            await alice.say(chat["id"], "Secret")
            await socket.nothing("message.created", chat_id=chat["id"])
