"""The server's HTTP protocol with two bounds that it lacks: on the size of a request's head, and on waiting for it.

The parser keeps a request's head whatever its size, and waits for the rest of it for ever, so a stranger could fill
the memory with one request and take every file descriptor with requests that never end.
"""

import asyncio
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

TOO_LARGE = b"431 Request Header Fields Too Large"
TOO_SLOW = b"408 Request Timeout"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One HTTP connection that is cut when a request's head is too large, or does not come."""

    most_head: ClassVar[int] = 64 * 1024
    """Bytes, give or take what is read at once, that may come outside a body: a request's head, and its trailers."""

    head_patience: ClassVar[float] = 20.0
    """Seconds within which a request's head must be there, from the connection or from its first byte."""

    body_patience: ClassVar[float] = 30.0
    """Seconds that the next part of a body may take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Set up as the server does."""
        super().__init__(*args, **kwargs)
        self._outside_body = 0
        self._begun = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._wait(self.head_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is too much outside a body."""
        self._outside_body += len(data)
        super().data_received(data)
        if self._outside_body > self.most_head and not self.transport.is_closing():
            self._refuse(TOO_LARGE)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, which from now on keeps its own time."""
        self._outside_body = 0
        self._wait(None)
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """Wait for the rest of the head."""
        super().on_message_begin()
        self._begun = True
        self._wait(self.head_patience)

    def on_headers_complete(self) -> None:
        """Wait for the body."""
        self._outside_body = 0
        self._wait(self.body_patience)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Wait for the next part."""
        self._outside_body = 0
        self._wait(self.body_patience)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._outside_body = 0
        self._wait(None)
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.flow.read_paused:
            self._wait(self.body_patience)  # it is we who do not read
        elif not self._begun:
            # Browsers connect in advance, and would take an answer for that to the request which they send later.
            self.transport.close()
        else:
            self._refuse(TOO_SLOW)

    def _refuse(self, status: bytes) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
