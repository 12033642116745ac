from typing import Any
from uuid import uuid4

import pytest

from tests.rest.checks import HIT, done, fits, refused
from tests.rest.conftest import Group
from tests.support.person import Person


async def _bodies(person: Person, **query: Any) -> list[str]:
    found = done(await person.get("/search", **query))
    assert set(found) == {"messages", "more"}
    for hit in found["messages"]:
        fits(hit, HIT)
    return [hit["body"] for hit in found["messages"]]


@pytest.fixture
def word() -> str:
    """A word that no other test uses."""
    return f"w{uuid4().hex}"


async def test_messages_with_words_beginning_with_all_those_given_are_found_newest_first(
    group: Group, word: str
) -> None:
    await group.owner.say(group.id, f"The first **{word}**")
    await group.owner.say(group.id, f"A second, {word}ly and {word}")
    await group.owner.say(group.id, "Nothing of the kind")
    first, second = f"The first **{word}**", f"A second, {word}ly and {word}"
    assert await _bodies(group.member, q=word) == [second, first]
    assert await _bodies(group.member, q=f"  {word[:-3].upper()} ") == [second, first]
    assert await _bodies(group.member, q=f"{word} fir") == [first]
    assert await _bodies(group.member, q=f"{word} third") == []


async def test_a_hit_has_a_snippet_in_plain_text_around_the_words(group: Group, word: str) -> None:
    await group.owner.say(group.id, "much " * 200 + f"{word} <b>here</b> " + "more " * 200)
    [hit] = done(await group.member.get("/search", q=word))["messages"]
    assert word in hit["snippet"]
    assert len(hit["snippet"]) < 500


async def test_only_what_one_may_read_is_found(group: Group, word: str) -> None:
    await group.owner.say(group.id, word)
    assert await _bodies(group.stranger, q=word) == []
    refused(await group.stranger.get("/search", q=word, chat_id=group.id), 404, "not_found")
    refused(await group.stranger.get("/search", q=word, chat_id=str(uuid4())), 404, "not_found")
    done(await group.member.delete(f"{group.path}/members/{group.member.id}"), 204)
    assert await _bodies(group.member, q=word) == []


async def test_edited_and_deleted_texts_are_found_no_more(group: Group, word: str) -> None:
    sent = await group.owner.say(group.id, word)
    done(await group.owner.patch(f"{group.path}/messages/{sent['id']}", body=f"new-{word}x"))
    assert await _bodies(group.owner, q=f"new {word}") == [f"new-{word}x"]
    done(await group.owner.delete(f"{group.path}/messages/{sent['id']}"), 204)
    assert await _bodies(group.owner, q=word) == []


async def test_a_search_may_be_kept_to_one_chat_and_to_what_is_older(group: Group, word: str) -> None:
    other = await group.owner.group_chat()
    first = await group.owner.say(group.id, f"{word} a")
    await group.owner.say(other["id"], f"{word} b")
    last = await group.owner.say(group.id, f"{word} c")
    assert await _bodies(group.owner, q=word, chat_id=group.id) == [f"{word} c", f"{word} a"]
    assert await _bodies(group.owner, q=word, chat_id=group.id, before=last["seq"]) == [f"{word} a"]
    assert await _bodies(group.owner, q=word, before=last["created_at"]) == [f"{word} b", f"{word} a"]
    assert await _bodies(group.owner, q=word, before=first["created_at"]) == []


async def test_hits_come_in_pages(group: Group, word: str) -> None:
    for number in range(3):
        await group.owner.say(group.id, f"{word} {number}")
    page = done(await group.owner.get("/search", q=word, limit=2))
    assert ([hit["body"] for hit in page["messages"]], page["more"]) == ([f"{word} 2", f"{word} 1"], True)
    rest = done(await group.owner.get("/search", q=word, limit=2, before=page["messages"][-1]["created_at"]))
    assert ([hit["body"] for hit in rest["messages"]], rest["more"]) == ([f"{word} 0"], False)


@pytest.mark.parametrize("query", ["x", "x" * 200, f" {'x' * 200} ", "\N{SNOWMAN}" * 200])
async def test_a_search_may_be_at_the_edge_of_its_limits(administrator: Person, query: str) -> None:
    done(await administrator.get("/search", q=query))


@pytest.mark.parametrize("query", ["", "  ", "x" * 201])
async def test_a_search_outside_its_limits_is_refused(administrator: Person, query: str) -> None:
    refused(await administrator.get("/search", q=query), 422, "validation_failed", field="q", says="1 to 200")


@pytest.mark.parametrize(
    "query", ["'", "!", "a & | b", "<->", "\\", "a:*", "''':*", "(", "%", "\N{ZERO WIDTH SPACE}a"]
)
async def test_marks_of_the_query_language_are_ordinary_characters(administrator: Person, query: str) -> None:
    done(await administrator.get("/search", q=query))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "q"),
        ({"q": "a\x00"}, "q"),
        ({"q": "x", "limit": 0}, "limit"),
        ({"q": "x", "limit": 101}, "limit"),
        ({"q": "x", "chat_id": "x"}, "chat_id"),
        ({"q": "x", "before": "5"}, "before"),
        ({"q": "x", "before": "yesterday"}, "before"),
        ({"q": "x", "before": "2026-01-01T00:00:00"}, "before"),
        ({"q": "x", "before": "0001-01-01T00:00:00+23:59"}, "before"),
        ({"q": "x", "before": "9999-12-31T23:59:59-23:59"}, "before"),
        ({"q": "x", "before": "9" * 30}, "before"),
    ],
    ids=str,
)
async def test_a_malformed_search_is_refused_with_the_field(
    administrator: Person, query: dict[str, Any], field: str
) -> None:
    refused(await administrator.get("/search", **query), 422, "validation_failed", field=field)
