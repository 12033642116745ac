import asyncio
from uuid import uuid4

import pytest

from tests.conftest import NewPerson
from tests.support.person import UNKNOWN_ID, Person
from tests.support.socket import Frame, Socket
from tests.ws.helpers import numbered, numbers

REFUSED_WRITES: list[tuple[str, dict[str, str]]] = [
    ("message.send", {"nonce": "n", "body": "Hello"}),
    ("message.edit", {"message_id": UNKNOWN_ID, "body": "Hello"}),
    ("message.delete", {"message_id": UNKNOWN_ID}),
    ("reaction.add", {"message_id": UNKNOWN_ID, "emoji": "👍"}),
    ("reaction.remove", {"message_id": UNKNOWN_ID, "emoji": "👍"}),
    ("read", {"seq": "1"}),
    ("history", {}),
]


async def say(socket: Socket, chat_id: str, body: str = "Hello", **fields: str) -> Frame:
    """Send a message and return it as the `ack` shows it."""
    answer = await socket.request("message.send", **{"chat_id": chat_id, "nonce": uuid4().hex, "body": body} | fields)
    assert answer["type"] == "ack", answer
    message: Frame = answer["message"]
    return message


async def test_a_send_is_acknowledged_with_the_message_as_rest_shows_it(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        answer = await socket.request("message.send", chat_id=chat["id"], nonce="n-1", body="  Some *text*  ")
    page = (await alice.get(f"/chats/{chat['id']}/messages")).json()
    assert answer["type"] == "ack"
    assert answer["message"] == page["messages"][0]
    assert answer["message"]["body"] == "Some *text*"
    assert answer["message"]["html"] == "<p>Some <em>text</em></p>\n"
    assert answer["message"]["nonce"] == "n-1"
    assert answer["message"]["author_id"] == alice.id


async def test_a_send_reaches_every_connection_of_every_member_and_nobody_else(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    await alice.group_chat(bob, stranger, title="Another")
    async with (
        alice.socket() as sender,
        alice.socket() as second,
        bob.socket() as other,
        stranger.socket() as outside,
    ):
        message = await say(sender, chat["id"])
        events = [await socket.expect("message.created") for socket in (sender, second, other)]
        await outside.nothing("message.created")
    expected = {"type": "message.created", "chat_id": chat["id"], "seq": chat["seq"] + 1, "message": message}
    assert events == [expected] * 3


async def test_a_message_sent_over_rest_is_an_event_too(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.private_chat(bob)
    async with bob.socket() as socket:
        message = await alice.say(chat["id"], "Hello")
        assert (await socket.expect("message.created"))["message"] == message


@pytest.mark.parametrize("request_id", [1, 0, -5, 2**53, "a", "", "x" * 128, "ünïcode"])
async def test_an_answer_carries_the_id_of_its_request(administrator: Person, request_id: int | str) -> None:
    chat = await administrator.group_chat()
    async with administrator.socket() as socket:
        await socket.send("message.send", id=request_id, chat_id=chat["id"], nonce="n", body="Hello")
        assert (await socket.expect("ack"))["re"] == request_id
        await socket.send("message.send", id=request_id, chat_id=chat["id"], nonce="", body="Hello")
        assert (await socket.expect("error"))["re"] == request_id
        await socket.send("ping", id=request_id)
        assert await socket.expect("pong") == {"type": "pong", "re": request_id}


async def test_a_request_without_id_is_answered_all_the_same(administrator: Person) -> None:
    async with administrator.socket() as socket:
        await socket.send("ping")
        assert (await socket.expect("pong")).get("re") is None


async def test_a_known_nonce_answers_with_the_message_as_it_is_now_and_announces_nothing(
    new_person: NewPerson,
) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        first = await say(socket, chat["id"], "First", nonce="n-1")
        await socket.request("message.edit", chat_id=chat["id"], message_id=first["id"], body="Edited")
        await alice.post(f"/chats/{chat['id']}/close")
        again = await say(socket, chat["id"], "Second", nonce="n-1")
        assert (again["id"], again["body"]) == (first["id"], "Edited")
        await socket.nothing("message.created", seq=again["version"] + 2)
        assert numbers(socket, chat["id"]) == [first["seq"], first["seq"] + 1, first["seq"] + 2]


async def test_many_attempts_at_one_send_make_one_message(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as first, alice.socket() as second:
        answers = await asyncio.gather(
            *(say(socket, chat["id"], nonce="n-1") for socket in (first, second) for _ in range(10))
        )
        assert len({message["id"] for message in answers}) == 1
        await second.nothing("error")
        assert numbers(second, chat["id"]) == [chat["seq"] + 1]


async def test_two_people_may_use_the_same_nonce(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with alice.socket() as one, bob.socket() as other:
        first, second = await say(one, chat["id"], nonce="n-1"), await say(other, chat["id"], nonce="n-1")
    assert first["id"] != second["id"]


async def test_a_message_may_answer_another_of_its_chat(new_person: NewPerson) -> None:
    alice = await new_person()
    chat, another = await alice.group_chat(), await alice.group_chat()
    elsewhere = await alice.say(another["id"], "Elsewhere")
    async with alice.socket() as socket:
        first = await say(socket, chat["id"])
        assert (await say(socket, chat["id"], reply_to=first["id"]))["reply_to"] == first["id"]
        refused = await socket.request(
            "message.send", chat_id=chat["id"], nonce="n", body="Hello", reply_to=elsewhere["id"]
        )
    assert (refused["code"], refused["field"]) == ("validation_failed", "reply_to")


async def test_edits_reactions_and_deletions_are_acknowledged_and_announced_to_all(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    async with alice.socket() as own, bob.socket() as other, stranger.socket() as outside:
        message = await say(own, chat["id"])
        about = {"chat_id": chat["id"], "message_id": message["id"]}
        changes: list[tuple[Socket, str, dict[str, str]]] = [
            (own, "message.edit", {"body": "Edited"}),
            (other, "reaction.add", {"emoji": "👍"}),
            (own, "reaction.add", {"emoji": "👍"}),
            (own, "reaction.remove", {"emoji": "👍"}),
            (own, "message.delete", {}),
        ]
        states = []
        for number, (socket, kind, fields) in enumerate(changes, start=message["seq"] + 1):
            answer = await socket.request(kind, **about, **fields)
            assert (answer["type"], answer["message"]["version"]) == ("ack", number)
            events = [await one.expect("message.updated", chat_id=chat["id"]) for one in (own, other)]
            assert events[0] == events[1]
            states.append(events[0]["message"])
            assert events[0]["seq"] == states[-1]["version"] == number
            assert states[-1]["seq"] == message["seq"]
        await outside.nothing("message.updated")
    assert states[0]["body"] == "Edited"
    assert states[0]["edited_at"] is not None
    assert states[1]["reactions"] == {"👍": {"count": 1, "user_ids": [bob.id]}}
    assert states[2]["reactions"] == {"👍": {"count": 2, "user_ids": [bob.id, alice.id]}}
    assert states[3]["reactions"] == {"👍": {"count": 1, "user_ids": [bob.id]}}
    assert (states[4]["deleted"], states[4]["body"], states[4]["html"], states[4]["reactions"]) == (
        True,
        None,
        None,
        {},
    )


async def test_an_event_is_the_same_for_all_though_an_answer_names_oneself_first(new_person: NewPerson) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob, carol)
    message = await alice.say(chat["id"], "Hello")
    reacting = {"chat_id": chat["id"], "message_id": message["id"], "emoji": "🎉"}
    async with alice.socket() as one, bob.socket() as two, carol.socket() as three:
        for socket in (one, two):
            await socket.request("reaction.add", **reacting)
        answer = await three.request("reaction.add", **reacting)
        last = [await socket.expect("message.updated", seq=chat["seq"] + 4) for socket in (one, two, three)]
    assert answer["message"]["reactions"]["🎉"]["user_ids"] == [carol.id, alice.id, bob.id]
    assert last[0] == last[1] == last[2]
    assert last[0]["message"]["reactions"]["🎉"]["user_ids"] == [alice.id, bob.id, carol.id]


async def test_what_changes_nothing_takes_no_number_and_is_no_event(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        message = await say(socket, chat["id"], "Hello")
        about = {"chat_id": chat["id"], "message_id": message["id"]}
        await socket.request("reaction.add", **about, emoji="👍")
        last = (await socket.expect("message.updated"))["seq"]
        unchanged = [
            await socket.request("reaction.add", **about, emoji="👍"),
            await socket.request("reaction.remove", **about, emoji="🎉"),
            await socket.request("message.edit", **about, body=" Hello "),
        ]
        assert [(answer["type"], answer["message"]["version"]) for answer in unchanged] == [("ack", last)] * 3
        await socket.request("message.delete", **about)
        deleted = await socket.request("message.delete", **about)
        assert deleted["message"]["version"] == last + 1
        await socket.nothing("error")
        assert numbers(socket, chat["id"]) == [message["seq"], last + 1]


async def test_only_the_author_edits_and_only_the_author_and_the_owner_delete(new_person: NewPerson) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob, carol)
    message = await bob.say(chat["id"], "Hello")
    about = {"chat_id": chat["id"], "message_id": message["id"]}
    async with alice.socket() as owner, carol.socket() as member:
        for socket in (owner, member):
            refused = await socket.request("message.edit", **about, body="Forged")
            assert (refused["type"], refused["code"]) == ("error", "forbidden")
        assert (await member.request("message.delete", **about))["code"] == "forbidden"
        assert (await owner.request("message.delete", **about))["type"] == "ack"


@pytest.mark.parametrize(("kind", "fields"), REFUSED_WRITES)
async def test_one_who_is_not_in_a_chat_cannot_tell_that_it_exists(
    new_person: NewPerson, kind: str, fields: dict[str, str]
) -> None:
    alice, stranger = await new_person(), await new_person()
    chat = await alice.group_chat()
    typed = {name: int(value) if name == "seq" else value for name, value in fields.items()}
    async with stranger.socket() as socket:
        real = await socket.request(kind, chat_id=chat["id"], **typed)
        made_up = await socket.request(kind, chat_id=str(uuid4()), **typed)
    assert (real["type"], real["code"]) == ("error", "not_found")
    assert real["detail"] == made_up["detail"]


async def test_a_closed_chat_takes_reading_and_read_marks_but_no_writing(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    message = await bob.say(chat["id"], "Hello")
    await alice.post(f"/chats/{chat['id']}/close")
    about = {"chat_id": chat["id"], "message_id": message["id"]}
    async with bob.socket() as socket:
        refused = [
            await socket.request("message.send", chat_id=chat["id"], nonce="n", body="Hello"),
            await socket.request("message.edit", **about, body="Edited"),
            await socket.request("message.delete", **about),
            await socket.request("reaction.add", **about, emoji="👍"),
            await socket.request("reaction.remove", **about, emoji="👍"),
        ]
        assert [answer["code"] for answer in refused] == ["chat_closed"] * 5
        assert (await socket.request("read", chat_id=chat["id"], seq=99))["type"] == "ack"
        assert (await socket.request("history", chat_id=chat["id"]))["messages"][0]["id"] == message["id"]
        assert (await socket.request("sync", chats={chat["id"]: 0}))["chat"]["closed_at"] is not None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"body": ""}, "body"),
        ({"body": " \n\t "}, "body"),
        ({"body": "x" * 16_001}, "body"),
        ({"body": "a\u0000b"}, "body"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": "x" * 65}, "nonce"),
        ({"nonce": "é"}, "nonce"),
        ({"nonce": "a\nb"}, "nonce"),
        ({"reply_to": UNKNOWN_ID}, "reply_to"),
    ],
)
async def test_a_message_outside_its_limits_is_refused_by_the_name_of_its_field(
    administrator: Person, fields: dict[str, str], field: str
) -> None:
    chat = await administrator.group_chat()
    async with administrator.socket() as socket:
        request = {"chat_id": chat["id"], "nonce": "n", "body": "Hello"} | fields
        refused = await socket.request("message.send", **request)
        assert (refused["type"], refused["code"], refused["field"]) == ("error", "validation_failed", field)
        await socket.nothing("message.created")
        assert numbered(socket, chat["id"]) == []


async def test_a_message_of_the_greatest_length_and_of_any_script_passes(administrator: Person) -> None:
    chat = await administrator.group_chat()
    async with administrator.socket() as socket:
        for body in ("x" * 16_000, "👩‍👩‍👧‍👦" * 1000, "שלום 你好 \u202e"):
            assert (await say(socket, chat["id"], body))["body"] == body


@pytest.mark.parametrize("emoji", ["", "a", "👍👍", "\u0000", ":thumbsup:", "👍" * 1000])
async def test_what_is_not_one_emoji_is_no_reaction(administrator: Person, emoji: str) -> None:
    chat = await administrator.group_chat()
    message = await administrator.say(chat["id"], "Hello")
    async with administrator.socket() as socket:
        for kind in ("reaction.add", "reaction.remove"):
            refused = await socket.request(kind, chat_id=chat["id"], message_id=message["id"], emoji=emoji)
            assert (refused["code"], refused["field"]) == ("validation_failed", "emoji")
