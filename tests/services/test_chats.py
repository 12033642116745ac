import asyncio
from typing import Any
from uuid import uuid4

import pytest

from services import chats, members, views
from services.errors import ChatClosed, Forbidden, NotFound, ParleyError, ValidationFailed
from tests.services.conftest import NewActor
from tests.support.actor import Actor

CHANGES: list[tuple[Any, dict[str, Any]]] = [
    (chats.rename, {"title": "Other"}),
    (chats.close, {}),
    (chats.reopen, {}),
]
CHANGE_NAMES = ["rename", "close", "reopen"]


class TestAPrivateChat:
    async def test_is_of_two_without_owner_or_title(self, ann: Actor, ben: Actor) -> None:
        chat, new = await ann.do(chats.create, kind="private", title=None, member_ids=[ben.id])
        assert new
        assert (chat.kind, chat.title, chat.owner_id, chat.seq) == ("private", None, None, 1)
        assert (chat.unread, chat.last_message) == (0, None)

    async def test_shows_each_the_other(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.private(ben)
        assert (await ann.chat(chat_id)).peer == ben.user
        assert (await ben.chat(chat_id)).peer == ann.user

    async def test_is_the_same_whoever_starts_it_and_however_often(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.private(ben)
        again, new = await ben.do(chats.create, kind="private", title="", member_ids=[ann.id, ben.id, ann.id])
        assert (again.id, new, again.seq) == (chat_id, False, 1)

    async def test_is_one_when_both_start_it_at_once(self, ann: Actor, ben: Actor) -> None:
        answers = await asyncio.gather(*(one.private(other) for one, other in [(ann, ben), (ben, ann)] * 5))
        assert len(set(answers)) == 1
        assert len(await ann.see(chats.list_for)) == 1

    async def test_is_hidden_from_everyone_else(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.private(ben)
        with pytest.raises(NotFound):
            await cat.chat(chat_id)

    @pytest.mark.parametrize("others", [0, 2])
    async def test_has_exactly_two_members(self, ann: Actor, ben: Actor, cat: Actor, others: int) -> None:
        member_ids = [ben.id, cat.id][:others]
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(chats.create, kind="private", title=None, member_ids=member_ids)
        assert refused.value.field == "member_ids"

    async def test_is_not_with_oneself(self, ann: Actor) -> None:
        with pytest.raises(ValidationFailed):
            await ann.do(chats.create, kind="private", title=None, member_ids=[ann.id])

    async def test_takes_no_title(self, ann: Actor, ben: Actor) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(chats.create, kind="private", title="Us", member_ids=[ben.id])
        assert refused.value.field == "title"

    @pytest.mark.parametrize(("verb", "arguments"), CHANGES, ids=CHANGE_NAMES)
    async def test_is_never_changed(self, ann: Actor, ben: Actor, verb: Any, arguments: dict[str, Any]) -> None:
        chat_id = await ann.private(ben)
        with pytest.raises(Forbidden):
            await ann.do(verb, chat_id=chat_id, **arguments)
        assert await ann.seq(chat_id) == 1

    async def test_is_never_handed_over_added_to_or_left(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.private(ben)
        for verb, user in [(chats.transfer, ben), (members.add, cat), (members.remove, ben), (members.remove, ann)]:
            with pytest.raises(Forbidden):
                await ann.do(verb, chat_id=chat_id, user_id=user.id)
        assert await ann.seq(chat_id) == 1


class TestAGroup:
    async def test_belongs_to_whoever_starts_it(self, ann: Actor, ben: Actor) -> None:
        chat, new = await ann.do(chats.create, kind="group", title="  Team ", member_ids=[ben.id, ann.id, ben.id])
        assert new
        assert (chat.kind, chat.title, chat.owner_id, chat.seq, chat.peer) == ("group", "Team", ann.id, 1, None)
        roles = {member.user.id: member.role for member in await ben.see(members.list_of, chat_id=chat.id)}
        assert roles == {ann.id: "owner", ben.id: "member"}

    async def test_may_be_of_one(self, ann: Actor) -> None:
        chat_id = await ann.group()
        assert [member.user.id for member in await ann.see(members.list_of, chat_id=chat_id)] == [ann.id]

    async def test_is_new_each_time(self, ann: Actor, ben: Actor) -> None:
        assert await ann.group(ben) != await ann.group(ben)

    @pytest.mark.parametrize("title", [None, "", "  ", "x" * 81, "a\nb"])
    async def test_needs_a_title_within_its_limits(self, ann: Actor, title: str | None) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(chats.create, kind="group", title=title, member_ids=[])
        assert refused.value.field == "title"

    async def test_cannot_begin_with_someone_who_does_not_exist(self, ann: Actor, ben: Actor) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(chats.create, kind="group", title="Team", member_ids=[ben.id, uuid4()])
        assert refused.value.field == "member_ids"
        assert await ben.see(chats.list_for) == []

    async def test_cannot_begin_with_more_people_than_a_chat_may_have(self, ann: Actor) -> None:
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(chats.create, kind="group", title="Team", member_ids=[uuid4() for _ in range(5000)])
        assert refused.value.field == "member_ids"

    async def test_is_hidden_from_everyone_else(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        for missing in (chat_id, uuid4()):
            with pytest.raises(NotFound) as refused:
                await ben.chat(missing)
            assert refused.value.detail == "There is no such chat."
        assert await ben.see(chats.list_for) == []


class TestTheListOfChats:
    async def test_has_the_one_with_the_newest_message_first(self, ann: Actor, ben: Actor) -> None:
        first, second, third = [await ann.group(ben) for _ in range(3)]
        assert [chat.id for chat in await ben.see(chats.list_for)] == [third, second, first]
        await ben.say(first)
        assert [chat.id for chat in await ben.see(chats.list_for)] == [first, third, second]

    async def test_shows_the_last_message_and_how_many_are_unread(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ann.say(chat_id, "one")
        two = await ann.say(chat_id, "two")
        (chat,) = await ben.see(chats.list_for)
        assert (chat.unread, chat.read_seq, chat.last_message) == (2, 1, two)

    async def test_leaves_out_the_chats_that_one_has_left(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ben.do(members.remove, chat_id=chat_id, user_id=ben.id)
        assert await ben.see(chats.list_for) == []
        assert [chat.id for chat in await ann.see(chats.list_for)] == [chat_id]


class TestRights:
    @pytest.mark.parametrize(("verb", "arguments"), CHANGES, ids=CHANGE_NAMES)
    async def test_only_the_owner_changes_a_chat(
        self, ann: Actor, ben: Actor, verb: Any, arguments: dict[str, Any]
    ) -> None:
        chat_id = await ann.group(ben)
        with pytest.raises(Forbidden):
            await ben.do(verb, chat_id=chat_id, **arguments)
        assert await ann.seq(chat_id) == 1

    @pytest.mark.parametrize(("verb", "arguments"), CHANGES, ids=CHANGE_NAMES)
    async def test_a_stranger_does_not_even_learn_that_it_exists(
        self, ann: Actor, ben: Actor, verb: Any, arguments: dict[str, Any]
    ) -> None:
        chat_id = await ann.group()
        with pytest.raises(NotFound):
            await ben.do(verb, chat_id=chat_id, **arguments)

    async def test_only_the_owner_hands_it_over(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben)
        with pytest.raises(Forbidden):
            await ben.do(chats.transfer, chat_id=chat_id, user_id=ben.id)
        with pytest.raises(NotFound):
            await cat.do(chats.transfer, chat_id=chat_id, user_id=cat.id)


class TestRenaming:
    async def test_takes_a_number(self, ann: Actor) -> None:
        chat_id = await ann.group(title="Old")
        chat = await ann.do(chats.rename, chat_id=chat_id, title=" New ")
        assert (chat.title, chat.seq) == ("New", 2)

    async def test_to_the_same_title_takes_none(self, ann: Actor) -> None:
        chat_id = await ann.group(title="Old")
        assert (await ann.do(chats.rename, chat_id=chat_id, title=" Old ")).seq == 1

    async def test_a_closed_chat_is_refused(self, ann: Actor) -> None:
        chat_id = await ann.group()
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await ann.do(chats.rename, chat_id=chat_id, title="New")


class TestClosing:
    async def test_leaves_a_chat_that_can_be_read_but_not_written(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        message = await ann.say(chat_id)
        closed = await ann.do(chats.close, chat_id=chat_id)
        assert (closed.closed_at is not None, closed.seq) == (True, 3)
        assert (await ben.page(chat_id)).messages == [message]
        with pytest.raises(ChatClosed):
            await ben.say(chat_id)

    async def test_twice_is_refused_and_takes_no_number(self, ann: Actor) -> None:
        chat_id = await ann.group()
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await ann.do(chats.close, chat_id=chat_id)
        assert await ann.seq(chat_id) == 2

    async def test_is_undone_by_reopening(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ann.do(chats.close, chat_id=chat_id)
        opened = await ann.do(chats.reopen, chat_id=chat_id)
        assert (opened.closed_at, opened.seq) == (None, 3)
        assert (await ben.say(chat_id)).seq == 4

    async def test_an_open_chat_is_not_reopened_and_takes_no_number(self, ann: Actor) -> None:
        chat_id = await ann.group()
        assert (await ann.do(chats.reopen, chat_id=chat_id)).seq == 1


class TestHandingOver:
    async def test_makes_a_member_the_owner_in_one_number(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        chat = await ann.do(chats.transfer, chat_id=chat_id, user_id=ben.id)
        assert (chat.owner_id, chat.seq) == (ben.id, 2)
        listed = await ann.see(members.list_of, chat_id=chat_id)
        assert {(member.user.id, member.role, member.version) for member in listed} == {
            (ann.id, "member", 2),
            (ben.id, "owner", 2),
        }
        with pytest.raises(Forbidden):
            await ann.do(chats.rename, chat_id=chat_id, title="Mine")

    async def test_to_oneself_takes_no_number(self, ann: Actor) -> None:
        chat_id = await ann.group()
        assert (await ann.do(chats.transfer, chat_id=chat_id, user_id=ann.id)).seq == 1

    async def test_to_someone_who_is_not_in_it_is_refused(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben)
        await ben.do(members.remove, chat_id=chat_id, user_id=ben.id)
        for user_id in (ben.id, cat.id, uuid4()):
            with pytest.raises(ValidationFailed) as refused:
                await ann.do(chats.transfer, chat_id=chat_id, user_id=user_id)
            assert refused.value.field == "user_id"

    async def test_a_closed_chat_is_refused(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await ann.do(chats.transfer, chat_id=chat_id, user_id=ben.id)

    async def test_to_two_at_once_leaves_one_owner(self, ann: Actor, new_actor: NewActor) -> None:
        heirs = [await new_actor() for _ in range(4)]
        chat_id = await ann.group(*heirs)
        answers = await asyncio.gather(
            *(ann.do(chats.transfer, chat_id=chat_id, user_id=heir.id) for heir in heirs), return_exceptions=True
        )
        assert sum(isinstance(answer, views.MyChat) for answer in answers) == 1
        assert sum(isinstance(answer, Forbidden) for answer in answers) == 3
        assert await ann.seq(chat_id) == 2


async def test_numbers_have_no_holes_when_everybody_changes_a_chat_at_once(
    ann: Actor, ben: Actor, cat: Actor, new_actor: NewActor
) -> None:
    guests = [await new_actor() for _ in range(3)]
    chat_id = await ann.group(ben, cat)
    sends = [actor.say(chat_id) for actor in (ann, ben, cat) * 5]
    additions = [ann.do(members.add, chat_id=chat_id, user_id=guest.id) for guest in guests]
    renames = [ann.do(chats.rename, chat_id=chat_id, title=f"Title {number}") for number in range(3)]
    await asyncio.gather(*sends, *additions, *renames)
    assert await ann.seq(chat_id) == 1 + 15 + 3 + 3
    sent = (await ann.page(chat_id)).messages
    joined = [member.version for member in await ann.see(members.list_of, chat_id=chat_id)]
    taken = [message.seq for message in sent] + [version for version in joined if version > 1]
    assert len(taken) == len(set(taken)) == 18


async def test_a_refusal_leaves_nothing_behind(ann: Actor, ben: Actor) -> None:
    chat_id = await ann.group(ben)
    with pytest.raises(ParleyError):
        await ann.do(chats.rename, chat_id=chat_id, title="x" * 1000)
    assert (await ann.chat(chat_id)).title == "Group"
