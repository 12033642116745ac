"""Where a request may come from: a foreign page must not act with a visitor's cookie.

A browser says where a request comes from in ``Origin`` (RFC 6454) and ``Sec-Fetch-Site`` (W3C Fetch Metadata).
"""

from collections.abc import Awaitable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from pages.credentials import origin_of
from pages.endpoints import problems
from pages.endpoints.socket import refuse
from services.errors import Forbidden
from services.parley import Parley

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class OriginCheck:
    """Refuses state-changing requests and WebSocket handshakes that come from elsewhere, with 403.

    :param app: the application behind. :param parley: the node, whose settings say what our own address is.
    """

    def __init__(self, app: ASGIApp, parley: Parley) -> None:
        self._app = app
        self._parley = parley

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request on, or refuse it."""
        welcome = not self._changes_state(scope) or self._is_welcome(HTTPConnection(scope))
        return self._app(scope, receive, send) if welcome else self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = Forbidden("This request comes from another site.")
        if scope["type"] == "websocket":
            await receive()
            await refuse(send, error)
        else:
            await problems.of_error(error)(scope, receive, send)

    def _changes_state(self, scope: Scope) -> bool:
        return scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in SAFE_METHODS)

    def _is_welcome(self, connection: HTTPConnection) -> bool:
        origin = connection.headers.get("origin")
        if origin is None:
            return connection.headers.get("sec-fetch-site") != "cross-site"
        return origin == origin_of(connection, self._parley)
