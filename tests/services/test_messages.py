import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services import chats, members, messages, reactions
from services.errors import ChatClosed, Forbidden, NotFound, ValidationFailed
from tests.support.actor import Actor

CHANGES: list[tuple[str, Any, dict[str, Any]]] = [
    ("author", messages.edit, {"body": "new"}),
    ("other", reactions.add, {"emoji": "👍"}),
    ("other", reactions.remove, {"emoji": "👍"}),
    ("author", messages.delete, {}),
]


@pytest.fixture
async def chat_id(ann: Actor, ben: Actor) -> UUID:
    """Ann's group, with Ben."""
    return await ann.group(ben)


class TestSending:
    async def test_stores_the_trimmed_text_and_its_html(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        message, new = await ann.send(chat_id, "  *Hello*\n", nonce="n-1")
        assert new
        assert (message.body, message.html) == ("*Hello*", "<p><em>Hello</em></p>\n")
        assert (message.seq, message.version, message.author_id, message.nonce) == (2, 2, ann.id, "n-1")
        assert (message.edited_at, message.deleted, message.reply_to, message.reactions) == (None, False, None, {})
        assert (await ben.page(chat_id)).messages == [message]

    async def test_is_for_members_only(self, cat: Actor, chat_id: UUID) -> None:
        for missing in (chat_id, uuid4()):
            with pytest.raises(NotFound):
                await cat.say(missing)

    @pytest.mark.parametrize("body", ["", " \n", "x" * 16_001, "a\x00b"])
    async def test_a_text_outside_its_limits_is_refused(self, ann: Actor, chat_id: UUID, body: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.say(chat_id, body)
        assert refused.value.field == "body"
        assert await ann.seq(chat_id) == 1

    async def test_the_longest_text_is_stored_as_it_is(self, ann: Actor, chat_id: UUID) -> None:
        body = "\U0001f600" * 16_000
        assert (await ann.say(chat_id, body)).body == body

    async def test_a_reply_names_a_message_of_the_same_chat(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        first = await ann.say(chat_id)
        assert (await ben.say(chat_id, reply_to=first.id)).reply_to == first.id
        elsewhere = await ann.say(await ann.group())
        for wrong in (elsewhere.id, uuid4()):
            with pytest.raises(ValidationFailed) as refused:
                await ann.say(chat_id, reply_to=wrong)
            assert refused.value.field == "reply_to"


class TestANonce:
    async def test_that_is_known_answers_with_the_message_whatever_the_rest_says(
        self, ann: Actor, chat_id: UUID
    ) -> None:
        first = await ann.say(chat_id, "one", nonce="n")
        for body in ("two", "", "x" * 20_000):
            again, new = await ann.send(chat_id, body, nonce="n", reply_to=uuid4())
            assert (again, new) == (first, False)
        assert await ann.seq(chat_id) == 2

    async def test_answers_with_the_message_as_it_is_now(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id, "one", nonce="n")
        await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="two")
        reacted = await ben.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        assert await ann.say(chat_id, "one", nonce="n") == reacted
        await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)
        assert (await ann.say(chat_id, "one", nonce="n")).deleted

    async def test_is_each_authors_and_each_chats_own(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        elsewhere = await ann.group()
        sent = [
            await ann.say(chat_id, nonce="n"),
            await ben.say(chat_id, nonce="n"),
            await ann.say(elsewhere, nonce="n"),
        ]
        assert len({message.id for message in sent}) == 3

    async def test_makes_one_message_of_many_retries_at_once(self, ann: Actor, chat_id: UUID) -> None:
        retries = (ann.send(chat_id, "x", nonce="n") for _ in range(8))
        answers = await asyncio.gather(*retries)
        assert len({message.id for message, _ in answers}) == 1
        assert [new for _, new in answers].count(True) == 1
        assert await ann.seq(chat_id) == 2

    async def test_that_is_known_is_answered_in_a_closed_chat_too(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id, nonce="n")
        await ann.do(chats.close, chat_id=chat_id)
        assert await ann.say(chat_id, nonce="n") == sent
        with pytest.raises(ChatClosed):
            await ann.say(chat_id, nonce="other")

    async def test_helps_nobody_who_is_no_longer_a_member(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        await ben.say(chat_id, nonce="n")
        await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
        with pytest.raises(NotFound):
            await ben.say(chat_id, nonce="n")

    @pytest.mark.parametrize("nonce", ["", "x" * 65, "ü"])
    async def test_outside_its_limits_is_refused(self, ann: Actor, chat_id: UUID, nonce: str) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.say(chat_id, nonce=nonce)
        assert refused.value.field == "nonce"

    async def test_is_not_needed(self, ann: Actor, chat_id: UUID) -> None:
        assert (await ann.say(chat_id)).id != (await ann.say(chat_id)).id


class TestEditing:
    async def test_changes_text_and_html_and_takes_a_number(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        edited = await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body=" **new** ")
        assert (edited.body, edited.html) == ("**new**", "<p><strong>new</strong></p>\n")
        assert (edited.seq, edited.version) == (2, 3)
        assert edited.edited_at is not None

    async def test_to_the_same_text_takes_none(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id, "same")
        assert await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="same ") == sent
        assert await ann.seq(chat_id) == 2

    async def test_is_the_authors_alone(self, ann: Actor, ben: Actor, cat: Actor, chat_id: UUID) -> None:
        sent = await ben.say(chat_id)
        with pytest.raises(Forbidden):
            await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="mine")
        with pytest.raises(NotFound):
            await cat.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="mine")

    async def test_needs_a_message_of_this_chat_that_is_not_deleted(self, ann: Actor, chat_id: UUID) -> None:
        deleted, elsewhere = await ann.say(chat_id), await ann.say(await ann.group())
        await ann.do(messages.delete, chat_id=chat_id, message_id=deleted.id)
        for message_id in (deleted.id, elsewhere.id, uuid4()):
            with pytest.raises(NotFound):
                await ann.do(messages.edit, chat_id=chat_id, message_id=message_id, body="new")

    async def test_in_a_closed_chat_is_refused(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="new")
        with pytest.raises(ChatClosed):
            await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)

    async def test_keeps_the_reactions(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        reacted = await ben.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        edited = await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="new")
        assert edited.reactions == reacted.reactions


class TestDeleting:
    async def test_leaves_a_row_without_text_or_reactions(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id, "secret")
        await ben.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        deleted = await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)
        assert (deleted.body, deleted.html, deleted.deleted, deleted.reactions) == (None, None, True, {})
        assert (deleted.seq, deleted.version) == (2, 4)
        assert (await ben.page(chat_id)).messages == [deleted]

    async def test_is_the_authors_and_the_owners(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben, cat)
        first, second = await ben.say(chat_id), await ben.say(chat_id)
        with pytest.raises(Forbidden):
            await cat.do(messages.delete, chat_id=chat_id, message_id=first.id)
        assert (await ann.do(messages.delete, chat_id=chat_id, message_id=first.id)).deleted
        assert (await ben.do(messages.delete, chat_id=chat_id, message_id=second.id)).deleted

    async def test_in_a_private_chat_is_the_authors_alone(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.private(ben)
        sent = await ann.say(chat_id)
        with pytest.raises(Forbidden):
            await ben.do(messages.delete, chat_id=chat_id, message_id=sent.id)

    async def test_twice_takes_one_number(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        first = await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)
        assert await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id) == first
        assert await ann.seq(chat_id) == 3

    async def test_leaves_replies_to_it_as_they_are(self, ann: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        reply = await ann.say(chat_id, reply_to=sent.id)
        await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)
        assert (await ann.page(chat_id)).messages[0] == reply


class TestUnread:
    async def test_counts_messages_of_others_and_nothing_else(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben)
        sent = await ann.say(chat_id)
        await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="new")
        await ann.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        await ann.do(members.add, chat_id=chat_id, user_id=cat.id)
        await ann.do(chats.rename, chat_id=chat_id, title="New")
        assert await ben.unread(chat_id) == 1
        assert await ann.unread(chat_id) == 0

    async def test_still_counts_a_deleted_message(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        await ann.do(messages.delete, chat_id=chat_id, message_id=sent.id)
        assert await ben.unread(chat_id) == 1

    async def test_is_nothing_after_one_sends_oneself(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        await ann.say(chat_id)
        sent = await ben.say(chat_id)
        chat = await ben.chat(chat_id)
        assert (chat.unread, chat.read_seq) == (0, sent.seq)
        assert await ann.unread(chat_id) == 1


class TestPages:
    async def test_are_newest_first_and_say_whether_older_ones_follow(self, ann: Actor, chat_id: UUID) -> None:
        sent = [await ann.say(chat_id, str(number)) for number in range(5)][::-1]
        newest = await ann.page(chat_id, limit=2)
        assert (newest.messages, newest.more) == (sent[:2], True)
        older = await ann.page(chat_id, before=sent[1].seq, limit=3)
        assert (older.messages, older.more) == (sent[2:], False)
        assert (await ann.page(chat_id, before=sent[-1].seq)).messages == []

    async def test_have_fifty_messages_unless_one_says(self, ann: Actor, chat_id: UUID) -> None:
        for _ in range(51):
            await ann.say(chat_id)
        page = await ann.page(chat_id)
        assert (len(page.messages), page.more) == (50, True)

    @pytest.mark.parametrize("limit", [0, -1, 101])
    async def test_of_an_impossible_size_are_refused(self, ann: Actor, chat_id: UUID, limit: int) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.page(chat_id, limit=limit)
        assert refused.value.field == "limit"

    async def test_are_for_members_only_though_they_are_cached(
        self, ann: Actor, ben: Actor, cat: Actor, chat_id: UUID
    ) -> None:
        await ann.page(chat_id)
        with pytest.raises(NotFound):
            await cat.page(chat_id)
        await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
        with pytest.raises(NotFound):
            await ben.page(chat_id)


class TestTheCachedNewestPage:
    async def test_comes_from_the_cache_and_is_the_same(self, ann: Actor, chat_id: UUID) -> None:
        await ann.say(chat_id)
        first, hits = await ann.page(chat_id), ann.parley.cache.hits
        assert await ann.page(chat_id) == first
        assert ann.parley.cache.hits == hits + 1

    async def test_is_never_behind_any_change(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        for actor, verb, more in CHANGES:
            await ann.page(chat_id)
            changed = await (ann if actor == "author" else ben).do(verb, chat_id=chat_id, message_id=sent.id, **more)
            assert (await ann.page(chat_id)).messages == [changed]

    async def test_shows_each_their_own_reaction_first(self, ann: Actor, ben: Actor, chat_id: UUID) -> None:
        sent = await ann.say(chat_id)
        for actor in (ann, ben):
            await actor.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        for actor, other in [(ann, ben), (ben, ann), (ann, ben)]:
            (message,) = (await actor.page(chat_id)).messages
            assert message.reactions["👍"].user_ids == [actor.id, other.id]
