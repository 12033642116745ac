from typing import Any
from uuid import uuid4

import pytest

from tests.rest.checks import CHAT, MESSAGE, done, fits, refused
from tests.rest.conftest import Group
from tests.support.person import UNKNOWN_ID


async def test_a_sent_message_has_its_number_and_its_safe_html(group: Group) -> None:
    sent = done(await group.member.post(f"{group.path}/messages", body="  Hello **all** <script> "), 201, MESSAGE)
    assert (sent["seq"], sent["version"], sent["author_id"], sent["chat_id"]) == (2, 2, group.member.id, group.id)
    assert sent["body"] == "Hello **all** <script>"
    assert "<strong>all</strong>" in sent["html"]
    assert "<script" not in sent["html"]
    assert (sent["nonce"], sent["reply_to"], sent["edited_at"], sent["deleted"]) == (None, None, None, False)
    assert (sent["reactions"], sent["attachments"]) == ({}, [])


async def test_the_others_have_it_unread_and_its_sender_has_not(group: Group) -> None:
    sent = await group.owner.say(group.id, "one")
    await group.owner.say(group.id, "two")
    own = done(await group.owner.get(group.path), shape=CHAT)
    others = done(await group.member.get(group.path), shape=CHAT)
    assert (own["unread"], own["read_seq"], own["seq"]) == (0, 3, 3)
    assert (others["unread"], others["read_seq"], others["last_message"]["body"]) == (2, 1, "two")
    assert sent["seq"] == 2


@pytest.mark.parametrize("body", ["x", "x" * 16_000, f"\n {'x' * 16_000}\t", "\N{GRINNING FACE}" * 16_000, "a\nb"])
async def test_a_body_may_be_at_the_edge_of_its_limits(group: Group, body: str) -> None:
    sent = done(await group.owner.post(f"{group.path}/messages", body=body), 201, MESSAGE)
    assert sent["body"] == body.strip()
    edited = done(await group.owner.patch(f"{group.path}/messages/{sent['id']}", body=body), shape=MESSAGE)
    assert edited == sent


@pytest.mark.parametrize(
    ("body", "says"), [("", "1 to 16000"), (" \n ", "1 to 16000"), ("x" * 16_001, "1 to 16000"), ("a\x00b", "NUL")]
)
async def test_a_body_outside_its_limits_is_refused(group: Group, body: str, says: str) -> None:
    sent = await group.owner.say(group.id, "Hello")
    for response in (
        await group.owner.post(f"{group.path}/messages", body=body),
        await group.owner.patch(f"{group.path}/messages/{sent['id']}", body=body),
    ):
        refused(response, 422, "validation_failed", field="body", says=says)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "body"),
        ({"body": None}, "body"),
        ({"body": 5}, "body"),
        ({"body": ["x"]}, "body"),
        ({"body": "x", "nonce": ""}, "nonce"),
        ({"body": "x", "nonce": "n" * 65}, "nonce"),
        ({"body": "x", "nonce": "\N{SNOWMAN}"}, "nonce"),
        ({"body": "x", "nonce": "a\tb"}, "nonce"),
        ({"body": "x", "nonce": "\x7f"}, "nonce"),
        ({"body": "x", "nonce": 5}, "nonce"),
        ({"body": "x", "reply_to": "x"}, "reply_to"),
        ({"body": "x", "reply_to": UNKNOWN_ID}, "reply_to"),
    ],
    ids=str,
)
async def test_a_malformed_message_is_refused_with_the_field(
    group: Group, fields: dict[str, Any], field: str
) -> None:
    response = await group.owner.post(f"{group.path}/messages", **fields)
    refused(response, 422, "validation_failed", field=field)
    assert done(await group.owner.get(group.path))["seq"] == 1


@pytest.mark.parametrize("nonce", ["n", "n" * 64, " ~!/"])
async def test_a_known_nonce_answers_with_its_message(group: Group, nonce: str) -> None:
    sent = done(await group.owner.post(f"{group.path}/messages", body="first", nonce=nonce), 201, MESSAGE)
    assert sent["nonce"] == nonce
    again = await group.owner.post(f"{group.path}/messages", body="x" * 16_001, nonce=nonce, reply_to=str(uuid4()))
    assert done(again, 200, MESSAGE) == sent
    assert done(await group.owner.get(group.path))["seq"] == sent["seq"]


async def test_a_known_nonce_answers_with_the_message_as_it_is_now_in_a_closed_chat_too(group: Group) -> None:
    sent = await group.member.say(group.id, "first", nonce="n")
    done(await group.member.patch(f"{group.path}/messages/{sent['id']}", body="edited"))
    done(await group.owner.put(f"{group.path}/messages/{sent['id']}/reactions/\N{THUMBS UP SIGN}"))
    done(await group.owner.post(f"{group.path}/close"))
    again = done(await group.member.post(f"{group.path}/messages", body="first", nonce="n"), 200, MESSAGE)
    assert again["body"] == "edited"
    assert again["reactions"] == {"\N{THUMBS UP SIGN}": {"count": 1, "user_ids": [group.owner.id]}}
    refused(await group.member.post(f"{group.path}/messages", body="new", nonce="m"), 409, "chat_closed")


async def test_a_known_nonce_of_one_who_left_answers_nothing(group: Group) -> None:
    await group.member.say(group.id, "first", nonce="n")
    done(await group.member.delete(f"{group.path}/members/{group.member.id}"), 204)
    refused(await group.member.post(f"{group.path}/messages", body="first", nonce="n"), 404, "not_found")


async def test_a_nonce_is_its_authors_own_in_its_chat(group: Group) -> None:
    other = await group.owner.group_chat(group.member)
    sent = [
        await group.owner.say(group.id, "a", nonce="n"),
        await group.member.say(group.id, "b", nonce="n"),
        await group.owner.say(other["id"], "c", nonce="n"),
    ]
    assert [message["body"] for message in sent] == ["a", "b", "c"]


async def test_one_replies_to_a_message_of_the_same_chat_only(group: Group) -> None:
    first = await group.owner.say(group.id, "question")
    reply = await group.member.say(group.id, "answer", reply_to=first["id"])
    assert reply["reply_to"] == first["id"]
    other = await group.owner.group_chat(group.member)
    response = await group.owner.post(f"/chats/{other['id']}/messages", body="x", reply_to=first["id"])
    refused(response, 422, "validation_failed", field="reply_to")


async def test_an_edit_takes_a_number_and_the_same_text_takes_none(group: Group) -> None:
    sent = await group.member.say(group.id, "Hello")
    path = f"{group.path}/messages/{sent['id']}"
    edited = done(await group.member.patch(path, body=" Hello *you* "), shape=MESSAGE)
    assert (edited["seq"], edited["version"], edited["body"]) == (2, 3, "Hello *you*")
    assert "<em>you</em>" in edited["html"]
    assert edited["edited_at"] is not None
    assert done(await group.member.patch(path, body="Hello *you*"), shape=MESSAGE) == edited
    assert done(await group.owner.get(f"{group.path}/messages"))["messages"] == [edited]


async def test_a_deleted_message_stays_without_its_text_and_its_reactions(group: Group) -> None:
    sent = await group.member.say(group.id, "secret", nonce="n")
    path = f"{group.path}/messages/{sent['id']}"
    done(await group.owner.put(f"{path}/reactions/\N{THUMBS UP SIGN}"))
    done(await group.member.delete(path), 204)
    [message] = done(await group.owner.get(f"{group.path}/messages"))["messages"]
    fits(message, MESSAGE)
    assert (message["body"], message["html"], message["deleted"], message["reactions"]) == (None, None, True, {})
    assert (message["seq"], message["version"], message["nonce"]) == (2, 4, "n")
    assert done(await group.owner.get(group.path))["unread"] == 1
    done(await group.member.delete(path), 204)
    assert done(await group.owner.get(group.path))["seq"] == 4
    refused(await group.member.patch(path, body="again"), 404, "not_found")
    refused(await group.member.put(f"{path}/reactions/\N{THUMBS UP SIGN}"), 404, "not_found")
    refused(await group.member.get(f"{path}/reactions"), 404, "not_found")


async def test_a_message_is_found_in_its_own_chat_only(group: Group) -> None:
    other = await group.owner.group_chat(group.member)
    sent = await group.owner.say(other["id"], "elsewhere")
    for message_id in (sent["id"], str(uuid4())):
        path = f"{group.path}/messages/{message_id}"
        refused(await group.owner.patch(path, body="x"), 404, "not_found")
        refused(await group.owner.delete(path), 404, "not_found")
        refused(await group.owner.get(f"{path}/reactions"), 404, "not_found")
        refused(await group.owner.put(f"{path}/reactions/\N{THUMBS UP SIGN}"), 404, "not_found")
        refused(await group.owner.delete(f"{path}/reactions/\N{THUMBS UP SIGN}"), 404, "not_found")


async def test_messages_come_in_pages_newest_first(group: Group) -> None:
    for number in range(5):
        await group.owner.say(group.id, f"message {number}")
    first = done(await group.member.get(f"{group.path}/messages", limit=2))
    assert set(first) == {"messages", "more"}
    assert ([one["body"] for one in first["messages"]], first["more"]) == (["message 4", "message 3"], True)
    before = first["messages"][-1]["seq"]
    second = done(await group.member.get(f"{group.path}/messages", limit=2, before=before))
    assert ([one["body"] for one in second["messages"]], second["more"]) == (["message 2", "message 1"], True)
    before = second["messages"][-1]["seq"]
    last = done(await group.member.get(f"{group.path}/messages", limit=2, before=before))
    assert ([one["body"] for one in last["messages"]], last["more"]) == (["message 0"], False)
    assert done(await group.member.get(f"{group.path}/messages", before=0)) == {"messages": [], "more": False}
    exact = done(await group.member.get(f"{group.path}/messages", limit=5))
    assert (len(exact["messages"]), exact["more"]) == (5, False)


async def test_a_page_has_fifty_messages_unless_asked_and_a_hundred_at_most(group: Group) -> None:
    for number in range(101):
        await group.owner.say(group.id, str(number))
    for query, length in (({}, 50), ({"limit": 1}, 1), ({"limit": 100}, 100)):
        page = done(await group.member.get(f"{group.path}/messages", **query))
        assert (len(page["messages"]), page["more"]) == (length, True)
        assert page["messages"][0]["body"] == "100"


@pytest.mark.parametrize("call", ["messages", "changes"])
@pytest.mark.parametrize("limit", ["0", "101", "-1", "9" * 40])
async def test_a_page_size_outside_its_limits_is_refused(group: Group, call: str, limit: str) -> None:
    response = await group.owner.get(f"{group.path}/{call}", since=0, limit=limit)
    refused(response, 422, "validation_failed", field="limit", says="1 to 100")


@pytest.mark.parametrize("call", ["messages", "changes"])
@pytest.mark.parametrize("limit", ["x", "1.5", ""])
async def test_a_page_size_that_is_no_number_is_refused(group: Group, call: str, limit: str) -> None:
    response = await group.owner.get(f"{group.path}/{call}", since=0, limit=limit)
    refused(response, 422, "validation_failed", field="limit")


@pytest.mark.parametrize("before", ["-1", str(2**63), "x", ""])
async def test_a_position_that_is_no_number_of_a_chat_is_refused(group: Group, before: str) -> None:
    refused(await group.owner.get(f"{group.path}/messages", before=before), 422, "validation_failed", field="before")


async def test_the_newest_page_is_never_older_than_the_last_change(group: Group) -> None:
    path = f"{group.path}/messages"
    sent = await group.owner.say(group.id, "first")
    assert done(await group.member.get(path))["messages"][0]["body"] == "first"
    done(await group.owner.patch(f"{path}/{sent['id']}", body="second"))
    assert done(await group.member.get(path))["messages"][0]["body"] == "second"
