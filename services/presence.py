"""Who is online: a person with at least one connection to any node.

Each node tells the others when one of its people comes or goes, and in which chats, so that a node knows whom it
concerns without asking the database. Where something may have been missed (a node is found, the bus lost messages)
the roll is called: each node names all its people, and what differs is put right.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, KeysView, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from services import frames
from services.bus import Bus
from services.hub import Hub, Seat
from services.wire import framed

GATHERED_FOR = 0.5
"""Seconds that changes are gathered, so that a thousand people coming online are few frames."""

GRACE = 2.0
"""Seconds after the last connection, or the end of a node, until someone counts as offline.

A page reload takes less, and so does moving to another node.
"""

ROLL_GATHERED_FOR = 0.3
"""Seconds in which calls of the roll are answered by one answer."""

TOPIC = "presence"
ROLL_TOPIC = "roll"
CALL_TOPIC = "roll call"


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One node's news of one person."""

    node_id: str
    user_id: UUID
    online: bool
    chat_ids: list[UUID]


class Roll(msgspec.Struct, frozen=True, array_like=True):
    """All people with a connection to a node: their ids, 16 bytes each."""

    node_id: str
    ids: bytes


@dataclass(slots=True)
class _Going:
    """Someone whose last connection ended a moment ago, and the chats that will be told."""

    timer: asyncio.TimerHandle
    chat_ids: set[UUID]


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Change).decode
_unpack_roll = msgspec.msgpack.Decoder(Roll).decode


class Presence:
    """Keeps who is online, and tells those who share a chat with them.

    :param hub: this node's connections. :param bus: the way to the other nodes.
    """

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self._hub = hub
        self._bus = bus
        self.on_turned: Callable[[list[UUID]], None] = lambda _user_ids: None
        self._nodes: dict[UUID, set[str]] = {}
        self._elsewhere: set[UUID] = set()
        self._pending: dict[UUID, dict[UUID, bool]] = {}
        self._going: dict[UUID, _Going] = {}
        self._lost: dict[str, asyncio.TimerHandle] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._answering: asyncio.TimerHandle | None = None
        bus.subscribe(TOPIC, self._hear)
        bus.subscribe(ROLL_TOPIC, self._compare)
        bus.subscribe(CALL_TOPIC, lambda _payload: self._answer_soon())
        bus.on_node_found(lambda _node_id: self._call_roll())
        bus.on_reconnect(self._call_roll)
        bus.on_node_lost(self._lose)

    def online(self) -> KeysView[UUID]:
        """Return the ids of all who are online."""
        return self._nodes.keys()

    def out_of_sight(self) -> set[UUID]:
        """Return the ids of those who are online without this node: at others, or gone from here a moment ago."""
        return self._elsewhere | self._going.keys()

    def came(self, seat: Seat) -> None:
        """Note a connection that has its seat."""
        if going := self._going.pop(seat.user_id, None):
            going.timer.cancel()
        self._note(Change(self._bus.node_id, seat.user_id, True, list(seat.chats)), publish=True)

    def went(self, seat: Seat, chat_ids: Iterable[UUID]) -> None:
        """Note a connection that gave up its seat.

        :param chat_ids: the chats it heard.
        """
        user_id = seat.user_id
        if not self._hub.seats_of(user_id) and user_id not in self._going:
            timer = asyncio.get_running_loop().call_later(GRACE, self._gone, user_id)
            self._going[user_id] = _Going(timer, set(chat_ids))

    def joining(self, chat_id: UUID, user_ids: Iterable[UUID]) -> None:
        """Note who joins a chat: those who are on the point of going offline go offline there too."""
        for user_id in user_ids:
            if user_id in self._going:
                self._going[user_id].chat_ids.add(chat_id)

    def meet(self, chat_id: UUID, *, joined: Collection[UUID], member_ids: Collection[UUID]) -> None:
        """Make those who joined a chat and those who are in it known to each other."""
        present = [user_id for user_id in member_ids if user_id in self._nodes]
        for user_id in joined:
            frame = framed(frames.encode(frames.Presence(online=present, offline=[])))
            for seat in self._hub.seats_of(user_id):
                seat.push(None, None, frame)
            if user_id in self._nodes:
                self._tell([chat_id], user_id, online=True)

    def tell(self, chats: Mapping[UUID, Collection[UUID]]) -> None:
        """Tell people's chats whether they are online.

        :param chats: for each person the ids of their chats.
        """
        for user_id, chat_ids in chats.items():
            self._tell(chat_ids, user_id, online=user_id in self._nodes)

    def stop(self) -> None:
        """End the timers."""
        going = [going.timer for going in self._going.values()]
        for timer in (*going, *self._lost.values(), self._flushing, self._answering):
            if timer is not None:
                timer.cancel()

    def _gone(self, user_id: UUID) -> None:
        going = self._going.pop(user_id)
        if not self._hub.seats_of(user_id):
            self._note(Change(self._bus.node_id, user_id, False, list(going.chat_ids)), publish=True)

    def _hear(self, payload: bytes) -> None:
        self._note(_unpack(payload), publish=False)

    def _note(self, change: Change, *, publish: bool) -> None:
        known = change.node_id in self._nodes.get(change.user_id, ())
        if self._turn(change.node_id, change.user_id, online=change.online):
            self._tell(change.chat_ids, change.user_id, online=change.online)
        if publish and known != change.online:
            self._bus.publish(TOPIC, _pack(change))

    def _turn(self, node_id: str, user_id: UUID, *, online: bool) -> bool:
        """Note whether someone is connected to a node; tell whether they came or went altogether by that."""
        nodes = self._nodes.setdefault(user_id, set())
        was_online = bool(nodes)
        if online:
            nodes.add(node_id)
        else:
            nodes.discard(node_id)
        if not nodes:
            del self._nodes[user_id]
        if nodes and self._bus.node_id not in nodes:
            self._elsewhere.add(user_id)
        else:
            self._elsewhere.discard(user_id)
        return bool(nodes) != was_online

    def _people_of(self, node_id: str) -> set[UUID]:
        return {user_id for user_id, nodes in self._nodes.items() if node_id in nodes}

    # The roll

    def _call_roll(self) -> None:
        self._bus.publish(CALL_TOPIC, b"")
        self._answer_soon()

    def _answer_soon(self) -> None:
        if self._answering is None:
            self._answering = asyncio.get_running_loop().call_later(ROLL_GATHERED_FOR, self._answer)

    def _answer(self) -> None:
        self._answering = None
        node_id = self._bus.node_id
        ids = b"".join(user_id.bytes for user_id in self._people_of(node_id))
        self._bus.publish(ROLL_TOPIC, _pack(Roll(node_id, ids)))

    def _compare(self, payload: bytes) -> None:
        roll = _unpack_roll(payload)
        self._spare(roll.node_id)
        named = {UUID(bytes=roll.ids[at : at + 16]) for at in range(0, len(roll.ids), 16)}
        self._put_right(roll.node_id, named)

    def _lose(self, node_id: str) -> None:
        self._spare(node_id)
        self._lost[node_id] = asyncio.get_running_loop().call_later(GRACE, self._bury, node_id)

    def _spare(self, node_id: str) -> None:
        if timer := self._lost.pop(node_id, None):
            timer.cancel()

    def _bury(self, node_id: str) -> None:
        del self._lost[node_id]
        self._put_right(node_id, set())

    def _put_right(self, node_id: str, people: set[UUID]) -> None:
        """Make these the people of a node; whom it concerns, only the database knows."""
        different = people ^ self._people_of(node_id)
        turned = [user_id for user_id in different if self._turn(node_id, user_id, online=user_id in people)]
        if turned:
            self.on_turned(turned)

    # Telling

    def _tell(self, chat_ids: Iterable[UUID], user_id: UUID, *, online: bool) -> None:
        for chat_id in chat_ids:
            if self._hub.seats_in(chat_id):
                self._pending.setdefault(chat_id, {})[user_id] = online
        if self._pending and self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(GATHERED_FOR, self._flush)

    def _flush(self) -> None:
        pending, self._pending, self._flushing = self._pending, {}, None
        concerned: dict[Seat, list[UUID]] = {}
        for chat_id in pending:
            for seat in self._hub.seats_in(chat_id):
                concerned.setdefault(seat, []).append(chat_id)
        alike: dict[tuple[UUID, ...], list[Seat]] = {}
        for seat, chat_ids in concerned.items():
            alike.setdefault(tuple(chat_ids), []).append(seat)
        for chat_ids_alike, seats in alike.items():
            changes: dict[UUID, bool] = {}
            for chat_id in chat_ids_alike:
                changes |= pending[chat_id]
            frame = framed(_frame(changes))
            for seat in seats:
                seat.push(None, None, frame)


def _frame(changes: dict[UUID, bool]) -> bytes:
    online = [user_id for user_id, is_online in changes.items() if is_online]
    offline = [user_id for user_id, is_online in changes.items() if not is_online]
    return frames.encode(frames.Presence(online=online, offline=offline))
