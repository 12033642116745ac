"""Who may do what: each call by each kind of person, in an open, a closed and a private chat."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.rest.checks import done, refused
from tests.rest.conftest import Group
from tests.support.person import UNKNOWN_ID, Person

UP = "\N{THUMBS UP SIGN}"


@dataclass(frozen=True)
class Call:
    """A call, and what comes of it: a status, or the code of a refusal."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None
    owner: int | str
    member: int | str
    closed_owner: int | str
    closed_member: int | str
    private: int | str


CALLS = [
    Call("read it", "GET", "", None, 200, 200, 200, 200, 200),
    Call("rename it", "PATCH", "", {"title": "New"}, 200, "forbidden", "chat_closed", "forbidden", "forbidden"),
    Call("close it", "POST", "/close", None, 200, "forbidden", "chat_closed", "forbidden", "forbidden"),
    Call("reopen it", "POST", "/reopen", None, 200, "forbidden", 200, "forbidden", "forbidden"),
    Call(
        "hand it over", "POST", "/transfer", {"user_id": "{other}"},
        200, "forbidden", "chat_closed", "forbidden", "forbidden",
    ),
    Call("list its members", "GET", "/members", None, 200, 200, 200, 200, 200),
    Call(
        "add someone", "POST", "/members", {"user_id": "{stranger}"},
        201, "forbidden", "chat_closed", "forbidden", "forbidden",
    ),
    Call(
        "remove another", "DELETE", "/members/{other}", None,
        204, "forbidden", "chat_closed", "forbidden", "forbidden",
    ),
    Call("leave it", "DELETE", "/members/{actor}", None, "conflict", 204, "conflict", 204, "forbidden"),
    Call("read its messages", "GET", "/messages", None, 200, 200, 200, 200, 200),
    Call("send", "POST", "/messages", {"body": "x"}, 201, 201, "chat_closed", "chat_closed", 201),
    Call("edit one's own", "PATCH", "/messages/{own}", {"body": "x"}, 200, 200, "chat_closed", "chat_closed", 200),
    Call(
        "edit another's", "PATCH", "/messages/{others}", {"body": "x"},
        "forbidden", "forbidden", "chat_closed", "chat_closed", "forbidden",
    ),
    Call("delete one's own", "DELETE", "/messages/{own}", None, 204, 204, "chat_closed", "chat_closed", 204),
    Call(
        "delete another's", "DELETE", "/messages/{others}", None,
        204, "forbidden", "chat_closed", "chat_closed", "forbidden",
    ),
    Call("react", "PUT", f"/messages/{{others}}/reactions/{UP}", None, 200, 200, "chat_closed", "chat_closed", 200),
    Call(
        "take back", "DELETE", f"/messages/{{own}}/reactions/{UP}", None,
        204, 204, "chat_closed", "chat_closed", 204,
    ),
    Call("list reactions", "GET", "/messages/{others}/reactions", None, 200, 200, 200, 200, 200),
    Call("move the read mark", "POST", "/read", {"seq": 1}, 204, 204, 204, 204, 204),
    Call("read its changes", "GET", "/changes?since=0", None, 200, 200, 200, 200, 200),
]  # fmt: skip

STATUSES = {"forbidden": 403, "conflict": 409, "chat_closed": 409}

each_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)


@dataclass(frozen=True)
class Place:
    """A chat in which an owner and a member have written, and the names of what is in it."""

    chat_id: str
    written: dict[str, str]
    stranger: str

    @classmethod
    async def of(cls, group: Group, chat_id: str) -> "Place":
        """Have both write into a chat."""
        people = (group.owner, group.member)
        written = {person.id: (await person.say(chat_id, "Hello"))["id"] for person in people}
        return cls(chat_id, written, group.stranger.id)

    async def make(self, call: Call, actor: Person, *, like: Person) -> httpx.Response:
        """Make a call as the actor, about the things of another person perhaps."""
        [(other, others)] = [item for item in self.written.items() if item[0] != like.id]
        names = {
            "actor": like.id,
            "own": self.written[like.id],
            "other": other,
            "others": others,
            "stranger": self.stranger,
        }
        body = call.body and {
            name: value.format(**names) if isinstance(value, str) else value for name, value in call.body.items()
        }
        return await actor.request(call.method, f"/chats/{self.chat_id}{call.path}".format(**names), json=body)


def _came_of(response: httpx.Response, wanted: int | str) -> None:
    if isinstance(wanted, str):
        refused(response, STATUSES[wanted], wanted)
    else:
        assert response.status_code == wanted, response.text


@each_call
async def test_what_an_owner_may_do_in_an_open_chat(group: Group, call: Call) -> None:
    place = await Place.of(group, group.id)
    _came_of(await place.make(call, group.owner, like=group.owner), call.owner)


@each_call
async def test_what_a_member_may_do_in_an_open_chat(group: Group, call: Call) -> None:
    place = await Place.of(group, group.id)
    _came_of(await place.make(call, group.member, like=group.member), call.member)


@each_call
async def test_what_an_owner_may_do_in_a_closed_chat(group: Group, call: Call) -> None:
    place = await Place.of(group, group.id)
    done(await group.owner.post(f"{group.path}/close"))
    _came_of(await place.make(call, group.owner, like=group.owner), call.closed_owner)


@each_call
async def test_what_a_member_may_do_in_a_closed_chat(group: Group, call: Call) -> None:
    place = await Place.of(group, group.id)
    done(await group.owner.post(f"{group.path}/close"))
    _came_of(await place.make(call, group.member, like=group.member), call.closed_member)


@each_call
async def test_what_one_may_do_in_a_private_chat(group: Group, call: Call) -> None:
    place = await Place.of(group, (await group.owner.private_chat(group.member))["id"])
    _came_of(await place.make(call, group.owner, like=group.owner), call.private)


async def test_a_stranger_cannot_tell_a_chat_from_one_that_does_not_exist(group: Group) -> None:
    place = await Place.of(group, group.id)
    nowhere = Place(str(uuid4()), place.written, place.stranger)
    before = done(await group.owner.get(group.path))
    for call in CALLS:
        there = await place.make(call, group.stranger, like=group.member)
        nothing = await nowhere.make(call, group.stranger, like=group.member)
        refused(there, 404, "not_found")
        assert (there.status_code, there.content) == (nothing.status_code, nothing.content)
    assert done(await group.owner.get(group.path)) == before


async def test_nobody_does_anything_without_signing_in(group: Group) -> None:
    place = await Place.of(group, group.id)
    async with Person(group.owner.url) as nobody:
        for call in CALLS:
            refused(await place.make(call, nobody, like=group.member), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/logout"),
        ("GET", "/me"),
        ("PATCH", "/me"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", f"/sessions/{UNKNOWN_ID}"),
        ("GET", "/users"),
        ("GET", f"/users/{UNKNOWN_ID}"),
        ("POST", f"/users/{UNKNOWN_ID}/deactivate"),
        ("POST", f"/users/{UNKNOWN_ID}/reactivate"),
        ("GET", "/invites"),
        ("POST", "/invites"),
        ("DELETE", "/invites/x"),
        ("GET", "/chats"),
        ("POST", "/chats"),
        ("GET", "/search?q=x"),
    ],
)
async def test_what_is_outside_of_chats_needs_signing_in_too(administrator: Person, method: str, path: str) -> None:
    async with Person(administrator.url) as nobody:
        refused(await nobody.request(method, path), 401, "not_authenticated")
