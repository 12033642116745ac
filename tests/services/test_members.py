import asyncio
from uuid import uuid4

import pytest

from services import chats, members, sync
from services.errors import ChatClosed, Conflict, Forbidden, NotFound, ParleyError, ValidationFailed
from services.parley import Parley
from tests.services.conftest import NewActor, NewParley
from tests.support.actor import Actor


async def add(owner: Actor, chat_id: object, other: Actor) -> int:
    """Add someone and return the number that it took."""
    member, _ = await owner.do(members.add, chat_id=chat_id, user_id=other.id)
    return member.version


async def remove(actor: Actor, chat_id: object, other: Actor) -> None:
    await actor.do(members.remove, chat_id=chat_id, user_id=other.id)


async def names(actor: Actor, chat_id: object) -> list[str]:
    return [member.user.display_name for member in await actor.see(members.list_of, chat_id=chat_id)]


class TestAdding:
    async def test_takes_a_number_and_tells_what_became_of_it(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        member, new = await ann.do(members.add, chat_id=chat_id, user_id=ben.id)
        assert new
        assert (member.user, member.role, member.version, member.left_at) == (ben.user, "member", 2, None)
        assert await ben.seq(chat_id) == 2

    async def test_someone_who_is_in_it_already_changes_nothing(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        member, new = await ann.do(members.add, chat_id=chat_id, user_id=ben.id)
        assert (member.version, new) == (1, False)
        assert await ann.seq(chat_id) == 1

    async def test_shows_the_whole_history_with_everything_read(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        told = [await ann.say(chat_id, body) for body in ("one", "two")]
        await add(ann, chat_id, ben)
        assert (await ben.page(chat_id)).messages == told[::-1]
        chat = await ben.chat(chat_id)
        assert (chat.unread, chat.read_seq) == (0, 4)
        await ann.say(chat_id)
        assert await ben.unread(chat_id) == 1

    async def test_again_starts_with_everything_read_too(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ann, chat_id, ben)
        await ann.say(chat_id)
        first = await ann.see(members.list_of, chat_id=chat_id)
        assert await add(ann, chat_id, ben) == 4
        assert len(await ann.see(members.list_of, chat_id=chat_id)) == len(first) + 1
        chat = await ben.chat(chat_id)
        assert (chat.unread, chat.read_seq) == (0, 4)

    async def test_is_the_owners_alone(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben)
        with pytest.raises(Forbidden):
            await add(ben, chat_id, cat)
        with pytest.raises(NotFound):
            await add(cat, chat_id, cat)

    async def test_someone_who_does_not_exist_is_refused(self, ann: Actor) -> None:
        chat_id = await ann.group()
        with pytest.raises(ValidationFailed) as refused:
            await ann.do(members.add, chat_id=chat_id, user_id=uuid4())
        assert refused.value.field == "user_id"

    async def test_to_a_closed_chat_is_refused(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await add(ann, chat_id, ben)

    async def test_to_a_full_chat_is_refused(self, new_parley: NewParley) -> None:
        parley = await new_parley(max_chat_members=2)
        ann, ben, cat = [await Actor.create(parley) for _ in range(3)]
        chat_id = await ann.group(ben)
        with pytest.raises(Conflict):
            await add(ann, chat_id, cat)
        await remove(ben, chat_id, ben)
        assert await add(ann, chat_id, cat) == 3

    async def test_one_person_many_times_at_once_takes_one_number(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        assert set(await asyncio.gather(*(add(ann, chat_id, ben) for _ in range(5)))) == {2}
        assert await ann.seq(chat_id) == 2


class TestRemoving:
    async def test_takes_a_number_and_hides_the_chat(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ann, chat_id, ben)
        assert await ann.seq(chat_id) == 2
        assert await names(ann, chat_id) == ["Ann"]
        with pytest.raises(NotFound):
            await ben.chat(chat_id)
        with pytest.raises(NotFound):
            await ben.say(chat_id)

    async def test_is_the_owners_alone(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben, cat)
        with pytest.raises(Forbidden):
            await remove(ben, chat_id, cat)
        with pytest.raises(Forbidden):
            await remove(ben, chat_id, ann)

    async def test_someone_who_is_not_in_it_is_refused(self, ann: Actor, ben: Actor, cat: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ann, chat_id, ben)
        for other in (ben, cat):
            with pytest.raises(NotFound):
                await remove(ann, chat_id, other)
        assert await ann.seq(chat_id) == 2

    async def test_from_a_closed_chat_is_refused(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ann.do(chats.close, chat_id=chat_id)
        with pytest.raises(ChatClosed):
            await remove(ann, chat_id, ben)

    async def test_at_once_takes_the_right_to_write(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        sends = [ben.say(chat_id, str(number)) for number in range(10)]
        answers = await asyncio.gather(*sends[:5], remove(ann, chat_id, ben), *sends[5:], return_exceptions=True)
        assert all(not isinstance(answer, BaseException) or type(answer) is NotFound for answer in answers)
        async with ann.parley.snapshot() as tx:
            assert not await members.is_member(tx, chat_id=chat_id, user_id=ben.id)
        changes = await ann.see(sync.changes, chat_id=chat_id, since=0)
        (removed_at,) = [member.version for member in changes.members if member.left_at is not None]
        assert all(message.seq < removed_at for message in (await ann.page(chat_id)).messages)


class TestLeaving:
    async def test_is_anyones_right(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ben, chat_id, ben)
        assert await names(ann, chat_id) == ["Ann"]

    async def test_is_possible_when_the_chat_is_closed(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await ann.do(chats.close, chat_id=chat_id)
        await remove(ben, chat_id, ben)
        assert await ann.seq(chat_id) == 3

    async def test_is_not_possible_twice(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ben, chat_id, ben)
        with pytest.raises(NotFound):
            await remove(ben, chat_id, ben)

    async def test_needs_an_owner_to_hand_over_first(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        with pytest.raises(Conflict):
            await remove(ann, chat_id, ann)
        await ann.do(chats.transfer, chat_id=chat_id, user_id=ben.id)
        await remove(ann, chat_id, ann)
        assert await names(ben, chat_id) == ["Ben"]

    async def test_closes_the_chat_of_an_owner_who_is_alone(self, parley: Parley, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await remove(ben, chat_id, ben)
        await remove(ann, chat_id, ann)
        async with parley.snapshot() as tx:
            audience = await members.audience(tx, chat_id=chat_id)
        assert audience is not None
        assert audience.chat.closed_at is not None
        assert (audience.chat.seq, audience.member_ids) == (3, frozenset())

    async def test_by_an_owner_who_is_alone_in_a_closed_chat_keeps_when_it_closed(
        self, parley: Parley, ann: Actor
    ) -> None:
        chat_id = await ann.group()
        closed_at = (await ann.do(chats.close, chat_id=chat_id)).closed_at
        await remove(ann, chat_id, ann)
        async with parley.snapshot() as tx:
            audience = await members.audience(tx, chat_id=chat_id)
        assert audience is not None
        assert audience.chat.closed_at == closed_at

    @pytest.mark.parametrize("attempt", range(4))
    async def test_never_leaves_a_chat_without_its_owner(
        self, parley: Parley, ann: Actor, ben: Actor, cat: Actor, attempt: int
    ) -> None:
        chat_id = await ann.group(ben, cat)
        work = [
            ann.do(chats.transfer, chat_id=chat_id, user_id=ben.id),
            remove(ben, chat_id, ben),
            remove(ann, chat_id, ann),
            remove(cat, chat_id, cat),
        ]
        rotated = work[attempt:] + work[:attempt]
        for answer in await asyncio.gather(*rotated, return_exceptions=True):
            assert not isinstance(answer, BaseException) or isinstance(answer, ParleyError)
        async with parley.snapshot() as tx:
            audience = await members.audience(tx, chat_id=chat_id)
        assert audience is not None
        assert audience.chat.owner_id in audience.member_ids or (
            not audience.member_ids and audience.chat.closed_at is not None
        )


class TestTheListOfMembers:
    async def test_is_by_display_name(self, ann: Actor, ben: Actor, new_actor: NewActor) -> None:
        chat_id = await ben.group(ann, await new_actor(display_name="abel"))
        assert await names(ben, chat_id) == ["abel", "Ann", "Ben"]

    async def test_is_for_members_only(self, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        with pytest.raises(NotFound):
            await names(ben, chat_id)


class TestTheCachedMembership:
    async def test_follows_every_change_at_once(self, parley: Parley, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()
        for change, expected in [(None, False), (add, True), (remove, False), (add, True)]:
            if change is not None:
                await change(ann, chat_id, ben)
            assert await parley.is_member(chat_id=chat_id, user_id=ben.id) is expected
            assert await parley.is_member(chat_id=chat_id, user_id=ben.id) is expected

    async def test_of_a_chat_that_does_not_exist_is_none(self, parley: Parley, ann: Actor) -> None:
        assert not await parley.is_member(chat_id=uuid4(), user_id=ann.id)

    async def test_begins_with_the_chat(self, parley: Parley, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        assert await parley.is_member(chat_id=chat_id, user_id=ben.id)
