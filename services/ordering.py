"""The ordered queue of one chat: announcements leave it by number, without holes, whatever order they came in."""

from collections.abc import Callable

from services.events import Announcement


class OrderedQueue:
    """Holds announcements back until all that come before them have been delivered.

    Until :meth:`start` says which number the receivers already know, everything waits.

    :param deliver: called with each announcement in order.
    """

    __slots__ = ("_deliver", "_waiting", "delivered")

    def __init__(self, deliver: Callable[[Announcement], None]) -> None:
        self._deliver = deliver
        self._waiting: dict[int, Announcement] = {}
        self.delivered: int | None = None

    @property
    def has_gap(self) -> bool:
        """Whether something waits for a number that has not come."""
        return bool(self._waiting)

    def start(self, seq: int) -> None:
        """Go on from ``seq``: the receivers know everything up to it by other means."""
        if self.delivered is not None and seq <= self.delivered:
            return
        self.delivered = seq
        self._waiting = {number: held for number, held in self._waiting.items() if number > seq}
        self._flush()

    def offer(self, announcement: Announcement) -> None:
        """Deliver an announcement now, hold it back, or drop it as already known."""
        if self.delivered is not None and announcement.seq <= self.delivered:
            return
        self._waiting[announcement.seq] = announcement
        self._flush()

    def _flush(self) -> None:
        while self.delivered is not None and (following := self._waiting.pop(self.delivered + 1, None)):
            self.delivered = following.seq
            self._deliver(following)
