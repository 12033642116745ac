from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewPerson
from tests.rest.checks import CHAT, MEMBER, done, fits, refused
from tests.rest.conftest import Group
from tests.support.person import UNKNOWN_ID, Person
from tests.support.server import ParleyServer


async def test_a_new_group_belongs_to_who_made_it(pair: tuple[Person, Person]) -> None:
    ada, bob = pair
    made = await ada.post("/chats", kind="group", title="  Family ", member_ids=[bob.id, bob.id, ada.id])
    chat = done(made, 201, CHAT)
    assert (chat["kind"], chat["title"], chat["owner_id"], chat["peer"]) == ("group", "Family", ada.id, None)
    assert (chat["seq"], chat["read_seq"], chat["unread"]) == (1, 1, 0)
    assert (chat["last_message"], chat["closed_at"]) == (None, None)
    assert done(await bob.get(f"/chats/{chat['id']}"), shape=CHAT) == chat


async def test_a_group_may_begin_with_one_person(administrator: Person) -> None:
    done(await administrator.post("/chats", kind="group", title="Notes"), 201, CHAT)


async def test_a_pair_has_one_private_chat_whoever_asks(pair: tuple[Person, Person]) -> None:
    ada, bob = pair
    chat = done(await ada.post("/chats", kind="private", member_ids=[bob.id]), 201, CHAT)
    assert (chat["kind"], chat["title"], chat["owner_id"]) == ("private", None, None)
    assert chat["peer"]["id"] == bob.id
    again = done(await bob.post("/chats", kind="private", title=" ", member_ids=[ada.id, bob.id]), 200, CHAT)
    assert again["id"] == chat["id"]
    assert again["peer"]["id"] == ada.id


@pytest.mark.parametrize("title", ["x", "x" * 80, f"  {'x' * 80}  ", "\N{GRINNING FACE}" * 80])
async def test_a_title_may_be_at_the_edge_of_its_limits(group: Group, title: str) -> None:
    made = done(await group.owner.post("/chats", kind="group", title=title), 201, CHAT)
    assert made["title"] == title.strip()
    assert done(await group.owner.patch(group.path, title=title), shape=CHAT)["title"] == title.strip()


@pytest.mark.parametrize("title", ["", "  ", "x" * 81, "a\x00b", "a\nb", "\N{RIGHT-TO-LEFT OVERRIDE}a"])
async def test_a_title_outside_its_limits_is_refused(group: Group, title: str) -> None:
    says = "1 to 80" if not title.strip() or len(title) > 80 else "control"
    for response in (
        await group.owner.post("/chats", kind="group", title=title),
        await group.owner.patch(group.path, title=title),
    ):
        refused(response, 422, "validation_failed", field="title", says=says)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "kind"),
        ({"kind": "channel", "title": "T"}, "kind"),
        ({"kind": "group"}, "title"),
        ({"kind": "group", "title": None}, "title"),
        ({"kind": "group", "title": 7}, "title"),
        ({"kind": "group", "title": "T", "member_ids": None}, "member_ids"),
        ({"kind": "group", "title": "T", "member_ids": "x"}, "member_ids"),
        ({"kind": "group", "title": "T", "member_ids": ["x"]}, "member_ids"),
        ({"kind": "group", "title": "T", "member_ids": [UNKNOWN_ID]}, "member_ids"),
        ({"kind": "private"}, "member_ids"),
        ({"kind": "private", "member_ids": []}, "member_ids"),
        ({"kind": "private", "member_ids": [UNKNOWN_ID]}, "member_ids"),
    ],
    ids=str,
)
async def test_a_malformed_chat_is_refused_with_the_field(
    administrator: Person, fields: dict[str, Any], field: str
) -> None:
    refused(await administrator.post("/chats", **fields), 422, "validation_failed", field=field)


async def test_a_private_chat_has_two_people_and_no_title(group: Group) -> None:
    owner, member, stranger = group.owner, group.member, group.stranger
    both = await owner.post("/chats", kind="private", member_ids=[member.id, stranger.id])
    refused(both, 422, "validation_failed", field="member_ids")
    alone = await owner.post("/chats", kind="private", member_ids=[owner.id])
    refused(alone, 422, "validation_failed", field="member_ids")
    titled = await owner.post("/chats", kind="private", title="Us", member_ids=[stranger.id])
    refused(titled, 422, "validation_failed", field="title")


async def test_a_chat_has_at_most_as_many_members_as_the_setting_says(limited: ParleyServer, address: str) -> None:
    async with (
        Person.registered(limited.url) as ada,
        Person.registered(limited.url) as bob,
        Person.registered(limited.url) as eve,
        Person.registered(limited.url) as dan,
    ):
        too_many = await ada.post("/chats", kind="group", title="T", member_ids=[bob.id, eve.id, dan.id])
        refused(too_many, 422, "validation_failed", field="member_ids", says="3")
        chat = await ada.group_chat(bob, eve)
        refused(await ada.post(f"/chats/{chat['id']}/members", user_id=dan.id), 409, "conflict", says="3")
        done(await eve.delete(f"/chats/{chat['id']}/members/{eve.id}"), 204)
        done(await ada.post(f"/chats/{chat['id']}/members", user_id=dan.id), 201, MEMBER)


async def test_one_lists_ones_chats_the_one_with_the_newest_message_first(new_person: NewPerson) -> None:
    ada, bob = await new_person(), await new_person()
    first, second = await ada.group_chat(bob, title="First"), await ada.group_chat(title="Second")
    private = await ada.private_chat(bob)
    await ada.say(first["id"], "newest")
    found = done(await ada.get("/chats"))
    assert set(found) == {"chats"}
    for chat in found["chats"]:
        fits(chat, CHAT)
    assert [chat["id"] for chat in found["chats"]] == [first["id"], private["id"], second["id"]]
    assert found["chats"][0]["last_message"]["body"] == "newest"
    assert {chat["id"] for chat in done(await bob.get("/chats"))["chats"]} == {first["id"], private["id"]}


async def test_who_has_no_chats_gets_an_empty_list(new_person: NewPerson) -> None:
    assert done(await (await new_person()).get("/chats")) == {"chats": []}


async def test_a_rename_takes_a_number_and_the_same_title_takes_none(group: Group) -> None:
    renamed = done(await group.owner.patch(group.path, title="New"), shape=CHAT)
    assert (renamed["title"], renamed["seq"]) == ("New", 2)
    again = done(await group.owner.patch(group.path, title=" New "), shape=CHAT)
    assert again["seq"] == 2
    assert done(await group.member.get(group.path))["title"] == "New"


async def test_a_closed_chat_is_read_and_reopened(group: Group) -> None:
    closed = done(await group.owner.post(f"{group.path}/close"), shape=CHAT)
    assert closed["closed_at"] is not None
    assert closed["seq"] == 2
    assert done(await group.member.get(group.path), shape=CHAT)["closed_at"] == closed["closed_at"]
    refused(await group.owner.post(f"{group.path}/close"), 409, "chat_closed")
    reopened = done(await group.owner.post(f"{group.path}/reopen"), shape=CHAT)
    assert (reopened["closed_at"], reopened["seq"]) == (None, 3)
    assert done(await group.owner.post(f"{group.path}/reopen"), shape=CHAT)["seq"] == 3
    await group.member.say(group.id, "open again")


async def test_ownership_is_handed_to_a_member(group: Group) -> None:
    handed = done(await group.owner.post(f"{group.path}/transfer", user_id=group.member.id), shape=CHAT)
    assert (handed["owner_id"], handed["seq"]) == (group.member.id, 2)
    refused(await group.owner.patch(group.path, title="Mine"), 403, "forbidden")
    done(await group.member.patch(group.path, title="Yours"), shape=CHAT)
    roles = {
        one["user"]["id"]: one["role"] for one in done(await group.owner.get(f"{group.path}/members"))["members"]
    }
    assert roles == {group.owner.id: "member", group.member.id: "owner"}


async def test_handing_over_to_oneself_changes_nothing(group: Group) -> None:
    handed = done(await group.owner.post(f"{group.path}/transfer", user_id=group.owner.id), shape=CHAT)
    assert (handed["owner_id"], handed["seq"]) == (group.owner.id, 1)


async def test_ownership_is_not_handed_to_one_who_is_no_member(group: Group) -> None:
    done(await group.member.delete(f"{group.path}/members/{group.member.id}"), 204)
    for heir in (group.stranger.id, group.member.id, str(uuid4())):
        response = await group.owner.post(f"{group.path}/transfer", user_id=heir)
        refused(response, 422, "validation_failed", field="user_id")
