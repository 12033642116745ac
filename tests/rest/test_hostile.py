"""What no honest client sends: each gets a problem document, and the server goes on."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.rest.checks import done, refused
from tests.rest.conftest import Group
from tests.support.person import PASSWORD, UNKNOWN_ID, Person

HALF = "\ud800"

HALF_TEXTS = [
    ("POST", "/chats", {"kind": "group", "title": f"a{HALF}"}, "title"),
    ("PATCH", "/chats/{chat}", {"title": f"a{HALF}"}, "title"),
    ("POST", "/chats/{chat}/messages", {"body": f"a{HALF}"}, "body"),
    ("POST", "/chats/{chat}/messages", {"body": "a", "nonce": HALF}, "nonce"),
    ("PATCH", "/chats/{chat}/messages/{message}", {"body": f"a{HALF}"}, "body"),
    ("PATCH", "/me", {"display_name": f"a{HALF}"}, "display_name"),
    ("POST", "/auth/login", {"username": f"a{HALF}", "password": PASSWORD}, "username"),
    ("POST", "/auth/login", {"username": "ada", "password": PASSWORD + HALF}, "password"),
    ("POST", "/auth/register", {"username": "ada-" + HALF, "password": PASSWORD}, "username"),
    ("POST", "/auth/register", {"username": "ada-half", "password": PASSWORD + HALF}, "password"),
    ("POST", "/auth/register", {"username": "ada-half", "password": PASSWORD, "display_name": HALF}, "display_name"),
    ("POST", "/auth/register", {"username": "ada-half", "password": PASSWORD, "invite": HALF}, "invite"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), HALF_TEXTS, ids=ascii)
async def test_half_of_a_surrogate_pair_is_refused_in_every_text(
    group: Group, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    sent = await group.owner.say(group.id, "Hello")
    response = await group.owner.request(
        method,
        path.format(chat=group.id, message=sent["id"]),
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    refused(response, 422, "validation_failed", field=field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"7",
        b"NaN",
        b"\x00",
        b'{"kind": "group", "title": "\xff\xfe"}',
        b'{"kind": "group", "title": "\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"kind":' * 30_000,
        b'{"kind": "group", "title": "T", "member_ids": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"kind": ' + b"9" * 5_000 + b"}",
        b'{"kind": "group", "title": 1e999999}',
        b'{"kind": {"$ne": null}, "title": {"$gt": ""}}',
    ],
    ids=lambda body: f"{body[:24]!r} of {len(body)}",
)
async def test_a_body_that_is_not_what_the_call_takes_is_refused(administrator: Person, body: bytes) -> None:
    response = await administrator.request(
        "POST", "/chats", content=body, headers={"Content-Type": "application/json"}
    )
    field = response.json().get("field")
    assert field in {"body", "kind", "title", "member_ids"}
    refused(response, 422, "validation_failed", field=field)


NO_IDS = ["x", "%00", "1", "-1", "null", "9" * 100, UNKNOWN_ID[:-1], f"{UNKNOWN_ID}0", "%ff", "' OR 1=1"]


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/users/{id}", "user_id"),
        ("DELETE", "/sessions/{id}", "session_id"),
        ("GET", "/chats/{id}", "chat_id"),
        ("GET", "/chats/{id}/messages", "chat_id"),
        ("DELETE", "/chats/{chat}/members/{id}", "user_id"),
        ("DELETE", "/chats/{chat}/messages/{id}", "message_id"),
        ("GET", "/chats/{chat}/messages/{id}/reactions", "message_id"),
    ],
)
async def test_malformed_ids_are_refused(group: Group, method: str, path: str, field: str) -> None:
    for no_id in NO_IDS:
        response = await group.owner.request(method, path.format(chat=group.id, id=no_id))
        refused(response, 422, "validation_failed", field=field)


@pytest.mark.parametrize("value", ["x", "", None, 7, [], {}, UNKNOWN_ID[:-1]])
@pytest.mark.parametrize("call", ["transfer", "members"])
async def test_a_malformed_person_in_a_body_is_refused(group: Group, call: str, value: object) -> None:
    refused(await group.owner.post(f"{group.path}/{call}", user_id=value), 422, "validation_failed", field="user_id")


async def test_unknown_fields_are_ignored(administrator: Person) -> None:
    done(await administrator.post("/chats", kind="group", title="T", id=str(uuid4()), owner_id="x", seq=99), 201)
    assert done(await administrator.patch("/me", display_name="Root", is_admin=False))["is_admin"] is True


async def test_a_member_cannot_make_an_administrator_of_themselves(group: Group) -> None:
    assert done(await group.member.patch("/me", display_name="Max Member", is_admin=True))["is_admin"] is False
