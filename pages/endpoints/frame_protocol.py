"""The server's WebSocket protocol with one addition: a way to write ready-made frames.

ASGI sends each message through several layers for each connection. What the hub sends is the same bytes for
hundreds of connections, so the endpoint writes it straight to the transport (an ASGI extension, ``parley.frames``).
"""

import sys
from collections.abc import Callable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

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
        self._outgoing: list[bytes] = []
        self._most_unsent = sys.maxsize
        self._exceeded: Callable[[], None] = self._abort

    def data_received(self, data: bytes) -> None:
        """Take what came; a handshake that cannot be read is answered too, and the connection ends."""
        super().data_received(data)
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
        """Answer a ping, unless the connection ends; a client that takes none of the answers ends it."""
        if self.close_sent:
            self.conn.data_to_send()
            return
        super().handle_ping()
        if self.transport.get_write_buffer_size() > self._most_unsent:
            self._exceeded()

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

    def write_text(self, payload: bytes) -> None:
        """Send a text message; what is written in the same turn of the event loop leaves in one write.

        :param payload: UTF-8, not yet framed.
        """
        self._write(FRAMER.frame(payload))

    def write_texts(self, payloads: tuple[bytes, ...]) -> None:
        """Send text messages, as above; the same tuple may go to many connections."""
        self._write(FRAMER.frame_all(payloads))

    def _write(self, framed: bytes) -> None:
        if not self._outgoing:
            UNFLUSHED.add(self)
        self._outgoing.append(framed)

    def limit_unsent(self, most: int, exceeded: Callable[[], None]) -> None:
        """Have ``exceeded`` called when the client leaves more than ``most`` bytes untaken."""
        self._most_unsent, self._exceeded = most, exceeded

    def flush(self) -> None:
        """Hand what was written to the transport."""
        outgoing, self._outgoing = self._outgoing, []
        if not outgoing or self.closing:
            return
        self.transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
        if self.transport.get_write_buffer_size() > self._most_unsent:
            self._exceeded()

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
        self.flush()
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


class Framer:
    """Frames a text message; the one before is remembered, because a broadcast sends the same to all in a row."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._payload = self._frame = b""
        self._payloads: tuple[bytes, ...] = ()
        self._frames = b""

    def frame(self, payload: bytes) -> bytes:
        """Frame a message as a server does: unmasked, in one piece (RFC 6455, section 5.2)."""
        if payload is not self._payload:
            self._payload, self._frame = payload, _header(len(payload)) + payload
        return self._frame

    def frame_all(self, payloads: tuple[bytes, ...]) -> bytes:
        """Frame messages that leave together."""
        if payloads is not self._payloads:
            self._payloads = payloads
            self._frames = b"".join(part for payload in payloads for part in (_header(len(payload)), payload))
        return self._frames


class Unflushed:
    """The connections that have something to write; one turn of the event loop later all are flushed together."""

    def __init__(self) -> None:
        """Wait for the first."""
        self._protocols: list[FrameProtocol] = []

    def add(self, protocol: FrameProtocol) -> None:
        """Flush this connection too."""
        if not self._protocols:
            protocol.loop.call_soon(self._flush)
        self._protocols.append(protocol)

    def _flush(self) -> None:
        protocols, self._protocols = self._protocols, []
        for protocol in protocols:
            protocol.flush()


FRAMER = Framer()
UNFLUSHED = Unflushed()


def _header(size: int) -> bytes:
    if size < 126:
        return bytes((0x81, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")
