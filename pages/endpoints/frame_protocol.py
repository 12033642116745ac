"""The server's WebSocket protocol with one addition: a way to write ready-made frames.

ASGI sends each message through several layers for each connection. What the hub sends is the same bytes for
hundreds of connections, so the hub writes it straight to the transport (an ASGI extension, ``parley.frames``).
"""

from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

from pages.endpoints.idle import Gate, Inbox

EXTENSION = "parley.frames"

RESTARTING = 1012
NOT_UTF8 = 1007

MOST_FRAGMENTS = 4096
"""Pieces in which one message may come; empty ones would count towards no other limit."""

CLOSE_PATIENCE = 5.0
"""Seconds that a client has to answer a close before its connection is cut."""

RESTART_PATIENCE = 2.0
"""The same when the server stops."""


class FrameProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection that also takes ready-made text frames."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Set up as the server does."""
        super().__init__(*args, **kwargs)
        self.queue = cast(Any, Inbox())
        self.writable = cast(Any, Gate())
        self._exceeded: Callable[[], None] = _nothing
        self._ending: Callable[[], None] = _nothing

    @property
    def write(self) -> Callable[[bytes], None]:
        """Writes what is framed, at once: the transport's own, because a broadcast calls it a thousand times.

        Nobody may call it once the connection is ending.
        """
        return self.transport.write

    def watch(self, most_unsent: int, *, exceeded: Callable[[], None], ending: Callable[[], None]) -> None:
        """Be told what becomes of the connection.

        :param most_unsent: bytes that the client may leave untaken before ``exceeded`` is called.
        :param ending: called when nothing may be written any more, perhaps more than once.
        """
        self.transport.set_write_buffer_limits(high=most_unsent)
        self._exceeded, self._ending = exceeded, ending
        if self.closing:
            ending()

    def forget_handshake(self) -> None:
        """Let go of the headers, which an open connection would keep; nobody asks for them again."""
        self.request.headers.clear()
        self.response.headers.clear()
        cast(list[Any], self.scope["headers"]).clear()

    def pause_writing(self) -> None:
        """Note that the client leaves too much untaken."""
        super().pause_writing()
        self._exceeded()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client is gone."""
        self._ending()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """Give up a client that does not answer pings."""
        self._ending()
        super().keepalive_timeout()

    def data_received(self, data: bytes) -> None:
        """Take what came; a handshake that cannot be read is answered too, and the connection ends."""
        super().data_received(data)
        if self.closing:
            self._ending()
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """Offer the extension to the application."""
        super().handle_connect(event)
        if not self.handshake_complete:
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = {"writer": self}

    def handle_cont(self, event: Frame) -> None:
        """Take the next piece of a message, unless there are too many."""
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
        else:
            self._abort()  # politeness would mean reading on

    def handle_ping(self) -> None:
        """Answer a ping, unless the connection ends."""
        if self.close_sent:
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; a text that is not UTF-8 ends the connection (RFC 6455, section 8.1), and no more."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.close_with(NOT_UTF8, "not UTF-8")
        else:
            super().send_receive_event_to_app()

    async def send(self, message: ASGISendEvent) -> None:
        """Do what the application says; a handshake that it refused is complete, not forgotten."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def shutdown(self) -> None:
        """End the connection because the server stops.

        An open one takes what still comes until the client answers: closing a socket with unread data resets it (RFC
        1122, 4.2.2.13), and the client would lose the word of the restart.
        """
        if self.handshake_complete and not self.close_sent:
            self.close_with(RESTARTING, "restarting", patience=RESTART_PATIENCE)
        else:
            super().shutdown()

    @property
    def closing(self) -> bool:
        """Whether the connection ends, though the client may not know it yet."""
        return self.close_sent or self.transport.is_closing()

    def close_with(self, code: int, reason: str, *, patience: float = CLOSE_PATIENCE) -> None:
        """Close with a code of the application's; the connection is cut when the client does not answer.

        :param patience: seconds that it has for that.
        """
        if self.closing or self.disconnected:
            return
        self._ending()
        try:
            self.conn.send_close(code, reason)
        except InvalidState:
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(patience, self._abort)

    def _abort(self) -> None:
        self.transport.abort()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _nothing() -> None:
    """Nobody watches."""
