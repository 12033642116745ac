"""The raw WebSocket ``/ws``: parse a frame, call one service function, encode the answer."""

import asyncio
import logging
from collections.abc import Awaitable, Collection
from functools import partial
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.credentials import token_of
from pages.endpoints import problems
from pages.endpoints.frame_protocol import EXTENSION, FrameProtocol
from pages.endpoints.socket_requests import perform, queue_send
from services import frames, sessions
from services.acting import acting, refuse_ended
from services.errors import (
    NotAuthenticated,
    ParleyError,
    RateLimited,
    Unavailable,
    ValidationFailed,
)
from services.frames import Answer, MessageSend, Request
from services.hub import Seat
from services.logs import REQUEST_ID
from services.parley import Parley
from services.rate_limits import REFUSED, Bucket, Rate
from services.send_writer import Sent
from services.sessions import ActiveSession
from services.wire import framed

PATH = "/ws"

SIGNED_OUT = 4401
TOO_SLOW = 4408
FRAME_TOO_LARGE = 4413
TOO_MANY_FRAMES = 4429
TRY_LATER = 1013

SLOW_READERS = Counter("parley_slow_readers_cut_total", "Connections closed because they read too slowly")

IN_FLIGHT = 64
"""Requests of one connection that are worked on at once; more wait in the network."""

logger = logging.getLogger("parley.socket")


class SocketFirst:
    """Takes what is for ``/ws`` out before it goes through an application's layers, which each cost memory.

    :param socket: the application of ``/ws``. :param others: the application of everything else.
    """

    def __init__(self, socket: ASGIApp, others: ASGIApp) -> None:
        self._socket = socket
        self._others = others

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request on."""
        is_socket = scope["type"] == "websocket" and scope["path"] == PATH
        return (self._socket if is_socket else self._others)(scope, receive, send)


class SocketEndpoint:
    """The ASGI application of ``/ws``.

    :param parley: the node.
    """

    def __init__(self, parley: Parley) -> None:
        self._parley = parley

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check who asks, then serve the connection until it ends."""
        await receive()
        try:
            session = await self._admit(token_of(HTTPConnection(scope)))
        except ParleyError as error:
            await refuse(send, error)
            return
        await send({"type": "websocket.accept"})
        writer: FrameProtocol = scope["extensions"][EXTENSION]["writer"]
        writer.forget_handshake()
        await SocketClient(self._parley, session, writer).serve(receive)

    async def _admit(self, token: str | None) -> ActiveSession:
        if self._parley.draining:
            raise Unavailable("The server is restarting; try again.")
        session = await sessions.authenticate(self._parley, token)
        if session is None:
            raise NotAuthenticated
        settings = self._parley.settings
        seats = len(self._parley.hub.seats_of(session.user.id))
        if settings.limited and seats >= settings.max_connections_per_person:
            REFUSED.labels("connections").inc()
            raise RateLimited(5.0, f"At most {settings.max_connections_per_person} connections per person.")
        return session


class SocketClient:
    """One client's connection."""

    __slots__ = (
        "_acks", "_actor", "_frames", "_holds", "_lanes", "_parley", "_refused", "_seat", "_session_id", "_slots",
        "_writer",
    )  # fmt: skip

    def __init__(self, parley: Parley, session: ActiveSession, writer: FrameProtocol) -> None:
        self._parley = parley
        self._session_id = session.id
        self._actor = session.user.id
        self._holds = partial(parley.session_ends.holds, session.id, session.expires_at)
        self._writer = writer
        self._acks: list[bytes] = []
        self._lanes: dict[UUID | None, asyncio.Future[Any]] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        rate = Rate(parley.settings.frames_per_second, 1.0, parley.settings.frames_burst)
        self._frames, self._refused = Bucket(rate), Bucket(rate)
        self._seat = Seat(writer.write, user_id=self._actor, expires_at=session.expires_at)
        # A client that does not read is cut off instead of waited for.
        most = parley.settings.max_send_buffer_bytes
        writer.watch(most, exceeded=self._cut_off, ending=self._seat.silence)

    async def serve(self, receive: Receive) -> None:
        """Give the connection its seat and answer its requests until it ends."""
        end = self._parley.session_ends.watch(self._session_id, self._seat.expires_at, self._sign_out)
        try:
            # The seat is taken without waiting for anything after the check of how many there are.
            await self._parley.join(self._seat)
            await self._read(receive)
        except ParleyError as error:
            self._send(frames.Error.of(error))
            self._close(TRY_LATER, error.code)
        finally:
            end()
            self._parley.leave(self._seat)
            if self._lanes:
                await asyncio.wait(self._lanes.values())

    def _send(self, answer: Answer) -> None:
        self._seat.write(framed(frames.encode(answer)))

    def _sign_out(self) -> None:
        self._close(SIGNED_OUT, "signed out")

    def _cut_off(self) -> None:
        SLOW_READERS.inc()
        self._close(TOO_SLOW, "reads too slowly")

    def _close(self, code: int, reason: str) -> None:
        self._flush_acks()
        self._writer.close_with(code, reason)

    async def _read(self, receive: Receive) -> None:
        # What had come already when the connection was closed from here has no effect.
        while (message := await receive())["type"] == "websocket.receive" and not self._writer.closing:
            text = message.get("text")
            if text is None:
                self._fail(ValidationFailed("frame", "must be text, not binary"))
            elif self._fits(text):
                await self._take(text)
            else:
                self._close(FRAME_TOO_LARGE, "frame too large")

    def _fits(self, text: str) -> bool:
        most = self._parley.settings.max_frame_bytes
        return len(text) * 4 <= most or len(text.encode()) <= most

    async def _take(self, text: str) -> None:
        if self._parley.settings.limited and (wait := self._frames.take()):
            REFUSED.labels("frames").inc()
            self._fail(RateLimited(wait, "Too many frames."), text)
            if self._refused.take():
                self._close(TOO_MANY_FRAMES, "too many frames")
            return
        try:
            request = frames.decode_request(text)
        except ParleyError as error:
            self._fail(error, text)
            return
        await self._slots.acquire()
        if isinstance(request, MessageSend) and not isinstance(self._lanes.get(request.chat_id), asyncio.Task):
            await self._send_behind(request)
        else:
            self._line_up(request)

    async def _send_behind(self, request: MessageSend) -> None:
        """Queue a message behind others of the same chat without waiting for them: the writer keeps their order."""
        try:
            with acting(self._holds):
                sent = await queue_send(self._parley, self._actor, request)
        except Exception as error:
            self._refuse(request, error)
            self._slots.release()
            return
        self._lanes[request.chat_id] = sent
        sent.add_done_callback(partial(self._acknowledge, request))

    def _acknowledge(self, request: MessageSend, sent: asyncio.Future[Sent]) -> None:
        self._clear_lanes((request.chat_id,), sent)
        self._slots.release()
        if sent.cancelled():
            return
        if error := sent.exception():
            self._refuse(request, error)
            return
        if not self._acks:
            asyncio.get_running_loop().call_soon(self._flush_acks)
        self._acks.append(frames.encode(frames.Ack(re=request.id, message=sent.result()[0])))

    def _flush_acks(self) -> None:
        """Let the acknowledgements of what was committed together leave together."""
        acks, self._acks = self._acks, []
        self._seat.write(framed(*acks))

    def _line_up(self, request: Request) -> None:
        """Let requests to one chat take effect in their order; those to others need not wait for them."""
        chat_ids = _concerned(request)
        before = [self._lanes[chat_id] for chat_id in chat_ids if chat_id in self._lanes]
        task = asyncio.get_running_loop().create_task(self._answer(request, before))
        self._lanes |= dict.fromkeys(chat_ids, task)
        task.add_done_callback(partial(self._clear_lanes, chat_ids))

    def _clear_lanes(self, chat_ids: Collection[UUID | None], done: asyncio.Future[Any]) -> None:
        for chat_id in chat_ids:
            if self._lanes.get(chat_id) is done:
                del self._lanes[chat_id]

    async def _answer(self, request: Request, before: list[asyncio.Future[Any]]) -> None:
        try:
            if before:
                await asyncio.wait(before)
            with acting(self._holds):
                refuse_ended()  # it may have waited since before the end
                answers = await perform(self._parley, self._actor, request)
            for answer in answers:
                self._send(answer)
        except Exception as error:
            self._refuse(request, error)
        finally:
            self._slots.release()

    def _refuse(self, request: Request, error: BaseException) -> None:
        """Answer a request that failed; what nobody expected is logged, and named by the request's id."""
        if not isinstance(error, ParleyError):
            logger.error("a %s frame failed", type(request).__name__, exc_info=error)
            error = Unavailable(f"Something went wrong on the server (request {REQUEST_ID.get()}).")
        self._send(frames.Error.of(error, request.id))

    def _fail(self, error: ParleyError, text: str = "") -> None:
        self._send(frames.Error.of(error, frames.request_id(text)))


def _concerned(request: Request) -> Collection[UUID | None]:
    """Return the chats whose order a request keeps; None stands for those about no chat."""
    if isinstance(request, frames.Sync):
        return request.chats or (None,)
    return (getattr(request, "chat_id", None),)


async def refuse(send: Send, error: ParleyError) -> None:
    """Answer a handshake with a problem document instead (ASGI extension ``websocket.http.response``)."""
    response = problems.of_error(error)
    response.headers["X-Request-Id"] = REQUEST_ID.get()
    await send(
        {
            "type": "websocket.http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": response.body})
