"""What browsers may do with Parley's answers: pure ASGI middleware, for WebSockets as for pages.

The policy of a page is as tight as NiceGUI 3.18 and Vue allow. Its exceptions, each with its reason:

- ``'unsafe-eval'``: Vue compiles slot templates, and NiceGUI event handlers and ``:props``, in the browser.
- ``'strict-dynamic'`` with a nonce: NiceGUI's page starts with inline scripts, an import map and modules that import
  others. The nonce is made for each answer, so no script that came from elsewhere has it, and no file of our own
  origin becomes a script just because it lies there.
- ``style-src 'self'`` with the nonce: NiceGUI's page has inline ``<style>``. Styles that scripts set through the
  object model need no exception; the hash is that of NiceGUI's one ``style="display: none"``.
- ``img-src data:``: Quasar and NiceGUI draw some marks as data URLs. Nothing is ever loaded from another host.
"""

import re
import secrets
from collections.abc import Awaitable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PLAIN_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For what is no page: JSON, scripts, styles and pictures need nothing at all."""

PAGE_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'nonce-{nonce}' 'strict-dynamic' 'unsafe-eval'",
        "style-src 'self' 'nonce-{nonce}'",
        "style-src-attr 'unsafe-hashes' 'sha256-ZdHxw9eWtnxUb3mk6tBS+gIiVUPE3pGM470keHPDFlE='",
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

OK: Final = 200

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), "
    "microphone=(), payment=(), usb=()",
}

FOREVER: Final = "public, max-age=31536000, immutable"
"""For a file that never changes under its address."""

_NEEDS_NONCE: Final = re.compile(rb'<(?=(?:script|style)\b|link rel="modulepreload")(\w+)')


class SecurityHeaders:
    """Sets the headers above on every answer, and the plain policy where an answer has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the whole application."""
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", PLAIN_POLICY)
                message["headers"] = headers.raw
            await send(message)

        return self._app(scope, receive, send_guarded)


class KeptFiles:
    """Has browsers keep what lies under a path for ever.

    :param app: the application behind. :param path: where the files are.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == OK:
                MutableHeaders(raw=message["headers"])["Cache-Control"] = FOREVER
            await send(message)

        kept = scope["type"] == "http" and scope["path"].startswith(self._path)
        await self._app(scope, receive, send_kept if kept else send)


class PagePolicy:
    """Gives NiceGUI's pages a policy of their own and their inline scripts and styles the nonce that it asks for.

    NiceGUI escapes every ``<`` of a page's content, so each tag found is one of its template or of our own head.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap NiceGUI's application, inside of what compresses its answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def send_with_nonce(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body = b"".join(parts)
                    parts.clear()  # an open page keeps its request, and with it all that this function holds
                    await _send_page(start, body, send)

        await self._app(scope, receive, send_with_nonce)


def _is_page(start: Message) -> bool:
    return MutableHeaders(raw=start["headers"]).get("content-type", "").startswith("text/html")


async def _send_page(start: Message, body: bytes, send: Send) -> None:
    nonce = secrets.token_urlsafe(16)
    body = _NEEDS_NONCE.sub(rb'<\1 nonce="' + nonce.encode() + rb'"', body)
    headers = MutableHeaders(raw=start["headers"])
    headers["Content-Length"] = str(len(body))
    headers["Content-Security-Policy"] = PAGE_POLICY.format(nonce=nonce)
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
