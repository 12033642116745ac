from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.support.socket import Frame, Socket
from tests.ws.conftest import SYNC_CHANGES


async def sync(socket: Socket, chats: dict[str, int]) -> dict[str, Frame]:
    """Ask for several chats and return the answer about each."""
    await socket.send("sync", id="sync", chats=chats)
    answers: dict[str, Frame] = {}
    while answers.keys() != chats.keys():
        frame = await next_answer(socket, "sync")
        answers[frame["chat_id"]] = frame
    return answers


async def next_answer(socket: Socket, request_id: str) -> Frame:
    """The next frame that answers a request, whatever its type."""
    await socket.request("ping")
    while True:
        for frame in socket.waiting:
            if frame.get("re") == request_id:
                socket.waiting.remove(frame)
                return frame
        await socket.request("ping")


async def members_of(person: Person, chat_id: str) -> list[dict[str, Any]]:
    """The members of a chat over REST."""
    found: list[dict[str, Any]] = (await person.get(f"/chats/{chat_id}/members")).json()["members"]
    return found


async def test_sync_answers_with_all_that_changed_since_a_number_and_nothing_older(new_person: NewPerson) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(bob)
    path = f"/chats/{chat['id']}"
    await alice.say(chat["id"], "Known")
    edited, deleted, reacted = [await alice.say(chat["id"], f"Message {number}") for number in range(3)]
    known = reacted["seq"]
    new = await bob.say(chat["id"], "New")
    await alice.patch(f"{path}/messages/{edited['id']}", body="Edited")
    await alice.delete(f"{path}/messages/{deleted['id']}")
    await bob.put(f"{path}/messages/{reacted['id']}/reactions/👍")
    await alice.post(f"{path}/members", user_id=carol.id)
    await alice.delete(f"{path}/members/{bob.id}")
    renamed = (await alice.patch(path, title="Renamed")).json()
    async with alice.socket() as socket:
        answer = (await sync(socket, {chat["id"]: known}))[chat["id"]]
    assert (answer["type"], answer["re"], answer["more"], answer["reset"]) == ("sync", "sync", False, False)
    assert answer["seq"] == renamed["seq"] == known + 7
    assert answer["chat"] == renamed
    assert [message["id"] for message in answer["messages"]] == [
        new["id"],
        edited["id"],
        deleted["id"],
        reacted["id"],
    ]
    assert [message["version"] for message in answer["messages"]] == list(range(known + 1, known + 5))
    assert [(member["user"]["id"], member["version"]) for member in answer["members"]] == [
        (carol.id, known + 5),
        (bob.id, known + 6),
    ]
    assert answer["members"][0]["left_at"] is None
    assert answer["members"][1]["left_at"] is not None
    assert {user["id"] for user in answer["users"]} == {alice.id, bob.id, carol.id}
    assert answer["reads"].keys() == {alice.id, carol.id}


async def test_sync_from_the_chats_own_number_finds_nothing_new(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    message = await alice.say(chat["id"], "Hello")
    async with alice.socket() as socket:
        answer = (await sync(socket, {chat["id"]: message["seq"]}))[chat["id"]]
    assert (answer["messages"], answer["members"], answer["more"], answer["reset"]) == ([], [], False, False)
    assert (answer["seq"], answer["reads"]) == (message["seq"], {alice.id: message["seq"]})


async def test_pages_of_sync_lead_to_the_present_without_holes_or_repetitions(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    async with alice.socket() as socket:
        for number in range(230):
            await socket.send("message.send", chat_id=chat["id"], nonce=f"n{number}", body=f"{number}")
        await socket.request("history", chat_id=chat["id"])
        since = 0
        versions: list[int] = []
        pages: list[Frame] = []
        while not pages or pages[-1]["more"]:
            pages.append((await sync(socket, {chat["id"]: since}))[chat["id"]])
            changed = [*pages[-1]["messages"], *pages[-1]["members"]]
            versions += sorted(one["version"] for one in changed)
            assert all(since < one["version"] <= pages[-1]["seq"] for one in changed)
            since = pages[-1]["seq"]
    assert len(pages) == 3
    assert versions == [chat["seq"], *range(chat["seq"], chat["seq"] + 231)]
    assert since == chat["seq"] + 230


async def test_a_number_beyond_the_chats_starts_afresh(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    message = await alice.say(chat["id"], "Hello")
    async with alice.socket() as socket:
        answer = (await sync(socket, {chat["id"]: message["seq"] + 1}))[chat["id"]]
    assert (answer["reset"], answer["more"], answer["seq"]) == (True, False, message["seq"])
    assert answer["messages"] == [message]
    members = sorted(answer["members"], key=lambda member: member["user"]["id"])
    assert members == sorted(await members_of(alice, chat["id"]), key=lambda member: member["user"]["id"])


async def test_what_missed_too_much_starts_afresh(limited: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person(url=limited.url)
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        for number in range(SYNC_CHANGES + 1):
            await socket.request("message.send", chat_id=chat["id"], nonce=f"n{number}", body=f"{number}")
        last = chat["seq"] + SYNC_CHANGES + 1
        afresh = (await sync(socket, {chat["id"]: chat["seq"]}))[chat["id"]]
        catching_up = (await sync(socket, {chat["id"]: chat["seq"] + 1}))[chat["id"]]
    assert (afresh["reset"], afresh["more"], afresh["seq"]) == (True, False, last)
    assert [message["seq"] for message in afresh["messages"]] == list(range(last - 49, last + 1))
    assert [member["user"]["id"] for member in afresh["members"]] == [alice.id]
    assert (catching_up["reset"], catching_up["more"]) == (False, False)


async def test_one_request_asks_for_several_chats_and_learns_which_are_gone(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    kept, lost, foreign = await alice.group_chat(bob), await alice.group_chat(bob), await alice.group_chat()
    private = await bob.private_chat(alice)
    await alice.delete(f"/chats/{lost['id']}/members/{bob.id}")
    made_up = str(uuid4())
    asked = {kept["id"]: 0, lost["id"]: 0, private["id"]: 0, foreign["id"]: 0, made_up: 0}
    async with bob.socket() as socket:
        answers = await sync(socket, asked)
    assert {chat_id: answer["type"] for chat_id, answer in answers.items()} == {
        kept["id"]: "sync",
        private["id"]: "sync",
        lost["id"]: "chat.removed",
        foreign["id"]: "chat.removed",
        made_up: "chat.removed",
    }
    assert all(answer["re"] == "sync" for answer in answers.values())
    assert answers[private["id"]]["chat"]["peer"]["id"] == alice.id


async def test_sync_of_a_chat_shows_what_was_sent_before_it_and_nothing_sent_after(new_person: NewPerson) -> None:
    alice = await new_person()
    chat = await alice.group_chat()
    async with alice.socket() as socket:
        for number in range(20):
            for when in ("before", "after"):
                if when == "after":
                    await socket.send("sync", id=f"sync-{number}", chats={chat["id"]: chat["seq"]})
                nonce = f"{when}-{number}"
                await socket.send("message.send", chat_id=chat["id"], nonce=nonce, body="Hello")
        for number in range(20):
            found = await next_answer(socket, f"sync-{number}")
            assert found["messages"][-1]["nonce"] == f"before-{number}"


async def test_history_is_newest_first_and_goes_on_before_a_number(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    chat = await alice.group_chat(bob)
    sent = [await alice.say(chat["id"], f"Message {number}") for number in range(7)]
    async with bob.socket() as socket:
        first = await socket.request("history", chat_id=chat["id"], limit=3)
        second = await socket.request("history", chat_id=chat["id"], limit=3, before=first["messages"][-1]["seq"])
        third = await socket.request("history", chat_id=chat["id"], limit=3, before=second["messages"][-1]["seq"])
        whole = await socket.request("history", chat_id=chat["id"])
        nothing = await socket.request("history", chat_id=chat["id"], before=0)
    assert [first["more"], second["more"], third["more"], whole["more"]] == [True, True, False, False]
    assert first["messages"] + second["messages"] + third["messages"] == whole["messages"] == sent[::-1]
    assert (first["type"], first["chat_id"]) == ("history", chat["id"])
    assert (nothing["messages"], nothing["more"]) == ([], False)


@pytest.mark.parametrize("limit", [0, -1, 101, 2**62])
async def test_a_page_size_outside_its_limits_is_refused(administrator: Person, limit: int) -> None:
    chat = await administrator.group_chat()
    async with administrator.socket() as socket:
        refused = await socket.request("history", chat_id=chat["id"], limit=limit)
        assert (refused["code"], refused["field"]) == ("validation_failed", "limit")
        assert (await socket.request("history", chat_id=chat["id"], limit=100))["type"] == "history"
