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


class Notices:
    """Sends typing events and read marks to those who hear the chat, on this node and the others.

    :param hub: this node's connections. :param bus: the way to the other nodes.
    """

    def __init__(self, hub: Hub, bus: Bus) -> None:
        self._hub = hub
        self._bus = bus
        self._typed: dict[tuple[UUID, UUID], float] = {}
        self._reads: dict[UUID, dict[UUID, int]] = {}
        self._flushing: asyncio.TimerHandle | None = None
        bus.subscribe(TYPING_TOPIC, lambda payload: self._show_typing(events.unpack_typed(payload)))
        bus.subscribe(READ_TOPIC, lambda payload: self._gather(events.unpack_read(payload)))

    def typed(self, typed: Typed) -> None:
        """Show the others that someone is typing, unless they were told less than 2 s ago."""
        if time.monotonic() - self._typed.get((typed.chat_id, typed.user_id), -TYPING_EVERY) >= TYPING_EVERY:
            self._show_typing(typed)
            self._bus.publish(TYPING_TOPIC, events.pack(typed))

    def moved_read(self, moved: ReadMoved) -> None:
        """Tell a chat soon that someone's read mark moved."""
        self._gather(moved)
        self._bus.publish(READ_TOPIC, events.pack(moved))

    def stop(self) -> None:
        """End the timer."""
        if self._flushing is not None:
            self._flushing.cancel()

    def _show_typing(self, typed: Typed) -> None:
        # What other nodes tell counts too: someone may type at two devices, on two nodes.
        now = time.monotonic()
        if len(self._typed) >= MOST_TYPING:
            self._typed = {known: at for known, at in self._typed.items() if now - at < TYPING_EVERY}
        self._typed[typed.chat_id, typed.user_id] = now
        frame = frames.encode(frames.TypingNotice(chat_id=typed.chat_id, user_id=typed.user_id))
        self._hub.send_to_chat(typed.chat_id, frame, except_user=typed.user_id)

    def _gather(self, moved: ReadMoved) -> None:
        if not self._hub.seats_in(moved.chat_id):
            return
        of_chat = self._reads.setdefault(moved.chat_id, {})
        of_chat[moved.user_id] = max(moved.seq, of_chat.get(moved.user_id, 0))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(READS_GATHERED_FOR, self._flush)

    def _flush(self) -> None:
        reads, self._reads, self._flushing = self._reads, {}, None
        for chat_id, of_chat in reads.items():
            notices = [
                frames.encode(frames.ReadNotice(chat_id=chat_id, user_id=user_id, seq=seq))
                for user_id, seq in of_chat.items()
            ]
            self._hub.send_to_chat(chat_id, *notices)
