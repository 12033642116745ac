import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services import chats, events, frames, members, messages, reactions, sync
from services.errors import Forbidden, Unavailable, ValidationFailed
from services.events import Announcement
from services.hub import Hub, Seat
from services.hub_reader import DatabaseReader
from services.parley import Parley
from services.transaction import Transaction
from tests.services.conftest import Connect, NewActor
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient, fresh, known
from tests.support.eventually import eventually

SOON = timedelta(hours=1)


class BusyReader(DatabaseReader):
    """Reads as a node does, and lets something happen right after each `hello` was read and before it is sent."""

    def __init__(self, parley: Parley) -> None:
        super().__init__(parley)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def hello(self, user_id: UUID, expires_at: datetime) -> frames.Hello:
        read = await super().hello(user_id, expires_at)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        return read


class LateReader(DatabaseReader):
    """Reads as a node does, but lets something happen before one's chats are read, and an audience wait."""

    def __init__(self, parley: Parley) -> None:
        super().__init__(parley)
        self.before: Callable[[], Awaitable[None]] | None = None
        self.audience_may_be_read = asyncio.Event()

    async def chat_ids(self, user_id: UUID) -> list[UUID]:
        if self.before is not None:
            await self.before()
        return await super().chat_ids(user_id)

    async def audience(self, chat_id: UUID) -> members.Audience | None:
        await self.audience_may_be_read.wait()
        return await super().audience(chat_id)


class OtherNode:
    """The hub of another node: it hears only of what a test passes on to it."""

    def __init__(self, parley: Parley) -> None:
        self.parley = parley
        self.reader = BusyReader(parley)
        self.hub = Hub(self.reader)

    async def connect(self, actor: Actor) -> ChatClient:
        client = ChatClient(actor)
        client.seat = Seat(client.write, user_id=actor.id, expires_at=datetime.now(UTC) + SOON)
        await self.hub.join(client.seat)
        await client.catch_up()
        return client

    async def do(self, actor: Actor, verb: Callable[..., Awaitable[Any]], **arguments: Any) -> list[Announcement]:
        """Act; what is to be announced is returned."""
        async with self.parley.transaction() as tx:
            await verb(tx, actor=actor.id, **arguments)
        return tx.announcements

    async def send(self, actor: Actor, chat_id: UUID, body: str) -> list[Announcement]:
        """Send a message; what is to be announced is returned."""
        return [events.message_created(await actor.say(chat_id, body))]

    def hear(self, *news: Announcement) -> None:
        for announcement in news:
            self.hub.announce(announcement)


async def rename_and_fail(tx: Transaction, *, actor: UUID, chat_id: UUID) -> None:
    await chats.rename(tx, actor=actor, chat_id=chat_id, title="never committed")
    raise Forbidden("Not this time.")


@pytest.fixture
async def node(parley: Parley) -> AsyncIterator[OtherNode]:
    node = OtherNode(parley)
    yield node
    await node.hub.stop()


class TestHello:
    async def test_comes_first_with_ones_chats_and_the_people_in_them(
        self, ann: Actor, ben: Actor, connect: Connect
    ) -> None:
        chat_id = await ann.private(ben)
        await ben.say(chat_id)
        client = await connect(ann)
        (hello,) = client.frames
        assert (hello["type"], hello["protocol"]) == ("hello", frames.PROTOCOL)
        assert hello["user"]["id"] == str(ann.id)
        assert [(chat["id"], chat["unread"]) for chat in hello["chats"]] == [(str(chat_id), 1)]
        assert [user["id"] for user in hello["users"]] == [str(ben.id)]

    async def test_is_followed_by_what_happened_while_it_was_read(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)

        async def meanwhile() -> None:
            node.hear(*await node.send(ann, chat_id, "just now"))

        node.reader.meanwhile = meanwhile
        client = await node.connect(ben)
        assert [frame["type"] for frame in client.frames] == ["hello", "message.created"]
        assert client.frames[1]["message"]["body"] == "just now"

    async def test_is_not_followed_by_what_it_contains(self, node: OtherNode, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        news = await node.send(ann, chat_id, "before")
        client = await node.connect(ben)
        node.hear(*news)
        node.hear(*await node.send(ann, chat_id, "after"))
        assert client.numbers(chat_id) == [3]

    async def test_is_not_outrun_by_a_look_at_who_joined_its_chats(
        self, parley: Parley, ann: Actor, ben: Actor
    ) -> None:
        node, reader = OtherNode(parley), LateReader(parley)
        node.hub = Hub(reader)
        chat_id = await ann.group(ben)
        reader.before = node.hub.compare
        client = await node.connect(ben)
        news = await node.send(ann, chat_id, "after the hello")
        reader.audience_may_be_read.set()
        await eventually(lambda: client.numbers(chat_id) == [2])
        node.hear(*news)
        node.hear(*await node.send(ann, chat_id, "and this"))
        assert client.numbers(chat_id) == [2, 3]
        await node.hub.stop()

    async def test_of_a_second_connection_keeps_the_first_in_order(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)
        first = await node.connect(ann)
        late = await node.send(ann, chat_id, "late")
        second = await node.connect(ben)
        node.hear(*late)
        assert (first.numbers(chat_id), second.numbers(chat_id)) == ([2], [])

    async def test_knows_of_a_chat_that_one_joined_meanwhile(self, node: OtherNode, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group()

        async def meanwhile() -> None:
            node.hear(*await node.do(ann, members.add, chat_id=chat_id, user_id=ben.id))
            node.hear(*await node.send(ann, chat_id, "welcome"))

        node.reader.meanwhile = meanwhile
        client = await node.connect(ben)
        await eventually(lambda: known(client).get(str(chat_id), {}).get("seq") == 3 or client.to_sync)
        await client.catch_up()
        assert known(client) == await fresh(ben)

    async def test_does_not_bring_back_a_chat_that_one_was_removed_from_meanwhile(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)

        async def meanwhile() -> None:
            node.hear(*await node.do(ann, members.remove, chat_id=chat_id, user_id=ben.id))
            node.hear(*await node.send(ann, chat_id, "secret"))

        node.reader.meanwhile = meanwhile
        client = await node.connect(ben)
        await asyncio.sleep(0)
        assert [frame["type"] for frame in client.frames] == ["hello", "chat.removed"]
        assert client.numbers(chat_id) == []
        node.hear(*await node.send(ann, chat_id, "secret"))
        assert client.numbers(chat_id) == []

    async def test_that_cannot_be_read_leaves_no_seat(self, node: OtherNode, ann: Actor) -> None:
        async def meanwhile() -> None:
            raise Unavailable

        node.reader.meanwhile = meanwhile
        with pytest.raises(Unavailable):
            await node.connect(ann)
        assert node.hub.connection_count == 0
        assert node.hub.chat_ids() == []


class TestEvents:
    async def test_reach_all_members_and_the_sender_once_committed(
        self, ann: Actor, ben: Actor, cat: Actor, connect: Connect
    ) -> None:
        chat_id = await ann.group(ben)
        clients = [await connect(actor) for actor in (ann, ben, cat)]
        sent = await ann.say(chat_id)
        edited = await ann.do(messages.edit, chat_id=chat_id, message_id=sent.id, body="new")
        await ben.do(reactions.add, chat_id=chat_id, message_id=sent.id, emoji="👍")
        for client in clients[:2]:
            # Read marks and presence are gathered, and may come between.
            heard = [frame for frame in client.frames if frame["type"] not in {"read", "presence"}]
            types = [frame["type"] for frame in heard]
            assert types == ["hello", "message.created", "message.updated", "message.updated"]
            assert heard[2]["message"]["body"] == edited.body
        assert [frame["type"] for frame in clients[2].frames] == ["hello"]

    async def test_of_a_refused_action_do_not_exist(self, ann: Actor, ben: Actor, connect: Connect) -> None:
        chat_id = await ann.group(ben)
        client = await connect(ben)
        with pytest.raises(ValidationFailed):
            await ann.say(chat_id, "")
        with pytest.raises(Forbidden):
            await ann.do(rename_and_fail, chat_id=chat_id)
        assert client.numbers(chat_id) == []

    async def test_are_in_order_though_many_people_act_at_once(
        self, ann: Actor, ben: Actor, connect: Connect
    ) -> None:
        chat_id = await ann.group(ben)
        client = await connect(ben)
        await asyncio.gather(*(actor.say(chat_id) for actor in (ann, ben) * 10))
        await eventually(lambda: client.numbers(chat_id)[-1:] == [21])
        assert client.numbers(chat_id) == sorted(set(client.numbers(chat_id)))
        assert known(client) == await fresh(ben)

    async def test_tell_of_a_new_chat_and_a_new_member(self, ann: Actor, ben: Actor, connect: Connect) -> None:
        anns, bens = await connect(ann), await connect(ben)
        chat_id = await ann.group()
        await ann.do(members.add, chat_id=chat_id, user_id=ben.id)
        await eventually(lambda: anns.of_type("member.added"))
        assert anns.of_type("chat.added")[0]["chat"]["id"] == str(chat_id)
        added = bens.of_type("chat.added")[0]
        assert (added["chat"]["seq"], {user["id"] for user in added["users"]}) == (2, {str(ann.id), str(ben.id)})

    async def test_reach_nobody_numbered_after_their_removal(self, ann: Actor, ben: Actor, connect: Connect) -> None:
        chat_id = await ann.group(ben)
        anns, bens = await connect(ann), await connect(ben)
        removal = ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
        await asyncio.gather(ann.say(chat_id), ann.say(chat_id), removal, ann.say(chat_id), ann.say(chat_id))
        await eventually(lambda: anns.numbers(chat_id)[-1:] == [6] and bens.of_type("chat.removed"))
        changes = await ann.see(sync.changes, chat_id=chat_id, since=0)
        (removed_at,) = [member.version for member in changes.members if member.left_at is not None]
        assert max(bens.numbers(chat_id), default=0) < removed_at
        assert bens.of_type("chat.removed") == [{"type": "chat.removed", "chat_id": str(chat_id)}]
        assert str(chat_id) not in bens.chats

    async def test_reach_someone_who_came_back(self, ann: Actor, ben: Actor, connect: Connect) -> None:
        chat_id = await ann.group(ben)
        bens = await connect(ben)
        await ann.do(members.remove, chat_id=chat_id, user_id=ben.id)
        await ann.say(chat_id)
        await ann.do(members.add, chat_id=chat_id, user_id=ben.id)
        await ann.say(chat_id)
        await eventually(lambda: str(chat_id) in bens.chats and bens.chats[str(chat_id)].heard == 5)
        await bens.catch_up()
        assert known(bens) == await fresh(ben)

    async def test_stop_when_the_seat_is_given_up(self, node: OtherNode, ann: Actor) -> None:
        chat_id = await ann.group()
        client = await node.connect(ann)
        assert client.seat is not None
        for _ in range(2):
            node.hub.leave(client.seat)
        node.hear(*await node.send(ann, chat_id, "unheard"))
        assert client.numbers(chat_id) == []
        assert node.hub.chat_ids() == []


class TestAnnouncements:
    async def test_out_of_order_are_delivered_in_order(self, node: OtherNode, ann: Actor) -> None:
        chat_id = await ann.group()
        client = await node.connect(ann)
        news = [await node.send(ann, chat_id, str(number)) for number in range(4)]
        for (one,) in reversed(news):
            node.hear(one)
        node.hear(*news[0])
        assert client.numbers(chat_id) == [2, 3, 4, 5]
        assert client.of_type("sync") == []

    async def test_that_are_lost_are_made_up_for_by_a_sync_within_the_patience(
        self, node: OtherNode, ann: Actor
    ) -> None:
        chat_id = await ann.group()
        client = await node.connect(ann)
        await node.send(ann, chat_id, "lost")
        started = asyncio.get_running_loop().time()
        node.hear(*await node.send(ann, chat_id, "heard"))
        assert client.numbers(chat_id) == []
        await eventually(lambda: client.of_type("sync"))
        assert asyncio.get_running_loop().time() - started > 0.09
        (page,) = client.of_type("sync")
        assert [message["body"] for message in page["messages"]] == ["lost", "heard"]
        assert "re" not in page
        assert known(client) == await fresh(ann)

    async def test_whose_last_is_lost_are_made_up_for_by_comparing(self, node: OtherNode, ann: Actor) -> None:
        chat_id = await ann.group()
        client = await node.connect(ann)
        await node.send(ann, chat_id, "lost")
        await node.hub.compare()
        await eventually(lambda: client.of_type("sync"))
        assert known(client) == await fresh(ann)

    async def test_whose_last_is_lost_are_made_up_for_by_a_running_node_itself(
        self, new_actor: NewActor, connect: Connect, parley: Parley, node: OtherNode
    ) -> None:
        ann = await new_actor()
        chat_id = await ann.group()
        client = await connect(ann)
        async with parley.transaction() as tx:
            await chats.rename(tx, actor=ann.id, chat_id=chat_id, title="lost")
            tx.announcements.clear()
        await eventually(lambda: client.of_type("sync"), within=5)
        assert known(client) == await fresh(ann)

    async def test_of_a_removal_that_are_lost_still_end_what_the_removed_hears(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)
        anns, bens = await node.connect(ann), await node.connect(ben)
        await node.do(ann, members.remove, chat_id=chat_id, user_id=ben.id)
        node.hear(*await node.send(ann, chat_id, "secret"))
        await eventually(lambda: anns.of_type("sync"))
        assert [frame["type"] for frame in bens.frames] == ["hello", "chat.removed"]

    async def test_of_an_addition_that_are_lost_still_bring_the_chat(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group()
        anns, bens = await node.connect(ann), await node.connect(ben)
        await node.do(ann, members.add, chat_id=chat_id, user_id=ben.id)
        await node.hub.compare()
        await eventually(lambda: anns.of_type("sync"))
        assert bens.of_type("chat.added")
        await bens.catch_up()
        assert known(bens) == await fresh(ben)

    async def test_of_an_addition_to_a_chat_that_nobody_here_hears_are_made_up_for_by_comparing(
        self, node: OtherNode, ann: Actor, ben: Actor, cat: Actor
    ) -> None:
        chat_id = await ann.group()
        bens, cats = await node.connect(ben), await node.connect(cat)
        await node.hub.compare()
        await node.do(ann, members.add, chat_id=chat_id, user_id=ben.id)
        private = await ann.private(ben)
        await node.hub.compare()
        await eventually(lambda: len(bens.of_type("chat.added")) == 2)
        await bens.catch_up()
        assert known(bens) == await fresh(ben)
        assert set(known(bens)) == {str(chat_id), str(private)}
        await node.hub.compare()
        await asyncio.sleep(0)
        assert len(bens.of_type("chat.added")) == 2
        assert [frame["type"] for frame in cats.frames] == ["hello"]

    async def test_of_an_addition_that_was_begun_before_the_last_look_are_made_up_for(
        self, node: OtherNode, parley: Parley, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group()
        bens = await node.connect(ben)
        async with parley.transaction() as tx:
            await members.add(tx, actor=ann.id, chat_id=chat_id, user_id=ben.id)
            tx.announcements.clear()
            await node.hub.compare()
        await node.hub.compare()
        await eventually(lambda: bens.of_type("chat.added"))

    async def test_of_a_removal_that_is_the_last_change_are_made_up_for_by_comparing(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group(ben)
        bens = await node.connect(ben)
        await node.do(ann, members.remove, chat_id=chat_id, user_id=ben.id)
        await node.hub.compare()
        await eventually(lambda: bens.of_type("chat.removed"))
        assert (known(bens), await fresh(ben)) == ({}, {})
        await eventually(lambda: not node.hub.chat_ids())

    async def test_of_many_chats_are_all_made_up_for(self, node: OtherNode, ann: Actor, ben: Actor) -> None:
        chat_ids = [await ann.group(ben) for _ in range(12)]
        bens = await node.connect(ben)
        for chat_id in chat_ids:
            await node.send(ann, chat_id, "lost")
        await node.hub.compare()
        await eventually(lambda: len(bens.of_type("sync")) == 12)
        assert known(bens) == await fresh(ben)

    async def test_of_an_addition_that_is_over_again_bring_nothing(
        self, node: OtherNode, ann: Actor, ben: Actor
    ) -> None:
        chat_id = await ann.group()
        bens = await node.connect(ben)
        added = await node.do(ann, members.add, chat_id=chat_id, user_id=ben.id)
        await node.do(ann, members.remove, chat_id=chat_id, user_id=ben.id)
        node.hear(*added)
        await eventually(lambda: not node.hub.chat_ids())
        assert [frame["type"] for frame in bens.frames] == ["hello"]

    async def test_of_chats_that_nobody_here_hears_are_dropped(self, node: OtherNode, ann: Actor) -> None:
        chat_id = await ann.group()
        node.hear(*await node.send(ann, chat_id, "unheard"))
        node.hear(*await node.do(ann, chats.rename, chat_id=chat_id, title="Unheard"))
        assert node.hub.chat_ids() == []


class TestWhatTheHubKnows:
    async def test_is_who_is_connected_and_what_they_hear(self, node: OtherNode, ann: Actor, ben: Actor) -> None:
        chat_id = await ann.group(ben)
        await node.connect(ann)
        second = await node.connect(ann)
        await node.connect(ben)
        assert node.hub.connection_count == 3
        assert len(node.hub.seats_of(ann.id)) == 2
        assert len(node.hub.seats_in(chat_id)) == 3
        assert second.seat in node.hub.seats_of(ann.id)
        assert node.hub.seats_in(ann.id) == set()
