"""Who is online: a person with at least one connection to any node.

Each node tells the others when one of its people comes or goes, and in which chats, so that a node knows whom it
concerns without asking the database.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

import msgspec

from services import frames
from services.bus import Bus
from services.hub import Hub, Seat

GATHERED_FOR = 0.5
"""Seconds that changes are gathered, so that a thousand people coming online are few frames."""

GRACE = 2.0
"""Seconds after the last connection until someone counts as offline; a page reload takes less."""

TOPIC = "presence"


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One node's news of one person."""

    node_id: str
    user_id: UUID
    online: bool
    chat_ids: list[UUID]


@dataclass(slots=True)
class _Going:
    """Someone whose last connection ended a moment ago, and the chats that will be told."""

    timer: asyncio.TimerHandle
    chat_ids: set[UUID]


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Change).decode


class Presence:
    """Keeps who is online, and tells those who share a chat with them.

    :param hub: this node's connections. :param bus: the way to the other nodes.
    """

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self._hub = hub
        self._bus = bus
        self._nodes: dict[UUID, set[str]] = {}
        self._pending: dict[UUID, dict[UUID, bool]] = {}
        self._going: dict[UUID, _Going] = {}
        self._flushing: asyncio.TimerHandle | None = None
        bus.subscribe(TOPIC, self._hear)
        bus.on_node_found(self._introduce_to)
        bus.on_node_lost(self._lose)

    def online(self) -> Collection[UUID]:
        """Return the ids of all who are online."""
        return self._nodes.keys()

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
            frame = frames.encode(frames.Presence(online=present, offline=[]))
            for seat in self._hub.seats_of(user_id):
                seat.push(None, None, frame)
            if user_id in self._nodes:
                self._tell([chat_id], user_id, online=True)

    def stop(self) -> None:
        """End the timers."""
        for going in self._going.values():
            going.timer.cancel()
        if self._flushing is not None:
            self._flushing.cancel()

    def _gone(self, user_id: UUID) -> None:
        going = self._going.pop(user_id)
        if not self._hub.seats_of(user_id):
            self._note(Change(self._bus.node_id, user_id, False, list(going.chat_ids)), publish=True)

    def _hear(self, payload: bytes) -> None:
        self._note(_unpack(payload), publish=False)

    def _note(self, change: Change, *, publish: bool) -> None:
        nodes = self._nodes.setdefault(change.user_id, set())
        was_online, known = bool(nodes), change.node_id in nodes
        if change.online:
            nodes.add(change.node_id)
        else:
            nodes.discard(change.node_id)
        if not nodes:
            del self._nodes[change.user_id]
        if bool(nodes) != was_online:
            self._tell(change.chat_ids, change.user_id, online=bool(nodes))
        if publish and known != change.online:
            self._bus.publish(TOPIC, _pack(change))

    def _introduce_to(self, _node_id: str) -> None:
        for user_id, nodes in self._nodes.items():
            if self._bus.node_id in nodes:
                chat_ids = list(self._hub.chats_of(user_id))
                self._bus.publish(TOPIC, _pack(Change(self._bus.node_id, user_id, True, chat_ids)))

    def _lose(self, node_id: str) -> None:
        for user_id in [user_id for user_id, nodes in self._nodes.items() if node_id in nodes]:
            # Which chats they shared with us went with the node: everybody here is told.
            chat_ids = self._hub.chat_ids()
            self._note(Change(node_id, user_id, False, chat_ids), publish=False)

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
            frame = _frame(changes)
            for seat in seats:
                seat.push(None, None, frame)


def _frame(changes: dict[UUID, bool]) -> bytes:
    online = [user_id for user_id, is_online in changes.items() if is_online]
    offline = [user_id for user_id, is_online in changes.items() if not is_online]
    return frames.encode(frames.Presence(online=online, offline=offline))
