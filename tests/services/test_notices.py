import asyncio
from uuid import UUID

import pytest

from services import members, reads
from services.notices import TYPING_EVERY
from services.parley import Parley
from tests.services.conftest import Connect
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient
from tests.support.eventually import eventually


@pytest.fixture
async def chat_id(ann: Actor, ben: Actor) -> UUID:
    """Ann's group, with Ben."""
    return await ann.group(ben)


def read_frames(client: ChatClient) -> list[tuple[str, int]]:
    return [(frame["user_id"], frame["seq"]) for frame in client.of_type("read")]


async def test_the_others_see_who_is_typing(
    parley: Parley, ann: Actor, ben: Actor, cat: Actor, chat_id: UUID, connect: Connect
) -> None:
    anns, bens, cats = [await connect(actor) for actor in (ann, ben, cat)]
    await parley.typed(actor=ann.id, chat_id=chat_id)
    assert bens.of_type("typing") == [{"type": "typing", "chat_id": str(chat_id), "user_id": str(ann.id)}]
    assert anns.of_type("typing") == cats.of_type("typing") == []


async def test_typing_is_told_once_in_two_seconds_for_each_person_and_chat(
    parley: Parley, ann: Actor, ben: Actor, cat: Actor, connect: Connect
) -> None:
    first, second = await ann.group(ben, cat), await ann.group(ben)
    bens = await connect(ben)
    for _ in range(3):
        await parley.typed(actor=ann.id, chat_id=first)
    await parley.typed(actor=cat.id, chat_id=first)
    await parley.typed(actor=ann.id, chat_id=second)
    assert len(bens.of_type("typing")) == 3
    told_at = asyncio.get_running_loop().time()
    while len(bens.of_type("typing")) == 3:
        assert asyncio.get_running_loop().time() - told_at < TYPING_EVERY + 2
        await parley.typed(actor=ann.id, chat_id=first)
        await asyncio.sleep(0.05)
    assert asyncio.get_running_loop().time() - told_at > TYPING_EVERY - 0.3


async def test_someone_who_is_not_in_the_chat_types_unseen(
    parley: Parley, ann: Actor, ben: Actor, cat: Actor, chat_id: UUID, connect: Connect
) -> None:
    anns = await connect(ann)
    await parley.typed(actor=cat.id, chat_id=chat_id)
    await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
    await parley.typed(actor=ben.id, chat_id=chat_id)
    assert anns.of_type("typing") == []


async def test_everyone_hears_how_far_someone_has_read_the_reader_too(
    ann: Actor, ben: Actor, chat_id: UUID, connect: Connect
) -> None:
    for _ in range(3):
        await ann.say(chat_id)
    anns, bens = await connect(ann), await connect(ben)
    for seq in (2, 3, 4, 3):
        await ben.do(reads.mark, chat_id=chat_id, seq=seq)
    mark = (str(ben.id), 4)
    await eventually(lambda: mark in read_frames(anns) and mark in read_frames(bens), within=2)
    for client in (anns, bens):
        assert [seq for user_id, seq in read_frames(client) if user_id == str(ben.id)] == [4]


async def test_sending_moves_ones_own_mark_for_all_to_see(
    ann: Actor, ben: Actor, chat_id: UUID, connect: Connect
) -> None:
    bens = await connect(ben)
    await ann.say(chat_id)
    sent = await ann.say(chat_id)
    await eventually(lambda: read_frames(bens), within=2)
    assert read_frames(bens) == [(str(ann.id), sent.seq)]


async def test_a_mark_that_does_not_move_is_not_told(ann: Actor, ben: Actor, chat_id: UUID, connect: Connect) -> None:
    await ann.say(chat_id)
    await ben.do(reads.mark, chat_id=chat_id, seq=2)
    bens = await connect(ben)
    await ben.do(reads.mark, chat_id=chat_id, seq=1)
    await ben.do(reads.mark, chat_id=chat_id, seq=2)
    sent = await ann.say(chat_id)
    await eventually(lambda: (str(ann.id), sent.seq) in read_frames(bens), within=2)
    assert [seq for user_id, seq in read_frames(bens) if user_id == str(ben.id)] == []
