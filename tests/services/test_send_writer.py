import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services import chats, members
from services.acting import acting
from services.errors import ChatClosed, NotAuthenticated, NotFound, Unavailable, ValidationFailed
from services.parley import Parley
from tests.services.conftest import Connect, NewActor, NewParley
from tests.support.actor import Actor
from tests.support.processes import until


async def bodies(actor: Actor, *chat_ids: UUID) -> list[str | None]:
    """The texts of these chats, oldest first in each."""
    pages = [await actor.page(chat_id, limit=100) for chat_id in chat_ids]
    return [message.body for page in pages for message in reversed(page.messages)]


async def commits(parley: Parley, chat_id: UUID) -> int:
    """How many transactions wrote the messages of a chat (PostgreSQL, 5.6 System Columns)."""
    async with parley.snapshot() as tx:
        query = text("SELECT count(DISTINCT xmin::text) FROM messages WHERE chat_id = :chat_id")
        return int(await tx.session.scalar(query, {"chat_id": chat_id}) or 0)


async def somebody_waits(parley: Parley) -> None:
    """Return once a statement waits for a lock in the node's database."""

    async def waits() -> bool:
        async with parley.snapshot() as tx:
            query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(await tx.session.scalar(query))

    await until(waits, otherwise=lambda: "nobody waits for a lock")


async def test_what_is_sent_while_others_commit_commits_together(parley: Parley, ann: Actor, ben: Actor) -> None:
    chat_id = await ann.group(ben)
    await asyncio.gather(*(actor.say(chat_id) for actor in (ann, ben) * 50))
    assert await ann.seq(chat_id) == 101
    assert await commits(parley, chat_id) < 20


async def test_messages_are_numbered_in_the_order_in_which_they_were_sent(ann: Actor, ben: Actor) -> None:
    first, second = await ann.group(ben), await ann.private(ben)
    sends = [(actor, chat_id) for actor in (ann, ben) for chat_id in (first, second)] * 20
    sent = await asyncio.gather(*(actor.say(chat_id, str(place)) for place, (actor, chat_id) in enumerate(sends)))
    for chat_id in (first, second):
        assert [message.seq for message in sent if message.chat_id == chat_id] == list(range(2, 42))


async def test_everyone_hears_in_order_what_commits_together(ann: Actor, ben: Actor, connect: Connect) -> None:
    chat_id = await ann.group(ben)
    client = await connect(ben)
    await asyncio.gather(*(ann.say(chat_id, str(number)) for number in range(60)))
    assert client.numbers(chat_id) == list(range(2, 62))


async def test_a_nonce_sent_twice_in_one_group_makes_one_message(ann: Actor) -> None:
    chat_id = await ann.group()
    sent = await asyncio.gather(*(ann.send(chat_id, str(number), nonce=f"{number % 3}") for number in range(9)))
    assert [is_new for _, is_new in sent] == [True] * 3 + [False] * 6
    assert [message.body for message, _ in sent] == ["0", "1", "2"] * 3
    assert await bodies(ann, chat_id) == ["0", "1", "2"]


async def test_a_nonce_sent_on_two_nodes_at_once_makes_one_message(new_parley: NewParley, redis_url: str) -> None:
    east = await new_parley(REDIS_URL=redis_url)
    url = east.engine.url.render_as_string(hide_password=False)
    west = await new_parley(database_url=url, REDIS_URL=redis_url)
    ann = await Actor.create(east)
    ann_west = Actor(west, ann.user)
    chat_id = await ann.group()
    for number in range(20):
        (one, one_new), (other, other_new) = await asyncio.gather(
            ann.send(chat_id, "east", nonce=f"{number}"), ann_west.send(chat_id, "west", nonce=f"{number}")
        )
        assert one == other
        assert {one_new, other_new} == {True, False}
    assert await ann.seq(chat_id) == 21


class TestAChatThatSomethingElseHolds:
    async def test_delays_no_other_and_gets_its_messages_in_order_when_it_is_free(
        self, parley: Parley, ann: Actor, ben: Actor
    ) -> None:
        held, free = await ann.group(ben), await ann.group(ben)
        async with parley.transaction() as tx:
            await chats.rename(tx, actor=ann.id, chat_id=held, title="Slow")
            waiting = [asyncio.create_task(ann.say(held, str(number))) for number in range(5)]
            await asyncio.gather(*(ben.say(free, str(number)) for number in range(5)))
            waiting += [asyncio.create_task(ann.say(held, str(number))) for number in range(5, 10)]
            await ben.say(free, "5")
            assert not any(task.done() for task in waiting)
        sent = await asyncio.gather(*waiting)
        assert [message.seq for message in sent] == list(range(3, 13))
        assert await bodies(ann, held, free) == [*map(str, range(10)), *map(str, range(6))]
        assert (await ann.say(held)).seq == 13

    async def test_is_closed_to_what_waited_while_it_was_closed(self, parley: Parley, ann: Actor) -> None:
        chat_id = await ann.group()
        async with parley.transaction() as tx:
            await chats.close(tx, actor=ann.id, chat_id=chat_id)
            waiting = asyncio.create_task(ann.say(chat_id))
            await somebody_waits(parley)
        with pytest.raises(ChatClosed):
            await waiting

    async def test_takes_nothing_from_someone_who_was_removed_meanwhile(
        self, parley: Parley, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)
        async with parley.transaction() as tx:
            await members.remove(tx, actor=ann.id, chat_id=chat_id, user_id=ben.id)
            waiting = asyncio.create_task(ben.say(chat_id))
            await somebody_waits(parley)
        with pytest.raises(NotFound):
            await waiting
        assert await bodies(ann, chat_id) == []

    async def test_takes_nothing_for_a_session_that_ended_meanwhile(self, parley: Parley, ann: Actor) -> None:
        chat_id = await ann.group()
        over: list[bool] = []
        async with parley.transaction() as tx:
            await chats.rename(tx, actor=ann.id, chat_id=chat_id, title="Slow")
            with acting(lambda: not over):
                first = asyncio.create_task(ann.say(chat_id, "waits in the database"))
            await somebody_waits(parley)
            with acting(lambda: not over):
                second = asyncio.create_task(ann.say(chat_id, "waits for the first"))
            third = asyncio.create_task(ann.say(chat_id, "for another session"))
            await asyncio.sleep(0)
            over.append(True)
        for refused in (first, second):
            with pytest.raises(NotAuthenticated):
                await refused
        await third
        assert await bodies(ann, chat_id) == ["for another session"]


async def test_a_message_that_the_database_refuses_harms_no_other(new_parley: NewParley) -> None:
    parley = await new_parley()
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    async with parley.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE messages ADD CHECK (body <> 'poison')"))
    sends = (ann.say(chat_id, "poison" if number == 4 else str(number)) for number in range(9))
    sent = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(one) for one in sent].count(Unavailable) == 1
    assert isinstance(sent[4], Unavailable)
    assert await bodies(ann, chat_id) == ["0", "1", "2", "3", "5", "6", "7", "8"]


@pytest.mark.parametrize(
    ("fields", "field"), [({"body": " "}, "body"), ({"nonce": ""}, "nonce"), ({"reply_to": UUID(int=0)}, "reply_to")]
)
async def test_a_malformed_message_takes_no_number(ann: Actor, fields: dict[str, Any], field: str) -> None:
    chat_id = await ann.group()
    with pytest.raises(ValidationFailed) as refused:
        await ann.say(chat_id, **fields)
    assert refused.value.field == field
    assert (await ann.say(chat_id)).seq == 2


async def test_a_malformed_message_to_a_chat_one_is_not_in_tells_nothing_of_the_chat(ann: Actor, ben: Actor) -> None:
    chat_id = await ann.group()
    for body in ("", "Hello"):
        with pytest.raises(NotFound):
            await ben.say(chat_id, body)


async def test_more_than_may_wait_is_refused_and_what_waits_is_not(new_parley: NewParley) -> None:
    parley = await new_parley(max_sends_waiting=3)
    ann = await Actor.create(parley)
    chat_id = await ann.group()
    async with parley.transaction() as tx:
        await chats.rename(tx, actor=ann.id, chat_id=chat_id, title="Slow")
        waiting = [asyncio.create_task(ann.say(chat_id, str(number))) for number in range(3)]
        await somebody_waits(parley)
        with pytest.raises(Unavailable):
            await ann.say(chat_id, "too much")
    await asyncio.gather(*waiting)
    assert await bodies(ann, chat_id) == ["0", "1", "2"]


async def test_a_sender_who_goes_away_leaves_the_message(ann: Actor, connect: Connect) -> None:
    chat_id = await ann.group()
    client = await connect(ann)
    request = asyncio.create_task(ann.say(chat_id, "gone"))
    await asyncio.sleep(0)
    request.cancel()
    await ann.say(chat_id, "here")
    assert await bodies(ann, chat_id) == ["gone", "here"]
    assert client.numbers(chat_id) == [2, 3]


async def test_a_node_that_stops_writes_what_waits(new_parley: NewParley, new_actor: NewActor) -> None:
    parley = await new_parley()
    ann = await new_actor(parley=parley)
    chat_id = await ann.group()
    sending = [asyncio.create_task(ann.say(chat_id, str(number))) for number in range(50)]
    await asyncio.sleep(0)
    await parley.sends.stop()
    assert [message.seq for message in await asyncio.gather(*sending)] == list(range(2, 52))
    assert len(await bodies(ann, chat_id)) == 50
