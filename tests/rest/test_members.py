from uuid import uuid4

from tests.conftest import NewPerson
from tests.rest.checks import CHAT, MEMBER, done, fits, refused
from tests.rest.conftest import Group


async def test_members_are_listed_by_name_with_their_roles(group: Group) -> None:
    found = done(await group.member.get(f"{group.path}/members"))
    assert set(found) == {"members"}
    for member in found["members"]:
        fits(member, MEMBER)
        assert member["left_at"] is None
    assert [(member["user"]["display_name"], member["role"]) for member in found["members"]] == [
        ("Max Member", "member"),
        ("Olga Owner", "owner"),
    ]


async def test_a_new_member_sees_the_whole_history_and_starts_with_everything_read(group: Group) -> None:
    await group.owner.say(group.id, "before")
    joined = done(await group.owner.post(f"{group.path}/members", user_id=group.stranger.id), 201, MEMBER)
    assert (joined["user"]["id"], joined["role"], joined["version"]) == (group.stranger.id, "member", 3)
    chat = done(await group.stranger.get(group.path), shape=CHAT)
    assert (chat["unread"], chat["read_seq"], chat["seq"]) == (0, 3, 3)
    page = done(await group.stranger.get(f"{group.path}/messages"))
    assert [message["body"] for message in page["messages"]] == ["before"]


async def test_adding_a_member_again_changes_nothing(group: Group) -> None:
    again = done(await group.owner.post(f"{group.path}/members", user_id=group.member.id), 200, MEMBER)
    assert again["version"] == 1
    assert done(await group.owner.get(group.path))["seq"] == 1


async def test_nobody_who_does_not_exist_is_added(group: Group) -> None:
    response = await group.owner.post(f"{group.path}/members", user_id=str(uuid4()))
    refused(response, 422, "validation_failed", field="user_id")


async def test_one_who_was_removed_knows_the_chat_no_more(group: Group) -> None:
    done(await group.owner.delete(f"{group.path}/members/{group.member.id}"), 204)
    refused(await group.member.get(group.path), 404, "not_found")
    assert group.id not in {chat["id"] for chat in done(await group.member.get("/chats"))["chats"]}
    refused(await group.owner.delete(f"{group.path}/members/{group.member.id}"), 404, "not_found")
    done(await group.owner.post(f"{group.path}/members", user_id=group.member.id), 201, MEMBER)
    done(await group.member.get(group.path), shape=CHAT)


async def test_one_who_never_was_a_member_cannot_be_removed(group: Group) -> None:
    for nobody in (group.stranger.id, str(uuid4())):
        refused(await group.owner.delete(f"{group.path}/members/{nobody}"), 404, "not_found")


async def test_any_member_leaves_a_closed_chat_too(group: Group) -> None:
    done(await group.owner.post(f"{group.path}/close"))
    done(await group.member.delete(f"{group.path}/members/{group.member.id}"), 204)
    refused(await group.member.get(group.path), 404, "not_found")


async def test_an_owner_hands_over_before_leaving(group: Group) -> None:
    refused(await group.owner.delete(f"{group.path}/members/{group.owner.id}"), 409, "conflict")
    done(await group.owner.post(f"{group.path}/transfer", user_id=group.member.id))
    done(await group.owner.delete(f"{group.path}/members/{group.owner.id}"), 204)
    assert done(await group.member.get(group.path), shape=CHAT)["owner_id"] == group.member.id


async def test_an_owner_who_is_alone_leaves_and_the_chat_closes(new_person: NewPerson) -> None:
    ada = await new_person()
    chat = await ada.group_chat()
    async with ada.socket() as socket:
        done(await ada.delete(f"/chats/{chat['id']}/members/{ada.id}"), 204)
        await socket.expect("chat.removed", chat_id=chat["id"])
    refused(await ada.get(f"/chats/{chat['id']}"), 404, "not_found")
    refused(await ada.post(f"/chats/{chat['id']}/reopen"), 404, "not_found")
