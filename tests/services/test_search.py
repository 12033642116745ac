from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

import models
from services import members, messages, search, views
from services.errors import NotFound, ValidationFailed
from services.parley import Parley
from tests.support.actor import Actor


@pytest.fixture
async def chat_id(ann: Actor, ben: Actor) -> UUID:
    """Ann's group, with Ben."""
    return await ann.group(ben)


async def find(actor: Actor, query: str, **fields: Any) -> list[views.Hit]:
    hits, _ = await actor.see(search.search, query=query, **fields)
    return hits


async def found(actor: Actor, query: str, **fields: Any) -> list[str | None]:
    return [hit.body for hit in await find(actor, query, **fields)]


async def test_messages_are_found_by_the_beginnings_of_all_the_words_newest_first(
    ann: Actor, ben: Actor, chat_id: UUID
) -> None:
    for body in ("The quarterly report", "a report about Quarks", "quarter of something else"):
        await ann.say(chat_id, body)
    assert await found(ben, " QUAR rep ") == ["a report about Quarks", "The quarterly report"]
    assert await found(ben, "arterly") == []


async def test_only_what_one_may_read_is_found(ann: Actor, ben: Actor, cat: Actor, chat_id: UUID) -> None:
    await ann.say(chat_id, "secret")
    assert await found(cat, "secret") == []
    assert await found(ben, "secret") == ["secret"]
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    assert await found(ben, "secret") == []


async def test_a_search_may_be_of_one_chat_that_one_is_in(ann: Actor, ben: Actor, chat_id: UUID) -> None:
    private = await ann.private(ben)
    await ann.say(chat_id, "same words here")
    await ann.say(private, "same words there")
    assert await found(ben, "same", chat_id=private) == ["same words there"]
    with pytest.raises(NotFound):
        await find(ben, "same", chat_id=await ann.group())


async def test_a_deleted_text_is_gone_and_an_edited_one_is_found_by_what_it_is_now(ann: Actor, chat_id: UUID) -> None:
    deleted, edited = await ann.say(chat_id, "deleted word"), await ann.say(chat_id, "former word")
    await ann.do(messages.delete, chat_id=chat_id, message_id=deleted.id)
    await ann.do(messages.edit, chat_id=chat_id, message_id=edited.id, body="present word")
    assert await found(ann, "word") == ["present word"]
    assert await found(ann, "former") == []


async def test_a_hit_is_the_message_with_the_plain_text_around_the_words(ann: Actor, chat_id: UUID) -> None:
    sent = await ann.say(chat_id, "before " * 100 + "<b>needle</b> & more " + "after " * 100)
    (hit,) = await find(ann, "needle")
    assert (hit.id, hit.seq, hit.body, hit.html) == (sent.id, sent.seq, sent.body, sent.html)
    assert "needle" in hit.snippet
    assert len(hit.snippet) < 500


async def test_pages_go_back_by_time_and_in_one_chat_by_number(ann: Actor, chat_id: UUID) -> None:
    sent = [await ann.say(chat_id, f"word {number}") for number in range(4)]
    hits, more = await ann.see(search.search, query="word", limit=3)
    assert ([hit.id for hit in hits], more) == ([message.id for message in sent[:0:-1]], True)
    hits, more = await ann.see(search.search, query="word", before=hits[-1].created_at)
    assert ([hit.id for hit in hits], more) == ([sent[0].id], False)
    assert await found(ann, "word", chat_id=chat_id, before=sent[1].seq) == ["word 0"]
    assert await found(ann, "word", before=datetime.now(UTC) - timedelta(days=1)) == []


async def test_pages_by_time_hold_all_of_what_was_committed_together(
    parley: Parley, ann: Actor, chat_id: UUID
) -> None:
    sent = [await ann.say(chat_id, f"word {number}") for number in range(9)]
    together = {message.id: sent[4].created_at for message in sent[2:7]} | {sent[0].id: sent[1].created_at}
    async with parley.transaction() as tx:
        for message_id, time in together.items():
            await tx.session.execute(
                update(models.Message).where(models.Message.id == message_id).values(created_at=time)
            )
    pages, before, more = [], None, True
    while more:
        hits, more = await ann.see(search.search, query="word", before=before, limit=3)
        pages.append([hit.body for hit in hits])
        before = hits[-1].created_at if hits else None
    assert pages == [["word 8", "word 7"], [f"word {number}" for number in (6, 5, 4, 3, 2)], ["word 1", "word 0"]]


async def test_what_is_not_among_the_newest_messages_is_found_too(
    ann: Actor, chat_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOKED_THROUGH", 3)
    monkeypatch.setattr(search, "TAKEN_APART", 3)
    bodies = ["old word", "old wörd", *(f"new word wörd {number}" for number in range(4))]
    for body in bodies:
        await ann.say(chat_id, body)
    for query in ("word", "wörd"):
        wanted = [body for body in reversed(bodies) if query in body]
        assert await found(ann, query) == await found(ann, query, chat_id=chat_id) == wanted
        assert await found(ann, f"old {query}") == wanted[-1:]


@pytest.mark.parametrize(("body", "query"), [("273 \u212aelvin", "kelvin"), ("KELVIN", "Kelvin"), ("\u212a", "k")])
async def test_a_word_is_found_whatever_character_its_letters_come_of(
    ann: Actor, chat_id: UUID, body: str, query: str
) -> None:
    await ann.say(chat_id, body)
    assert await found(ann, query) == [body]


async def test_a_number_to_go_back_from_needs_a_chat(ann: Actor) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await find(ann, "word", before=3)
    assert refused.value.field == "before"


@pytest.mark.parametrize("query", ["", "  ", "x" * 201, "a\x00b", "a\nb"])
async def test_a_query_outside_its_limits_is_refused(ann: Actor, query: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await find(ann, query)
    assert refused.value.field == "q"


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_of_an_impossible_size_is_refused(ann: Actor, limit: int) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await find(ann, "word", limit=limit)
    assert refused.value.field == "limit"


ODD = [
    "&|!",
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    "():*<->",
    "a:*",
    "!a",
    "a & | b",
    "'a' 'b'",
    "a\\",
    "<-> a",
    "%_",
    "\u00a0a",
]
LONG = ["a " * 100, "x" * 200, "'" * 200, "\\" * 200, "ä" * 200, "😀" * 200, "a-" * 100, "a.b" * 66, "://" * 66]


@pytest.mark.parametrize("query", ODD + LONG)
async def test_no_query_is_an_error(ann: Actor, chat_id: UUID, query: str) -> None:
    await ann.say(chat_id, "something")
    assert "something" not in await found(ann, query)


@pytest.mark.parametrize(
    "query", ["don't", "O'Brien", "naïve", "日本語", "foo_bar", "c++", "well-known", "(brackets)"]
)
async def test_words_with_signs_in_them_are_found_as_they_were_written(ann: Actor, chat_id: UUID, query: str) -> None:
    await ann.say(chat_id, f"about {query} again")
    assert await found(ann, query) == [f"about {query} again"]


@pytest.mark.parametrize(
    "query",
    ["example.org", "https://example.org/a/b?c=d", "ann@example.org", "3.14", "2026-11-24", "/usr/bin/python", "-5"],
)
async def test_addresses_paths_and_numbers_are_found_as_they_were_written(
    ann: Actor, chat_id: UUID, query: str
) -> None:
    await ann.say(chat_id, f"about {query} again")
    assert await found(ann, query) == [f"about {query} again"]
