"""Each request has an id, which the log and the answer share; a failure that nobody expected is logged with it."""

import ipaddress
import logging
import re
import time
from collections.abc import Awaitable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.endpoints import problems
from services.logs import REQUEST_ID, new_request_id
from services.settings import Settings

HEADER = "X-Request-Id"

FIT = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""An id that is taken over from a trusted proxy."""

logger = logging.getLogger("parley.requests")


class RequestLog:
    """Names each request, tells the name, and logs what came of it; the outermost layer, which sees the true peer.

    :param app: the application behind. :param settings: whose proxies may name requests, and whether all are logged.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._proxies = settings.trusted_proxies
        self._logs_all = settings.access_log == "on"

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request; a WebSocket connection, of which there are thousands, gets no layer here."""
        REQUEST_ID.set(self._named(scope) or new_request_id())
        return self._answer(scope, receive, send) if scope["type"] == "http" else self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = REQUEST_ID.get()
            await send(message)

        try:
            await self._app(scope, receive, named)
        except Exception:
            logger.exception("%s %s failed", scope["method"], _template(scope))
            if not status:
                await problems.failure()(scope, receive, named)
        if self._logs_all:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, path, took = scope["method"], _template(scope), round(seconds * 1000, 1)
        facts = {"method": method, "path": path, "status": status, "ms": took}
        logger.info("%s %s %d %.1f ms", method, path, status, took, extra=facts)

    def _named(self, scope: Scope) -> str:
        if not self._proxies or scope["type"] == "lifespan" or not scope["client"]:
            return ""
        given = Headers(scope=scope).get(HEADER, "")
        return given if FIT.fullmatch(given) and self._is_proxy(scope["client"][0]) else ""

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._proxies)


def _template(scope: Scope) -> str:
    """Return the path as it is declared: an actual one may hold an invitation, or what acts on a page."""
    declared = getattr(scope.get("route"), "path", None)
    if not isinstance(declared, str) or ":path}" in declared:
        return declared or "-"
    # A router that is included knows only its own part; what comes before it is the same in each path.
    parts = scope["path"].split("/")
    return "/".join(parts[: len(parts) - declared.count("/")]) + declared
