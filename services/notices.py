"""Events without a number: who is typing, and how far people have read."""

import asyncio
import time
from uuid import UUID

from services import events, frames
from services.bus import Bus
from services.events import ReadMoved, Typed
from services.hub import Hub

TYPING_EVERY = 2.0
"""Seconds between two typing events of one person in one chat."""

READS_GATHERED_FOR = 0.5
"""Seconds that read marks are gathered; of each person's marks in a chat the last one goes out."""

MOST_TYPING = 10_000
"""People and chats remembered as typing before the stale ones are forgotten."""

TYPING_TOPIC = "typing"
READ_TOPIC = "read"


Reads = dict[tuple[UUID, UUID], ReadMoved]
"""The last read mark of each chat and person."""


class Notices:
    """Sends typing events and read marks to those who hear the chat, on this node and the others.

    :param hub: this node's connections. :param bus: the way to the other nodes.
    """

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self._hub = hub
        self._bus = bus
        self._typed: dict[tuple[UUID, UUID], float] = {}
        self._to_show: Reads = {}
        self._to_publish: Reads = {}
        self._flushing: asyncio.TimerHandle | None = None
        bus.subscribe(TYPING_TOPIC, lambda payload: self._show_typing(events.unpack_typed(payload)))
        bus.subscribe(READ_TOPIC, lambda payload: self._show_reads(events.unpack_reads(payload)))

    def typed(self, typed: Typed) -> None:
        """Show the others that someone is typing, unless they were told less than 2 s ago."""
        if time.monotonic() - self._typed.get((typed.chat_id, typed.user_id), -TYPING_EVERY) >= TYPING_EVERY:
            self._show_typing(typed)
            self._bus.publish(TYPING_TOPIC, events.pack(typed))

    def moved_read(self, moved: ReadMoved) -> None:
        """Tell a chat soon that someone's read mark moved."""
        if self._hub.seats_in(moved.chat_id):
            _gather(self._to_show, moved)
        if not self._bus.alone:
            _gather(self._to_publish, moved)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(READS_GATHERED_FOR, self._flush)

    def stop(self) -> None:
        """Tell what was gathered and end the timer."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flush()

    def _show_typing(self, typed: Typed) -> None:
        # What other nodes tell counts too: someone may type at two devices, on two nodes.
        now = time.monotonic()
        if len(self._typed) >= MOST_TYPING:
            self._typed = {known: at for known, at in self._typed.items() if now - at < TYPING_EVERY}
        self._typed[typed.chat_id, typed.user_id] = now
        frame = frames.encode(frames.TypingNotice(chat_id=typed.chat_id, user_id=typed.user_id))
        self._hub.send_to_chat(typed.chat_id, frame, except_user=typed.user_id)

    def _flush(self) -> None:
        shown, published = list(self._to_show.values()), list(self._to_publish.values())
        self._to_show, self._to_publish, self._flushing = {}, {}, None
        self._show_reads(shown)
        if published:
            self._bus.publish(READ_TOPIC, events.pack(published))

    def _show_reads(self, moved: list[ReadMoved]) -> None:
        by_chat: dict[UUID, list[bytes]] = {}
        for one in moved:
            if self._hub.seats_in(one.chat_id):
                frame = frames.ReadNotice(chat_id=one.chat_id, user_id=one.user_id, seq=one.seq)
                by_chat.setdefault(one.chat_id, []).append(frames.encode(frame))
        for chat_id, encoded in by_chat.items():
            self._hub.send_to_chat(chat_id, *encoded)


def _gather(reads: Reads, moved: ReadMoved) -> None:
    key = (moved.chat_id, moved.user_id)
    if key not in reads or reads[key].seq < moved.seq:
        reads[key] = moved
