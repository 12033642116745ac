import asyncio
from contextlib import AsyncExitStack, suppress

from tests.conftest import NewPerson
from tests.support.eventually import eventually
from tests.ws.helpers import hears, numbered, numbers

SENDERS = 4
SENDS = 30


async def test_one_connections_sends_to_a_chat_take_effect_in_their_order(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with alice.socket() as socket, bob.socket() as other:
        for number in range(100):
            fields = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": f"{number}"}
            await socket.send("message.send", id=number, **fields)
        last = chat["seq"] + 100
        await hears([socket, other], chat["id"], after=chat["seq"], upto=last)
        bodies = [frame["message"]["body"] for frame in numbered(other, chat["id"])]
        await eventually(lambda: any(frame.get("re") == 99 for frame in socket.waiting))
        acks = [frame["re"] for frame in socket.waiting if frame["type"] == "ack"]
    assert bodies == [str(number) for number in range(100)]
    assert acks == list(range(100))


async def test_requests_that_build_on_each_other_may_be_sent_without_waiting(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        message = await alice.say(chat["id"], "Hello")
        about = {"chat_id": chat["id"], "message_id": message["id"]}
        for round_number in range(10):
            await socket.send("message.edit", id="edit", **about, body=f"Edit {round_number}")
            await socket.send("reaction.add", id="add", **about, emoji="👍")
            await socket.send("reaction.remove", id="remove", **about, emoji="👍")
            await socket.send("history", id="history", chat_id=chat["id"], limit=1)
        await socket.send("message.delete", id="delete", **about)
        await socket.send("message.edit", id="too late", **about, body="Too late")
        assert (await socket.expect("error"))["re"] == "too late"
        answers = [frame for frame in socket.waiting if "re" in frame]
    assert [answer["re"] for answer in answers] == ["edit", "add", "remove", "history"] * 10 + ["delete"]
    shown = [answer["messages"][0] for answer in answers if answer["type"] == "history"]
    assert [message["body"] for message in shown] == [f"Edit {number}" for number in range(10)]
    assert all(message["reactions"] == {} for message in shown)
    assert [answer["message"]["version"] for answer in answers if "message" in answer] == list(
        range(message["seq"] + 1, message["seq"] + 32)
    )


async def test_a_read_mark_follows_the_sends_before_it(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with alice.socket() as socket:
        for number in range(10):
            fields = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": "Hello"}
            await socket.send("message.send", **fields)
        await socket.send("read", id="read", chat_id=chat["id"], seq=2**62)
        await socket.expect("ack", re="read")
    seen = (await alice.get(f"/chats/{chat['id']}")).json()
    assert (seen["read_seq"], seen["unread"]) == (chat["seq"] + 10, 0)


async def test_numbers_have_no_holes_and_everyone_hears_them_in_order(new_person: NewPerson) -> None:
    people = [await new_person() for _ in range(SENDERS)]
    chat = await people[0].group_chat(*people[1:])
    message = await people[0].say(chat["id"], "Hello")
    about = {"chat_id": chat["id"], "message_id": message["id"]}
    async with AsyncExitStack() as open_sockets:
        sockets = [await open_sockets.enter_async_context(person.socket()) for person in people]
        for number in range(SENDS):
            for name, socket in enumerate(sockets):
                fields = {"chat_id": chat["id"], "nonce": f"{name}-{number}", "body": "Hello"}
                await socket.send("message.send", **fields)
                if number % 3 == 0:
                    await socket.send("reaction.add", **about, emoji="👍")
                    await socket.send("reaction.remove", **about, emoji="👍")
        changes = SENDERS * (SENDS + 2 * (SENDS // 3))
        await hears(sockets, chat["id"], after=message["seq"], upto=message["seq"] + changes, within=30)
        for socket in sockets:
            await socket.nothing("sync")
            await socket.nothing("error")
        assert numbered(sockets[0], chat["id"]) == numbered(sockets[-1], chat["id"])


async def test_one_who_is_removed_hears_nothing_numbered_after_the_removal(new_person: NewPerson) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob, carol)
    async with alice.socket() as sending, carol.socket() as also, bob.socket() as removed, bob.socket() as second:

        async def talk() -> None:
            for number in range(10_000):
                for socket in (sending, also):
                    fields = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": "Hello"}
                    assert (await socket.request("message.send", **fields))["type"] == "ack"

        talking = asyncio.create_task(talk())
        await eventually(lambda: len(numbers(removed, chat["id"])) >= 10)
        await alice.delete(f"/chats/{chat['id']}/members/{bob.id}")
        removal = (await also.expect("member.removed"))["seq"]
        await also.expect("message.created", seq=removal + 10, within=15)
        talking.cancel()
        with suppress(asyncio.CancelledError):
            await talking
        for socket in (removed, second):
            await socket.request("ping")
            assert numbers(socket, chat["id"])[-1] == removal - 1
            about = [frame["type"] for frame in socket.waiting if frame.get("chat_id") == chat["id"]]
            assert about[-1] == "chat.removed"
            refused = await socket.request("message.send", chat_id=chat["id"], nonce="n", body="Hello")
            assert refused["code"] == "not_found"


async def test_what_is_sent_after_the_chat_was_closed_is_refused(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with bob.socket() as socket, alice.socket() as other:
        closing = asyncio.create_task(alice.post(f"/chats/{chat['id']}/close"))
        sent: list[str] = []
        while not closing.done():
            sent.append(f"send-{len(sent)}")
            await socket.send("message.send", id=sent[-1], chat_id=chat["id"], nonce=sent[-1], body="Hello")
            await asyncio.sleep(0)
        refused = await socket.request("message.send", chat_id=chat["id"], nonce="n", body="Hello")
        assert refused["code"] == "chat_closed"
        closed = (await other.expect("chat.updated"))["seq"]
        await eventually(lambda: {frame.get("re") for frame in socket.waiting} >= set(sent))
        kinds = [frame["type"] for frame in socket.waiting if frame.get("re") in sent]
        acknowledged = kinds.count("ack")
        assert kinds == ["ack"] * acknowledged + ["error"] * (len(sent) - acknowledged)
        assert closed == chat["seq"] + acknowledged + 1
