import asyncio
from uuid import UUID

import pytest

from services import members, reads
from services.errors import NotFound, ValidationFailed
from tests.support.actor import Actor


@pytest.fixture
async def chat_id(ann: Actor, ben: Actor) -> UUID:
    """Ann's group with Ben, and three messages of hers, numbered 2 to 4."""
    chat_id = await ann.group(ben)
    for _ in range(3):
        await ann.say(chat_id)
    return chat_id


async def mark(actor: Actor, chat_id: UUID, seq: int) -> tuple[int, int]:
    """Move the mark and return where it is, and how many are unread."""
    await actor.do(reads.mark, chat_id=chat_id, seq=seq)
    chat = await actor.chat(chat_id)
    return chat.read_seq, chat.unread


async def test_what_is_at_or_before_the_mark_counts_as_read(ben: Actor, chat_id: UUID) -> None:
    assert await mark(ben, chat_id, 2) == (2, 2)
    assert await mark(ben, chat_id, 4) == (4, 0)


async def test_a_mark_never_goes_back(ben: Actor, chat_id: UUID) -> None:
    await mark(ben, chat_id, 4)
    assert await mark(ben, chat_id, 2) == (4, 0)
    assert await mark(ben, chat_id, 0) == (4, 0)


@pytest.mark.parametrize("seq", [5, 2**63 - 1, 2**100])
async def test_a_mark_never_goes_beyond_the_chats_number(ann: Actor, ben: Actor, chat_id: UUID, seq: int) -> None:
    assert await mark(ben, chat_id, seq) == (4, 0)
    await ann.say(chat_id)
    assert await ben.unread(chat_id) == 1


async def test_a_mark_may_be_at_a_number_that_is_no_message(
    ann: Actor, ben: Actor, cat: Actor, chat_id: UUID
) -> None:
    await ann.do(members.add, chat_id=chat_id, user_id=cat.id)
    await ann.say(chat_id)
    assert await mark(ben, chat_id, 5) == (5, 1)


async def test_a_mark_takes_no_number(ben: Actor, chat_id: UUID) -> None:
    await mark(ben, chat_id, 3)
    assert await ben.seq(chat_id) == 4


async def test_a_negative_number_is_refused(ben: Actor, chat_id: UUID) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await mark(ben, chat_id, -1)
    assert refused.value.field == "seq"


async def test_only_members_have_a_mark(ann: Actor, ben: Actor, cat: Actor, chat_id: UUID) -> None:
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    for actor in (ben, cat):
        with pytest.raises(NotFound):
            await mark(actor, chat_id, 3)
    async with ann.parley.snapshot() as tx:
        assert await reads.of_members(tx, chat_id=chat_id) == {ann.id: 4}


async def test_of_many_marks_at_once_the_furthest_stays(ben: Actor, chat_id: UUID) -> None:
    await asyncio.gather(*(mark(ben, chat_id, seq) for seq in (2, 4, 3, 2, 4, 3)))
    chat = await ben.chat(chat_id)
    assert (chat.read_seq, chat.unread) == (4, 0)


async def test_marks_and_messages_at_once_agree_in_the_end(ann: Actor, ben: Actor, chat_id: UUID) -> None:
    for _ in range(5):
        await asyncio.gather(ann.say(chat_id), ben.say(chat_id), mark(ben, chat_id, 2**40), mark(ann, chat_id, 2**40))
        for actor in (ann, ben):
            chat = await actor.chat(chat_id)
            after = [message for message in (await actor.page(chat_id)).messages if message.seq > chat.read_seq]
            assert chat.unread == len(after)
