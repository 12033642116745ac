"""What a client makes of events and of `sync` is what a fresh fetch says, whatever people do at whatever time."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services import chats, events, members, messages, reactions, reads
from services.errors import ParleyError
from services.events import Announcement
from services.hub import Hub, Seat
from services.hub_reader import DatabaseReader
from services.parley import Parley
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient, fresh, known
from tests.support.processes import until

EMOJI = ["👍", "😀", "❤️"]
DEEDS = [
    "send", "send", "send", "retry", "edit", "edit", "delete", "react", "react", "unreact", "read", "read",
    "add", "add", "remove", "leave", "rename", "close", "reopen", "reopen", "transfer",
]  # fmt: skip


@dataclass(frozen=True)
class Step:
    """Something that one of three people tries, in the group or in the private chat of the first two."""

    deed: str
    actor: int
    other: int
    pick: int
    private: bool


STEPS = st.builds(
    Step,
    deed=st.sampled_from(DEEDS),
    actor=st.integers(0, 2),
    other=st.integers(0, 2),
    pick=st.integers(0, 20),
    private=st.sampled_from([False, False, False, True]),
)
BOUNDED = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


class World:
    """Three people who act, a witness who only looks, their group, and the private chat of two of them."""

    def __init__(self, people: list[Actor], group: UUID, private: UUID) -> None:
        self.people = people
        self.group, self.private = group, private
        self.sent: dict[UUID, list[UUID]] = {group: [], private: []}
        self.numbers: dict[UUID, list[int]] = {group: [1], private: [1]}

    @classmethod
    async def create(cls, parley: Parley) -> "World":
        people = [await Actor.create(parley) for _ in range(4)]
        return cls(people, await people[0].group(*people[1:]), await people[0].private(people[1]))

    async def perform(self, step: Step) -> list[Announcement]:
        """Try a step; what it announces is returned, which is nothing when it is refused."""
        chat_id = self.private if step.private else self.group
        try:
            announcements = await self._announced(step, chat_id)
        except ParleyError:
            return []
        self.numbers[chat_id] += [announcement.seq for announcement in announcements]
        return announcements

    async def _announced(self, step: Step, chat_id: UUID) -> list[Announcement]:
        actor = self.people[step.actor]
        if step.deed in {"send", "retry"}:
            nonce = f"nonce {step.pick % 3}" if step.deed == "retry" else None
            message, is_new = await actor.send(chat_id, f"text {step.pick}", nonce=nonce)
            if is_new:
                self.sent[chat_id].append(message.id)
            return [events.message_created(message)] if is_new else []
        verb, arguments = self._deed(step, chat_id)
        async with actor.parley.transaction() as tx:
            await verb(tx, actor=actor.id, chat_id=chat_id, **arguments)
        return tx.announcements

    def _deed(self, step: Step, chat_id: UUID) -> tuple[Callable[..., Awaitable[Any]], dict[str, Any]]:
        sent = self.sent[chat_id]
        message = {"message_id": sent[step.pick % len(sent)] if sent else chat_id}
        other = {"user_id": self.people[step.other].id}
        deeds: dict[str, tuple[Callable[..., Awaitable[Any]], dict[str, Any]]] = {
            "edit": (messages.edit, message | {"body": f"edit {step.pick % 3}"}),
            "delete": (messages.delete, message),
            "react": (reactions.add, message | {"emoji": EMOJI[step.pick % 3]}),
            "unreact": (reactions.remove, message | {"emoji": EMOJI[step.pick % 3]}),
            "read": (reads.mark, {"seq": step.pick}),
            "add": (members.add, other),
            "remove": (members.remove, other),
            "leave": (members.remove, {"user_id": self.people[step.actor].id}),
            "rename": (chats.rename, {"title": f"title {step.pick % 3}"}),
            "close": (chats.close, {}),
            "reopen": (chats.reopen, {}),
            "transfer": (chats.transfer, other),
        }
        return deeds[step.deed]

    async def check(self) -> None:
        """Numbers have no holes, and what is unread is what lies after the mark."""
        for actor in self.people:
            for chat in await actor.see(chats.list_for):
                assert self.numbers[chat.id] == list(range(1, chat.seq + 1))
                page = await actor.page(chat.id, limit=100)
                assert not page.more
                assert chat.unread == sum(message.seq > chat.read_seq for message in page.messages)


@BOUNDED
@given(
    plan=st.lists(st.one_of(STEPS, st.tuples(st.integers(0, 3), st.integers(1, 5))), max_size=40),
    last_limit=st.integers(1, 100),
)
async def test_an_old_state_and_what_changed_since_make_a_fresh_fetch(
    parley: Parley, plan: list[Step | tuple[int, int]], last_limit: int
) -> None:
    world = await World.create(parley)
    clients = [ChatClient(actor) for actor in world.people]
    for step in plan:
        if isinstance(step, Step):
            await world.perform(step)
        else:
            which, limit = step
            await catch_up_everywhere(world, clients[which], limit)
    for client in clients:
        await catch_up_everywhere(world, client, last_limit)
        assert known(client) == await fresh(client.actor)
        for chat_id, state in client.chats.items():
            async with parley.snapshot() as tx:
                marks = await reads.of_members(tx, chat_id=UUID(chat_id))
            assert state.reads == {str(user_id): seq for user_id, seq in marks.items()}
    await world.check()


async def catch_up_everywhere(world: World, client: ChatClient, limit: int) -> None:
    client.to_sync = {str(world.group), str(world.private)}
    await client.catch_up(limit=limit)


Fate = str
MOVES = st.tuples(st.sampled_from(["connect", "disconnect", "catch up"]), st.integers(0, 2))
SEND = Step("send", actor=0, other=0, pick=0, private=False)
REMOVE = Step("remove", actor=0, other=1, pick=0, private=False)


@BOUNDED
@given(
    plan=st.lists(
        st.one_of(st.tuples(STEPS, st.sampled_from(["now", "now", "now", "later", "lost"])), MOVES), max_size=30
    ),
    shuffle=st.randoms(use_true_random=False),
)
@example(  # a removal is lost: the gap that it leaves tells who may still hear
    plan=[("connect", 1), ("catch up", 1), (REMOVE, "lost")], shuffle=random.Random(0)
)
@example(  # an answer to `sync` overtakes an event, which then brings nothing new
    plan=[("connect", 0), (SEND, "now"), (SEND, "later"), ("catch up", 0)], shuffle=random.Random(0)
)
async def test_events_that_are_late_or_lost_make_a_fresh_fetch_all_the_same(
    parley: Parley, plan: list[tuple[Step, Fate] | tuple[str, int]], shuffle: random.Random
) -> None:
    world = await World.create(parley)
    node = Node(parley, world)
    try:
        await node.connect(3)
        for step, detail in plan:
            if isinstance(step, Step):
                await node.spread(await world.perform(step), str(detail))
            else:
                await node.move(step, int(detail))
        node.deliver_late(shuffle)
        await node.hub.compare()
        await until(node.is_up_to_date, otherwise=node.differences)
        await world.check()
    finally:
        await node.hub.stop()


class Node:
    """The hub of another node, which hears of changes late, in any order, or never."""

    def __init__(self, parley: Parley, world: World) -> None:
        self.hub = Hub(DatabaseReader(parley))
        self.clients = [ChatClient(actor) for actor in world.people]
        self.seats: dict[int, Seat] = {}
        self.late: list[Announcement] = []
        self.expected: list[Any] = []

    async def connect(self, which: int) -> None:
        if which not in self.seats:
            client, soon = self.clients[which], datetime.now(UTC) + timedelta(hours=1)
            self.seats[which] = Seat(client.write, user_id=client.actor.id, expires_at=soon)
            await self.hub.join(self.seats[which])

    async def move(self, move: str, which: int) -> None:
        if move == "connect":
            await self.connect(which)
        elif move == "disconnect" and which in self.seats:
            self.hub.leave(self.seats.pop(which))
        elif move == "catch up":
            await self.clients[which].catch_up()

    async def spread(self, news: list[Announcement], fate: Fate) -> None:
        if fate == "later":
            self.late += news
        elif fate == "now":
            for announcement in news:
                self.hub.announce(announcement)

    def deliver_late(self, shuffle: random.Random) -> None:
        shuffle.shuffle(self.late)
        for announcement in self.late:
            self.hub.announce(announcement)

    async def is_up_to_date(self) -> bool:
        for which in self.seats:
            await self.clients[which].catch_up()
        self.expected = [await fresh(self.clients[which].actor) for which in self.seats]
        return [known(self.clients[which]) for which in self.seats] == self.expected

    def differences(self) -> str:
        return "\n".join(
            f"{which}: knows {known(self.clients[which])}\nand not {expected}"
            for which, expected in zip(self.seats, self.expected, strict=True)
        )
