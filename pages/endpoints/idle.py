"""A queue and a gate that hold nothing while nothing happens.

Each of ``asyncio``'s keeps deques of 760 bytes for those who may wait, five of them for a WebSocket connection. Most
connections of a chat do nothing most of the time, and there are thousands.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """What one reader has not taken yet; in place of :class:`asyncio.Queue`."""

    __slots__ = ("_items", "_waking")

    def __init__(self) -> None:
        self._items: deque[T] | None = None
        self._waking: asyncio.Future[None] | None = None

    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return self._items is None

    def put_nowait(self, item: T) -> None:
        """Let the reader have something more."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        if self._waking is not None and not self._waking.done():
            self._waking.set_result(None)

    async def get(self) -> T:
        """Take what came first, or wait for it; only one may wait."""
        while self._items is None:
            self._waking = asyncio.get_running_loop().create_future()
            try:
                await self._waking
            finally:
                self._waking = None
        item = self._items.popleft()
        if not self._items:
            self._items = None
        return item


class Gate:
    """Open until it is closed; in place of :class:`asyncio.Event`."""

    __slots__ = ("_opening",)

    def __init__(self) -> None:
        self._opening: asyncio.Event | None = None

    def set(self) -> None:
        """Open, and let those through who wait."""
        if self._opening is not None:
            self._opening.set()
            self._opening = None

    def clear(self) -> None:
        """Close."""
        if self._opening is None:
            self._opening = asyncio.Event()

    async def wait(self) -> None:
        """Return once it is open."""
        if self._opening is not None:
            await self._opening.wait()
