import asyncio
from uuid import UUID, uuid4

import pytest

from services import chats, messages, reactions, views
from services.describe import REACTING_IDS_SHOWN
from services.errors import ChatClosed, Conflict, NotFound, ValidationFailed
from tests.services.conftest import NewActor
from tests.support.actor import Actor

TWENTY = list("😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏😐😑😒😓")


@pytest.fixture
async def message(ann: Actor, ben: Actor) -> views.Message:
    """Ann's message in a group with Ben; its number is 2."""
    return await ann.say(await ann.group(ben))


async def react(actor: Actor, message: views.Message, emoji: str = "👍") -> views.Message:
    return await actor.do(reactions.add, chat_id=message.chat_id, message_id=message.id, emoji=emoji)


async def take_back(actor: Actor, message: views.Message, emoji: str = "👍") -> views.Message:
    return await actor.do(reactions.remove, chat_id=message.chat_id, message_id=message.id, emoji=emoji)


class TestReacting:
    async def test_takes_a_number_and_names_who_reacted(self, ben: Actor, message: views.Message) -> None:
        reacted = await react(ben, message)
        assert reacted.reactions == {"👍": views.Reactions(1, [ben.id])}
        assert (reacted.seq, reacted.version) == (2, 3)
        assert reacted.edited_at is None

    async def test_twice_changes_nothing(self, ben: Actor, message: views.Message) -> None:
        first = await react(ben, message)
        assert await react(ben, message) == first
        assert await ben.seq(message.chat_id) == 3

    async def test_many_times_at_once_takes_one_number(self, ben: Actor, message: views.Message) -> None:
        answers = await asyncio.gather(*(react(ben, message) for _ in range(5)))
        assert {answer.version for answer in answers} == {3}

    async def test_keeps_the_emoji_used_first_first(self, ann: Actor, ben: Actor, message: views.Message) -> None:
        for actor, emoji in [(ben, "😀"), (ann, "👍"), (ann, "😀")]:
            await react(actor, message, emoji)
        (seen,) = (await ben.page(message.chat_id)).messages
        assert list(seen.reactions) == ["😀", "👍"]
        assert seen.reactions["😀"].count == 2

    async def test_is_for_members_only(self, cat: Actor, message: views.Message) -> None:
        with pytest.raises(NotFound):
            await react(cat, message)

    @pytest.mark.parametrize("emoji", ["👍", "👍🏽", "❤️", "❤", "👩‍👩‍👧‍👦", "🇩🇪", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
    async def test_takes_any_single_emoji(self, ben: Actor, message: views.Message, emoji: str) -> None:
        assert list((await react(ben, message, emoji)).reactions) == [emoji]

    @pytest.mark.parametrize("emoji", ["", "a", "+1", ":+1:", "👍👍", "👍 ", "<b>", "\x00", "🇩", "1", "x" * 1000])
    async def test_takes_nothing_else(self, ben: Actor, message: views.Message, emoji: str) -> None:
        for verb in (react, take_back):
            with pytest.raises(ValidationFailed) as refused:
                await verb(ben, message, emoji)
            assert refused.value.field == "emoji"

    async def test_with_more_than_twenty_different_emoji_is_refused(
        self, ann: Actor, ben: Actor, message: views.Message
    ) -> None:
        for number, emoji in enumerate(TWENTY):
            await react([ann, ben][number % 2], message, emoji)
        with pytest.raises(Conflict):
            await react(ann, message, "👍")
        assert len((await react(ben, message, TWENTY[0])).reactions) == 20
        await take_back(ben, message, TWENTY[1])
        assert "👍" in (await react(ann, message, "👍")).reactions

    async def test_at_once_passes_the_limit_no_more_than_in_turn(self, ann: Actor, message: views.Message) -> None:
        for emoji in TWENTY[:18]:
            await react(ann, message, emoji)
        answers = await asyncio.gather(*(react(ann, message, emoji) for emoji in "👍👎👏👌"), return_exceptions=True)
        assert sum(isinstance(answer, Conflict) for answer in answers) == 2

    async def test_needs_a_message_of_this_chat_that_is_not_deleted(self, ann: Actor, message: views.Message) -> None:
        elsewhere = await ann.group()
        for chat_id, message_id in [(elsewhere, message.id), (message.chat_id, uuid4())]:
            with pytest.raises(NotFound):
                await ann.do(reactions.add, chat_id=chat_id, message_id=message_id, emoji="👍")
        await ann.do(messages.delete, chat_id=message.chat_id, message_id=message.id)
        for verb in (react, take_back):
            with pytest.raises(NotFound):
                await verb(ann, message)

    async def test_in_a_closed_chat_is_refused(self, ann: Actor, message: views.Message) -> None:
        await react(ann, message)
        await ann.do(chats.close, chat_id=message.chat_id)
        for verb in (react, take_back):
            with pytest.raises(ChatClosed):
                await verb(ann, message)


class TestTakingBack:
    async def test_takes_a_number(self, ann: Actor, ben: Actor, message: views.Message) -> None:
        await react(ann, message)
        await react(ben, message)
        left = await take_back(ben, message)
        assert left.reactions == {"👍": views.Reactions(1, [ann.id])}
        assert left.version == 5
        assert (await take_back(ann, message)).reactions == {}

    async def test_what_is_not_there_changes_nothing(self, ann: Actor, ben: Actor, message: views.Message) -> None:
        reacted = await react(ann, message)
        assert await take_back(ben, message) == reacted
        assert await ben.seq(message.chat_id) == 3


class TestAHundredAndMore:
    @pytest.fixture
    async def crowd(self, ann: Actor, new_actor: NewActor) -> tuple[UUID, views.Message, list[Actor]]:
        """A message to which 102 people reacted, one after the other."""
        people = [await new_actor() for _ in range(102)]
        chat_id = await ann.group(*people)
        message = await ann.say(chat_id)
        for person in people:
            await react(person, message)
        return chat_id, message, people

    async def test_are_counted_and_a_hundred_named_with_oneself_first(
        self, ann: Actor, crowd: tuple[UUID, views.Message, list[Actor]]
    ) -> None:
        chat_id, message, people = crowd
        ids = [person.id for person in people]
        for actor, expected in [
            (ann, ids[:100]),
            (people[0], ids[:100]),
            (people[50], [ids[50], *ids[:50], *ids[51:100]]),
            (people[101], [ids[101], *ids[:99]]),
        ]:
            (seen,) = (await actor.page(chat_id)).messages
            assert seen.reactions["👍"].count == 102
            assert seen.reactions["👍"].user_ids == expected
            assert len(expected) == REACTING_IDS_SHOWN

        everyone = await ann.see(reactions.list_of, chat_id=chat_id, message_id=message.id)
        assert [user.id for user in everyone["👍"]] == ids


class TestTheListOfThoseWhoReacted:
    async def test_is_by_emoji_the_first_first(self, ann: Actor, ben: Actor, message: views.Message) -> None:
        await react(ben, message, "😀")
        await react(ann, message, "😀")
        await react(ann, message, "👍")
        listed = await ann.see(reactions.list_of, chat_id=message.chat_id, message_id=message.id)
        assert listed == {"😀": [ben.user, ann.user], "👍": [ann.user]}

    async def test_is_for_members_only(self, cat: Actor, message: views.Message) -> None:
        with pytest.raises(NotFound):
            await cat.see(reactions.list_of, chat_id=message.chat_id, message_id=message.id)
