from uuid import UUID

import pytest

from services import chats, members, messages, reactions, reads, sync, views
from services.errors import NotFound, ValidationFailed
from services.settings import Settings
from tests.services.conftest import NewActor, NewParley
from tests.support.actor import Actor


@pytest.fixture
async def chat_id(ann: Actor, ben: Actor) -> UUID:
    """Ann's group, with Ben."""
    return await ann.group(ben)


async def changes(actor: Actor, chat_id: UUID, since: int, **fields: int) -> views.Changes:
    return await actor.see(sync.changes, chat_id=chat_id, since=since, **fields)


async def test_nothing_changed_since_the_newest_number(ann: Actor, chat_id: UUID) -> None:
    await ann.say(chat_id)
    found = await changes(ann, chat_id, 2)
    assert (found.messages, found.members, found.seq, found.more, found.reset) == ([], [], 2, False, False)


async def test_every_kind_of_change_is_told_oldest_first(ann: Actor, ben: Actor, cat: Actor, chat_id: UUID) -> None:
    first, second, third = [await ann.say(chat_id, body) for body in ("one", "two", "three")]
    since = third.seq
    await ann.do(messages.edit, chat_id=chat_id, message_id=second.id, body="2")
    await ben.do(reactions.add, chat_id=chat_id, message_id=first.id, emoji="👍")
    await ann.do(messages.delete, chat_id=chat_id, message_id=third.id)
    await ann.do(members.add, chat_id=chat_id, user_id=cat.id)
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    await ann.do(chats.rename, chat_id=chat_id, title="New")
    found = await changes(ann, chat_id, since)
    assert [message.id for message in found.messages] == [second.id, first.id, third.id]
    assert [message.version for message in found.messages] == [5, 6, 7]
    assert [(member.user.id, member.version) for member in found.members] == [(cat.id, 8), (ben.id, 9)]
    assert [member.left_at is None for member in found.members] == [True, False]
    assert (found.chat.title, found.seq, found.more) == ("New", 10, False)


async def test_the_chat_is_told_as_the_caller_sees_it(ann: Actor, ben: Actor) -> None:
    chat_id = await ann.private(ben)
    await ann.say(chat_id)
    found = await changes(ben, chat_id, 0)
    assert isinstance(found.chat, views.MyChat)
    assert (found.chat.unread, found.chat.peer) == (1, ann.user)


async def test_all_read_marks_and_everyone_referred_to_come_along(ann: Actor, ben: Actor, cat: Actor) -> None:
    chat_id = await ann.group(ben, cat)
    sent = await cat.say(chat_id)
    await ben.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
    await ann.do(reads.mark, chat_id=chat_id, seq=2)
    await ann.do(members.remove, chat_id=chat_id, user_id=cat.id)
    found = await changes(ann, chat_id, 1)
    assert found.reads == {ann.id: 2, ben.id: 1}
    assert {user.id for user in found.users} == {ben.id, cat.id}


async def test_pages_go_on_from_their_cursor_and_miss_nothing(ann: Actor, chat_id: UUID) -> None:
    sent = [await ann.say(chat_id) for _ in range(7)]
    seen: list[UUID] = []
    since, sizes = 1, []
    while True:
        found = await changes(ann, chat_id, since, limit=3)
        seen += [message.id for message in found.messages]
        sizes.append(len(found.messages))
        since = found.seq
        if not found.more:
            break
    assert seen == [message.id for message in sent]
    assert sizes == [3, 3, 1]


async def test_a_page_never_splits_a_version(ann: Actor, ben: Actor, cat: Actor) -> None:
    chat_id = await ann.group(ben, cat)
    await ann.say(chat_id)
    await ann.do(chats.transfer, chat_id=chat_id, user_id=ben.id)
    await ben.say(chat_id)
    first = await changes(ann, chat_id, 0, limit=1)
    assert (len(first.members), first.seq, first.more) == (1, 1, True)
    second = await changes(ann, chat_id, 1, limit=2)
    assert ([message.seq for message in second.messages], len(second.members), second.seq) == ([2], 2, 3)
    third = await changes(ann, chat_id, second.seq, limit=1)
    assert ([message.seq for message in third.messages], third.more) == ([4], False)


async def test_a_number_higher_than_the_chats_starts_afresh(ann: Actor, ben: Actor, chat_id: UUID) -> None:
    sent = await ann.say(chat_id)
    for since in (3, 2**63 - 1):
        found = await changes(ben, chat_id, since)
        assert (found.reset, found.more, found.seq, found.messages) == (True, False, 2, [sent])
        assert {member.user.id for member in found.members} == {ann.id, ben.id}


async def test_more_than_a_thousand_changes_start_afresh_with_the_newest_page(new_parley: NewParley) -> None:
    parley = await new_parley(max_sync_changes=60)
    assert Settings.model_fields["max_sync_changes"].default == 1000
    ann, ben = await Actor.create(parley), await Actor.create(parley)
    chat_id = await ann.group(ben)
    sent = [await ann.say(chat_id) for _ in range(58)]
    assert not (await changes(ann, chat_id, 0)).reset
    sent += [await ann.say(chat_id) for _ in range(3)]
    edited = await ann.do(messages.edit, chat_id=chat_id, message_id=sent[20].id, body="new")
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    found = await changes(ann, chat_id, 0)
    assert (found.reset, found.more, found.seq) == (True, False, 64)
    assert [message.id for message in found.messages] == [one.id for one in sent[-50:] if one.id != edited.id] + [
        edited.id
    ]
    assert [member.user.id for member in found.members] == [ann.id]
    assert not (await changes(ann, chat_id, 4)).reset


async def test_is_for_members_only(ann: Actor, ben: Actor, cat: Actor, chat_id: UUID) -> None:
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    for actor in (ben, cat):
        with pytest.raises(NotFound):
            await changes(actor, chat_id, 0)


@pytest.mark.parametrize("limit", [0, 101])
async def test_a_page_of_an_impossible_size_is_refused(ann: Actor, chat_id: UUID, limit: int) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await changes(ann, chat_id, 0, limit=limit)
    assert refused.value.field == "limit"


async def test_what_a_node_reads_for_all_is_the_same_for_everyone_and_complete(
    ann: Actor, chat_id: UUID, new_actor: NewActor
) -> None:
    sent = [await ann.say(chat_id) for _ in range(120)]
    async with ann.parley.snapshot() as tx:
        found = await sync.gap(tx, chat_id=chat_id, since=1)
        assert await sync.gap(tx, chat_id=(await new_actor()).id, since=0) is None
    assert found is not None
    assert not isinstance(found.chat, views.MyChat)
    assert [message.id for message in found.messages] == [message.id for message in sent]
    assert (found.seq, found.more, found.reset) == (121, False, False)
