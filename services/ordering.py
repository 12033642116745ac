"""The ordered queue of one chat: announcements leave it by number, without holes, whatever order they came in."""

from collections.abc import Callable

from services.events import Announcement


class OrderedQueue:
    """Holds announcements back until all that come before them have been delivered.

    Until :meth:`start` says which number the receivers already know, everything waits.

    :param deliver: called with announcements in order, with all at once that follow each other without a hole.
    """

    __slots__ = ("_deliver", "_waiting", "delivered")

    def __init__(self, deliver: Callable[[list[Announcement]], None]) -> None:
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

    def offer(self, *announcements: Announcement) -> None:
        """Deliver announcements now, hold them back, or drop them as already known."""
        known = -1 if self.delivered is None else self.delivered
        self._waiting |= {
            announcement.seq: announcement for announcement in announcements if announcement.seq > known
        }
        self._flush()

    def _flush(self) -> None:
        if self.delivered is None:
            return
        run: list[Announcement] = []
        while following := self._waiting.pop(self.delivered + 1, None):
            self.delivered = following.seq
            run.append(following)
        if run:
            self._deliver(run)
