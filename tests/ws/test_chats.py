from typing import Any

from tests.conftest import NewPerson
from tests.ws.helpers import own_chat

OWN_FIELDS = {"read_seq", "unread", "last_message", "peer"}


def as_all_see_it(chat: dict[str, Any]) -> dict[str, Any]:
    """A chat without what is for one person."""
    return {name: value for name, value in chat.items() if name not in OWN_FIELDS}


async def test_a_new_chat_is_added_to_all_who_are_in_it_and_to_nobody_else(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    async with alice.socket() as own, bob.socket() as other, stranger.socket() as outside:
        for chat in (await alice.group_chat(bob), await alice.private_chat(bob)):
            events = [await socket.expect("chat.added") for socket in (own, other)]
            assert events[0] == events[1]
            assert events[0]["chat"] == as_all_see_it(chat)
            assert {user["id"] for user in events[0]["users"]} == {alice.id, bob.id}
            await outside.nothing("chat.added")


async def test_a_private_chat_that_exists_is_not_added_again(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    await alice.private_chat(bob)
    async with alice.socket() as own, bob.socket() as other:
        await bob.private_chat(alice)
        await own.nothing("chat.added")
        await other.nothing("chat.added")


async def test_a_new_chat_is_heard_at_once(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    async with bob.socket() as socket:
        chat = await alice.group_chat(bob)
        await alice.say(chat["id"], "Hello")
        kinds = [(await socket.expect(kind))["type"] for kind in ("chat.added", "message.created")]
    assert kinds == ["chat.added", "message.created"]


async def test_renaming_closing_reopening_and_transferring_update_the_chat_for_all(new_person: NewPerson) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    path, changed = f"/chats/{chat['id']}", chat
    async with alice.socket() as own, bob.socket() as other, stranger.socket() as outside:
        for number, change in enumerate(
            [
                alice.patch(path, title="Renamed"),
                alice.post(f"{path}/close"),
                alice.post(f"{path}/reopen"),
                alice.post(f"{path}/transfer", user_id=bob.id),
            ],
            start=chat["seq"] + 1,
        ):
            changed = as_all_see_it((await change).json())
            for socket in (own, other):
                event = await socket.expect("chat.updated")
                assert event == {
                    "type": "chat.updated",
                    "chat_id": chat["id"],
                    "seq": number,
                    "chat": changed,
                }
        await outside.nothing("chat.updated")
    assert changed["title"] == "Renamed"
    assert changed["owner_id"] == bob.id


async def test_one_who_is_added_gets_the_chat_and_the_members_get_the_news(new_person: NewPerson) -> None:
    alice, bob, carol, stranger = [await new_person() for _ in range(4)]
    chat = await alice.group_chat(bob)
    await alice.say(chat["id"], "Hello")
    async with bob.socket() as member, carol.socket() as joining, stranger.socket() as outside:
        await alice.post(f"/chats/{chat['id']}/members", user_id=carol.id)
        added = await joining.expect("chat.added")
        news = await member.expect("member.added")
        await outside.nothing("chat.added")
        await outside.nothing("member.added")
        await alice.say(chat["id"], "Welcome")
        assert (await joining.expect("message.created"))["seq"] == added["chat"]["seq"] + 1
    assert news["seq"] == added["chat"]["seq"] == chat["seq"] + 2
    assert news["user"] == (await alice.get(f"/users/{carol.id}")).json()
    assert {user["id"] for user in added["users"]} == {alice.id, bob.id, carol.id}
    async with carol.socket() as again:
        assert own_chat(again, chat["id"])["unread"] == 1


async def test_one_who_is_removed_or_leaves_loses_the_chat_and_the_members_get_the_news(
    new_person: NewPerson,
) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob, carol)
    async with alice.socket() as owner, bob.socket() as removed, bob.socket() as second, carol.socket() as left:
        await alice.delete(f"/chats/{chat['id']}/members/{bob.id}")
        for socket in (removed, second):
            assert await socket.expect("chat.removed") == {"type": "chat.removed", "chat_id": chat["id"]}
            await socket.nothing("member.removed")
        for socket in (owner, left):
            news = await socket.expect("member.removed")
            assert (news["seq"], news["user"]["id"]) == (chat["seq"] + 1, bob.id)
            await socket.nothing("chat.removed")
        await carol.delete(f"/chats/{chat['id']}/members/{carol.id}")
        await left.expect("chat.removed", chat_id=chat["id"])
        assert (await owner.expect("member.removed"))["user"]["id"] == carol.id
        await alice.say(chat["id"], "Alone")
        for socket in (removed, second, left):
            await socket.nothing("message.created")


async def test_one_who_comes_back_hears_the_chat_again(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with bob.socket() as socket:
        for _ in range(3):
            await alice.delete(f"/chats/{chat['id']}/members/{bob.id}")
            await socket.expect("chat.removed")
            await alice.post(f"/chats/{chat['id']}/members", user_id=bob.id)
            added = await socket.expect("chat.added")
            message = await alice.say(chat["id"], "Hello again")
            event = await socket.expect("message.created")
            assert event["seq"] == message["seq"] == added["chat"]["seq"] + 1
            await socket.nothing("message.created")


async def test_an_owner_who_leaves_alone_loses_the_chat(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        await alice.delete(f"/chats/{chat['id']}/members/{alice.id}")
        await socket.expect("chat.removed", chat_id=chat["id"])
