"""Who must be told at once when a session ends: sockets and open pages.

A session ends by expiry, which needs no message, or by being ended here or on another node.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from services.bus import Bus

TOPIC = "session"

LONGEST_TIMER = 24 * 3600.0
"""Seconds; asyncio's timers take no longer ones than a selector can wait for, so a longer wait is cut up."""

REMEMBERED = 10_000
"""Ends that are remembered, for those who were checking a session just when it ended."""


@dataclass(slots=True)
class _Watched:
    expires_at: datetime
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class SessionEnds:
    """Calls back when a session ends, within a second and on whichever node it was ended.

    :param bus: the way to the other nodes.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._watched: dict[UUID, _Watched] = {}
        self._ended: OrderedDict[UUID, None] = OrderedDict()
        bus.subscribe(TOPIC, lambda payload: self._end(UUID(bytes=payload)))

    def watch(self, session_id: UUID, expires_at: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Have ``callback`` called once when the session ends; at once when it has ended already.

        :return: a function that ends the watch; calling it again does nothing.
        """
        watched = self._watched.get(session_id)
        if watched is None:
            watched = self._watched[session_id] = _Watched(expires_at)
        watched.callbacks.append(callback)
        if watched.timer is None:
            self._arm(session_id, watched)

        def unwatch() -> None:
            if callback in watched.callbacks:
                watched.callbacks.remove(callback)
            if not watched.callbacks:
                self._forget(session_id, watched)

        return unwatch

    def holds(self, session_id: UUID, expires_at: datetime) -> bool:
        """Tell whether a session that was found to hold still does, as far as this node has heard."""
        return session_id not in self._ended and datetime.now(UTC) < expires_at

    def end(self, session_id: UUID) -> None:
        """Tell all who watch a session, on every node, that it is over."""
        self._end(session_id)
        self._bus.publish(TOPIC, session_id.bytes)

    def watched(self) -> list[UUID]:
        """Return the sessions that somebody here watches."""
        return list(self._watched)

    def end_here(self, session_ids: list[UUID]) -> None:
        """Tell those who watch on this node only; for what was read from the database."""
        for session_id in session_ids:
            self._end(session_id)

    def stop(self) -> None:
        """End the timers."""
        for watched in self._watched.values():
            if watched.timer is not None:
                watched.timer.cancel()

    def _arm(self, session_id: UUID, watched: _Watched) -> None:
        left = (watched.expires_at - datetime.now(UTC)).total_seconds()
        if left <= 0 or session_id in self._ended:
            self._tell(session_id)
            return
        loop = asyncio.get_running_loop()
        watched.timer = loop.call_later(min(left, LONGEST_TIMER), self._arm, session_id, watched)

    def _forget(self, session_id: UUID, watched: _Watched) -> None:
        if self._watched.get(session_id) is watched:
            del self._watched[session_id]
        if watched.timer is not None:
            watched.timer.cancel()

    def _end(self, session_id: UUID) -> None:
        self._ended[session_id] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        self._tell(session_id)

    def _tell(self, session_id: UUID) -> None:
        watched = self._watched.get(session_id)
        if watched is None:
            return
        self._forget(session_id, watched)
        callbacks, watched.callbacks = watched.callbacks, []
        for callback in callbacks:
            callback()
