from typing import Any

import pytest

from tests.rest.checks import CHANGES, done, refused
from tests.rest.conftest import Group
from tests.support.person import Person
from tests.support.server import ParleyServer


async def _mark(person: Person, group: Group, seq: int) -> tuple[int, int]:
    done(await person.post(f"{group.path}/read", seq=seq), 204)
    chat = done(await person.get(group.path))
    return chat["read_seq"], chat["unread"]


async def _changes(person: Person, chat_id: str, **query: Any) -> Any:
    return done(await person.get(f"/chats/{chat_id}/changes", **query), shape=CHANGES)


async def test_a_read_mark_goes_forward_only_and_never_beyond_the_chat(group: Group) -> None:
    for body in "abc":
        await group.owner.say(group.id, body)
    assert await _mark(group.member, group, 3) == (3, 1)
    assert await _mark(group.member, group, 2) == (3, 1)
    assert await _mark(group.member, group, 0) == (3, 1)
    assert await _mark(group.member, group, 2**63 - 1) == (4, 0)
    await group.owner.say(group.id, "d")
    assert done(await group.member.get(group.path))["unread"] == 1


async def test_unread_counts_messages_and_nothing_else(group: Group) -> None:
    sent = await group.owner.say(group.id, "a")
    done(await group.owner.patch(f"{group.path}/messages/{sent['id']}", body="b"))
    done(await group.owner.put(f"{group.path}/messages/{sent['id']}/reactions/\N{THUMBS UP SIGN}"))
    done(await group.owner.patch(group.path, title="New"))
    assert done(await group.member.get(group.path))["unread"] == 1
    assert await _mark(group.member, group, 2) == (2, 0)


async def test_a_read_mark_moves_in_a_closed_chat(group: Group) -> None:
    await group.owner.say(group.id, "a")
    done(await group.owner.post(f"{group.path}/close"))
    assert await _mark(group.member, group, 3) == (3, 0)


@pytest.mark.parametrize("seq", [-1, 2**63, 10**40, "1", 1.5, True, None, [], {}])
async def test_a_read_mark_that_is_no_number_of_a_chat_is_refused(group: Group, seq: object) -> None:
    refused(await group.owner.post(f"{group.path}/read", seq=seq), 422, "validation_failed", field="seq")


async def test_changes_since_the_beginning_are_everything(group: Group) -> None:
    sent = await group.owner.say(group.id, "Hello")
    found = await _changes(group.member, group.id, since=0)
    assert (found["chat_id"], found["seq"], found["more"], found["reset"]) == (group.id, 2, False, False)
    assert found["chat"] == done(await group.member.get(group.path))
    assert found["messages"] == [sent]
    everyone = {group.owner.id, group.member.id}
    assert {member["user"]["id"] for member in found["members"]} == everyone
    assert {user["id"] for user in found["users"]} == everyone
    assert found["reads"] == {group.owner.id: 2, group.member.id: 1}


async def test_changes_tell_of_edits_deletions_reactions_and_membership(group: Group) -> None:
    first, second, third = [await group.owner.say(group.id, body) for body in "abc"]
    done(await group.owner.patch(f"{group.path}/messages/{second['id']}", body="B"))
    done(await group.owner.delete(f"{group.path}/messages/{first['id']}"), 204)
    done(await group.member.put(f"{group.path}/messages/{third['id']}/reactions/\N{THUMBS UP SIGN}"))
    done(await group.owner.post(f"{group.path}/members", user_id=group.stranger.id), 201)
    done(await group.member.delete(f"{group.path}/members/{group.member.id}"), 204)
    found = await _changes(group.owner, group.id, since=4)
    assert [(one["id"], one["version"]) for one in found["messages"]] == [
        (second["id"], 5),
        (first["id"], 6),
        (third["id"], 7),
    ]
    joined, left = found["members"]
    assert (joined["user"]["id"], joined["version"], joined["left_at"]) == (group.stranger.id, 8, None)
    assert (left["user"]["id"], left["version"], left["left_at"] is None) == (group.member.id, 9, False)
    assert found["seq"] == 9
    again = await _changes(group.owner, group.id, since=9)
    assert (again["messages"], again["members"], again["seq"], again["more"]) == ([], [], 9, False)


async def test_changes_come_in_pages_until_there_are_no_more(group: Group) -> None:
    for number in range(5):
        await group.owner.say(group.id, str(number))
    since, pages = 1, []
    while True:
        page = await _changes(group.member, group.id, since=since, limit=2)
        pages.append([message["body"] for message in page["messages"]])
        since = page["seq"]
        if not page["more"]:
            break
    assert pages == [["0", "1"], ["2", "3"], ["4"]]
    assert since == 6


async def test_a_page_of_changes_never_splits_a_version(group: Group) -> None:
    await group.owner.say(group.id, "later")
    page = await _changes(group.owner, group.id, since=0, limit=1)
    assert [member["version"] for member in page["members"]] == [1, 1]
    assert (page["messages"], page["seq"], page["more"]) == ([], 1, True)


async def test_a_number_higher_than_the_chats_starts_afresh(group: Group) -> None:
    sent = await group.owner.say(group.id, "Hello")
    for since in (3, 2**63 - 1):
        found = await _changes(group.member, group.id, since=since)
        assert (found["reset"], found["more"], found["seq"]) == (True, False, 2)
        assert found["messages"] == [sent]
        assert len(found["members"]) == 2


async def test_more_changes_than_the_setting_says_start_afresh(limited: ParleyServer) -> None:
    async with Person.registered(limited.url) as ada:
        chat = await ada.group_chat()
        for number in range(5):
            await ada.say(chat["id"], str(number))
        found = await _changes(ada, chat["id"], since=2)
        assert (found["reset"], found["more"], len(found["messages"])) == (False, False, 4)
        found = await _changes(ada, chat["id"], since=1)
        assert (found["reset"], found["more"], found["seq"]) == (True, False, 6)
        assert [message["body"] for message in found["messages"]] == ["0", "1", "2", "3", "4"]
        assert len(found["members"]) == 1


@pytest.mark.parametrize("since", [None, "", "-1", "x", str(2**63)])
async def test_changes_are_asked_for_since_a_number(group: Group, since: str | None) -> None:
    query = {} if since is None else {"since": since}
    refused(await group.owner.get(f"{group.path}/changes", **query), 422, "validation_failed", field="since")
