import asyncio
import time

from tests.conftest import NewPerson
from tests.ws.helpers import own_chat

THROTTLE = 2.0


async def test_typing_is_shown_to_the_others_and_has_no_answer(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    async with (
        alice.socket() as own,
        alice.socket() as second,
        bob.socket() as other,
        stranger.socket() as outside,
    ):
        await own.send("typing", id="typing", chat_id=chat["id"])
        event = await other.expect("typing")
        assert event == {"type": "typing", "chat_id": chat["id"], "user_id": alice.id}
        for socket in (own, second, outside):
            await socket.nothing("typing")
        assert all(frame.get("re") != "typing" for frame in own.waiting)


async def test_typing_is_shown_at_most_every_two_seconds_for_a_person_and_chat(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat, another = await alice.group_chat(bob), await alice.group_chat(bob)
    async with alice.socket() as own, alice.socket() as second, bob.socket() as other:

        async def type_away() -> None:
            while True:
                for socket in (own, second):
                    await socket.send("typing", chat_id=chat["id"])
                await asyncio.sleep(0.05)

        typing = asyncio.create_task(type_away())
        await other.expect("typing", chat_id=chat["id"])
        first = time.monotonic()
        await own.send("typing", chat_id=another["id"])
        await other.expect("typing", chat_id=another["id"])
        await other.expect("typing", chat_id=chat["id"])
        waited = time.monotonic() - first
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)
        await other.nothing("typing", chat_id=chat["id"])
    assert THROTTLE - 0.1 < waited < THROTTLE + 1


async def test_typing_where_one_is_not_a_member_does_nothing(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    message = await alice.say(chat["id"], "Hello")
    async with alice.socket() as owner, bob.socket() as left:
        await left.send("typing", chat_id=chat["id"])
        await owner.expect("typing")
        await bob.delete(f"/chats/{chat['id']}/members/{bob.id}")
        await left.send("typing", chat_id=chat["id"])
        await left.send("typing", chat_id=message["id"])
        # An answered request to the same chats, so that both have been looked at.
        await left.request("history", chat_id=chat["id"])
        await left.request("history", chat_id=message["id"])
        await owner.nothing("typing")
        await left.nothing("error", re=None)


async def test_a_read_mark_is_acknowledged_and_shown_to_all_members(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    message = await alice.say(chat["id"], "Hello")
    async with (
        alice.socket() as other,
        bob.socket() as own,
        bob.socket() as second,
        stranger.socket() as outside,
    ):
        assert own_chat(own, chat["id"])["unread"] == 1
        answer = await own.request("read", chat_id=chat["id"], seq=message["seq"])
        assert (answer["type"], "message" in answer) == ("ack", False)
        for socket in (other, own, second):
            event = await socket.expect("read", user_id=bob.id)
            assert event == {
                "type": "read",
                "chat_id": chat["id"],
                "user_id": bob.id,
                "seq": message["seq"],
            }
        await outside.nothing("read")
    assert (await bob.get(f"/chats/{chat['id']}")).json()["unread"] == 0


async def test_of_many_marks_at_once_only_the_last_goes_out(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    messages = [await alice.say(chat["id"], f"Message {number}") for number in range(8)]
    async with alice.socket() as other, bob.socket() as own:
        for message in messages:
            await own.send("read", chat_id=chat["id"], seq=message["seq"])
        heard = [(await other.expect("read", user_id=bob.id))["seq"]]
        while heard[-1] < messages[-1]["seq"]:
            heard.append((await other.expect("read", user_id=bob.id))["seq"])
    assert len(heard) <= 2
    assert heard == sorted(heard)


async def test_sending_moves_ones_own_mark_and_says_so(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with alice.socket() as own, bob.socket() as other:
        message = await alice.say(chat["id"], "Hello")
        for socket in (own, other):
            assert (await socket.expect("read", user_id=alice.id))["seq"] == message["seq"]


async def test_a_mark_never_goes_back_and_never_beyond_the_chat(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    last = (await alice.say(chat["id"], "Hello"))["seq"]
    async with bob.socket() as own:
        assert (await own.request("read", chat_id=chat["id"], seq=2**63 - 1))["type"] == "ack"
        assert (await own.expect("read", user_id=bob.id))["seq"] == last
        for seq in (0, last - 1, last):
            assert (await own.request("read", chat_id=chat["id"], seq=seq))["type"] == "ack"
        message = await alice.say(chat["id"], "One more")
        await own.expect("read", user_id=alice.id, seq=message["seq"])
        await own.nothing("read", user_id=bob.id)
    seen = (await bob.get(f"/chats/{chat['id']}")).json()
    assert (seen["read_seq"], seen["unread"]) == (last, 1)


async def test_one_who_left_hears_no_marks_any_more(new_person: NewPerson) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob, carol)
    message = await alice.say(chat["id"], "Hello")
    async with bob.socket() as left, carol.socket() as member:
        await bob.delete(f"/chats/{chat['id']}/members/{bob.id}")
        await left.expect("chat.removed")
        left.waiting.clear()
        await carol.post(f"/chats/{chat['id']}/read", seq=message["seq"])
        await member.expect("read", user_id=carol.id)
        await left.nothing("read")
