"""Every open page belongs to a session, and does nothing any more when that is over.

NiceGUI takes a page's ``client_id`` as proof enough, so that whoever knows it could act on the page, and a page would
go on working after its person signed out. The guard stands before NiceGUI's socket handlers: what comes for a page is
refused unless it comes over a socket whose handshake carried a session of the page's person, and the page's session
still holds.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from nicegui import Client, core
from socketio.exceptions import ConnectionRefusedError as Refused

from services import sessions, views
from services.acting import acting
from services.errors import NotAuthenticated
from services.parley import Parley
from services.sessions import ActiveSession

COOKIE = "parley_session"

logger = logging.getLogger("parley.pages")

Environment = dict[str, Any]


@dataclass(slots=True)
class Visit:
    """An open page and the session it belongs to."""

    session: ActiveSession
    over: bool = False
    unwatch: Callable[[], None] = lambda: None

    @property
    def holds(self) -> bool:
        """Whether the session holds now."""
        return not self.over and datetime.now(UTC) < self.session.expires_at

    @property
    def actor(self) -> UUID:
        """The person for whom the page acts.

        :raises NotAuthenticated: the session is over.
        """
        if not self.holds:
            raise NotAuthenticated
        return self.session.user.id

    @property
    def user(self) -> views.OwnUser:
        """The person, as the session knows them."""
        return self.session.user


class Guard:
    """Knows the open pages, and stands before NiceGUI's socket handlers.

    :param parley: whose sessions count.
    """

    def __init__(self, parley: Parley) -> None:
        self._parley = parley
        self._visits: dict[str, Visit] = {}
        self._public: set[str] = set()

    def open_to_all(self, client: Client) -> None:
        """Let anyone act on a page that shows nothing of anyone."""
        self._public.add(client.id)
        client.on_delete(lambda: self._public.discard(client.id))

    def admit(self, client: Client, session: ActiveSession) -> Visit:
        """Tie a page to a session.

        :return: through which the page learns for whom it acts.
        """
        visit = Visit(session)
        self._watch(visit, session)
        self._visits[client.id] = visit
        client.on_delete(lambda: self._forget(client.id))
        return visit

    def resume(self, client_id: str, session: ActiveSession) -> bool:
        """Let a page go on in another session of the same person.

        :return: whether the page is there and theirs, and the session still holds.
        """
        visit = self._visits.get(client_id)
        if visit is None or visit.user.id != session.user.id:
            return False
        self._watch(visit, session)
        return visit.holds

    def install(self) -> None:
        """Put the guard before NiceGUI's handlers; socket.io's own check of the origin comes before both."""
        base_url = self._parley.settings.base_url
        core.sio.eio.cors_allowed_origins = [base_url] if base_url else None
        handlers = dict(core.sio.handlers["/"])
        core.sio.on("connect", self._guard_connect(handlers["connect"]))
        core.sio.on("handshake", self._guard_handshake(handlers["handshake"]))
        for event in ("event", "javascript_response", "ack", "log"):
            core.sio.on(event, self._guard_event(handlers[event]))

    def _watch(self, visit: Visit, session: ActiveSession) -> None:
        visit.unwatch()
        visit.session, visit.over = session, False

        def end() -> None:
            visit.over = True

        visit.unwatch = self._parley.session_ends.watch(session.id, session.expires_at, end)

    def _forget(self, client_id: str) -> None:
        visit = self._visits.pop(client_id, None)
        if visit is not None:
            visit.unwatch()

    async def _may_connect(self, client_id: str | None, environment: Environment) -> bool:
        if client_id not in Client.instances or client_id in self._public:
            return True  # NiceGUI itself tells the browser to load a page again that is gone
        session = await sessions.authenticate(self._parley, _token(environment))
        visit = self._visits.get(client_id)
        if session is None or visit is None or visit.user.id != session.user.id:
            return False
        return visit.holds or self.resume(client_id, session)

    def _may_act(self, sid: str, client_id: object) -> Callable[[], bool]:
        if not isinstance(client_id, str) or client_id not in core.sio.rooms(sid):
            return lambda: False  # the handshake puts a socket into the room of its page
        visit = self._visits.get(client_id)
        return (lambda: visit.holds) if visit is not None else (lambda: client_id in self._public)

    def _guard_connect(self, handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def connect(sid: str, environment: Environment, auth: object = None) -> Any:
            query = parse_qs(environment.get("QUERY_STRING", ""))
            if not await self._may_connect(query.get("client_id", [None])[0], environment):
                # With any other text than this one NiceGUI's script would load the page again.
                raise Refused("The session of this page is over.")
            return await handle(sid, environment, auth)

        return connect

    def _guard_handshake(self, handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def handshake(sid: str, data: object = None) -> Any:
            client_id = data.get("client_id") if isinstance(data, dict) else None
            if not isinstance(client_id, str) or not await self._may_connect(client_id, core.sio.get_environ(sid)):
                return False
            try:
                return await handle(sid, data)
            except (KeyError, TypeError, ValueError):
                logger.debug("Malformed handshake from a page", exc_info=True)
                return False

        return handshake

    def _guard_event(self, handle: Callable[..., Any]) -> Callable[..., None]:
        def event(sid: str, message: object = None) -> None:
            if not isinstance(message, dict):
                return
            holds = self._may_act(sid, message.get("client_id"))
            if not holds():
                return
            try:
                with acting(holds):
                    handle(sid, message)
            except (KeyError, TypeError, ValueError):
                logger.debug("Malformed event from a page", exc_info=True)

        return event


def _token(environment: Environment) -> str | None:
    try:
        cookie = SimpleCookie(environment.get("HTTP_COOKIE", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None
