from typing import Any

import pytest

from tests.rest.checks import MESSAGE, USER, done, fits, refused
from tests.rest.conftest import Group

UP = "\N{THUMBS UP SIGN}"
HEART = "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}"
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"

TWENTY_ONE = [chr(ord("\N{GRINNING FACE}") + number) for number in range(21)]


@pytest.fixture
async def path(group: Group) -> str:
    """The path of a message of the owner's."""
    sent = await group.owner.say(group.id, "Hello")
    return f"{group.path}/messages/{sent['id']}"


@pytest.mark.parametrize("emoji", [UP, HEART, FAMILY, "1\N{VARIATION SELECTOR-16}\N{COMBINING ENCLOSING KEYCAP}"])
async def test_any_member_reacts_and_takes_it_back(group: Group, path: str, emoji: str) -> None:
    reacted = done(await group.member.put(f"{path}/reactions/{emoji}"), shape=MESSAGE)
    assert reacted["reactions"] == {emoji: {"count": 1, "user_ids": [group.member.id]}}
    assert reacted["version"] == 3
    done(await group.member.delete(f"{path}/reactions/{emoji}"), 204)
    [message] = done(await group.owner.get(f"{group.path}/messages"))["messages"]
    assert (message["reactions"], message["version"], message["edited_at"]) == ({}, 4, None)


async def test_what_is_there_already_or_not_there_takes_no_number(group: Group, path: str) -> None:
    done(await group.member.put(f"{path}/reactions/{UP}"))
    again = done(await group.member.put(f"{path}/reactions/{UP}"), shape=MESSAGE)
    assert (again["reactions"][UP]["count"], again["version"]) == (1, 3)
    done(await group.owner.delete(f"{path}/reactions/{UP}"), 204)
    assert done(await group.owner.get(group.path))["seq"] == 3


async def test_ones_own_id_stands_first_for_oneself(group: Group, path: str) -> None:
    done(await group.member.put(f"{path}/reactions/{UP}"))
    done(await group.owner.put(f"{path}/reactions/{UP}"))
    for person, other in ((group.owner, group.member), (group.member, group.owner)):
        wanted = {UP: {"count": 2, "user_ids": [person.id, other.id]}}
        answers: list[dict[str, Any]] = [
            done(await person.get(f"{group.path}/messages"))["messages"][0],
            done(await person.get(f"{group.path}/messages", limit=1))["messages"][0],
            done(await person.get(group.path))["last_message"],
            done(await person.get(f"{group.path}/changes", since=1))["messages"][0],
            done(await person.put(f"{path}/reactions/{UP}")),
        ]
        assert [answer["reactions"] for answer in answers] == [wanted] * 5


async def test_everyone_who_reacted_is_listed_by_emoji(group: Group, path: str) -> None:
    done(await group.member.put(f"{path}/reactions/{HEART}"))
    done(await group.owner.put(f"{path}/reactions/{UP}"))
    done(await group.owner.put(f"{path}/reactions/{HEART}"))
    found = done(await group.member.get(f"{path}/reactions"))
    assert set(found) == {"reactions"}
    for users in found["reactions"].values():
        for user in users:
            fits(user, USER)
    named = {emoji: [user["id"] for user in users] for emoji, users in found["reactions"].items()}
    assert named == {HEART: [group.member.id, group.owner.id], UP: [group.owner.id]}


async def test_a_message_without_reactions_lists_none(group: Group, path: str) -> None:
    assert done(await group.member.get(f"{path}/reactions")) == {"reactions": {}}


async def test_a_message_bears_twenty_emoji(group: Group, path: str) -> None:
    for emoji in TWENTY_ONE[:20]:
        done(await group.owner.put(f"{path}/reactions/{emoji}"))
    refused(await group.member.put(f"{path}/reactions/{TWENTY_ONE[20]}"), 409, "conflict", says="20")
    full = done(await group.member.put(f"{path}/reactions/{TWENTY_ONE[0]}"), shape=MESSAGE)
    assert len(full["reactions"]) == 20


@pytest.mark.parametrize("emoji", ["x", "%00", "%FF", "%ED%A0%80", f"{UP}{UP}", ":thumbsup:", f"{UP}x", "x" * 2000])
async def test_what_is_no_emoji_is_refused(group: Group, path: str, emoji: str) -> None:
    for response in (
        await group.owner.put(f"{path}/reactions/{emoji}"),
        await group.owner.delete(f"{path}/reactions/{emoji}"),
    ):
        refused(response, 422, "validation_failed", field="emoji")
