"""Putting the pages into the application."""

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from nicegui import __version__, ui
from nicegui import app as nicegui_app
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pages import chat, errors, forms, invites, password, people, sessions, sign_in, sign_up, theme
from pages.endpoints.unknown import PROGRAMS
from pages.frame import LANGUAGE, Frame
from pages.headers import KeptFiles, PagePolicy
from pages.live.markup import serve_markup
from pages.origin import SAFE_METHODS
from services.parley import Parley

FILES = f"/_nicegui/{__version__}/"
"""Where NiceGUI's files are; another version has another address."""

COMPRESSION = 4
"""How hard answers are compressed, of 9: a page of 20 KB in a quarter of a millisecond."""

RECONNECT_TIMEOUT = 15.0
"""Seconds that NiceGUI waits for the browser of a closed or interrupted page; the chat page has a longer one."""


def mount_pages(app: FastAPI, parley: Parley) -> None:
    """Add all pages, and the endpoints of their forms, to the application; nothing may be mounted at ``/`` after it.

    :param app: the application.
    :param parley: what the pages show and change.
    """
    frame = Frame(parley)
    for page in (sign_in, sign_up, chat, sessions, password, invites, people, errors):
        page.register(frame)
    forms.register(app, frame)
    theme.serve_styles()
    serve_markup()
    frame.guard.install()
    # Its bar for requests in flight would run at every message sent, and has no name for screen readers.
    nicegui_app.config.quasar_config["loadingBar"]["skipHijack"] = True
    ui.run_with(
        app,
        title="Parley",
        favicon=theme.FOLDER / "icon.svg",
        language=LANGUAGE,
        tailwind=False,  # our own style sheet; the other one is compiled in the browser at every load
        binding_refresh_interval=None,  # nothing is bound to plain attributes
        reconnect_timeout=RECONNECT_TIMEOUT,
        show_welcome_message=False,
    )
    # In place of NiceGUI's own layers: two of them run each request in one more task, and one takes a header of the
    # client's for a part of every address.
    nicegui_app.user_middleware[:] = [
        Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=COMPRESSION),
        Middleware(KeptFiles, FILES),
        Middleware(PagePolicy),
    ]


class PagesFirst:
    """Takes what is NiceGUI's out before it goes through the layers and the routes of the doors for programs.

    :param calls: the application of those, in which the pages are mounted.
    """

    def __init__(self, calls: ASGIApp) -> None:
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        await (nicegui_app if _is_for_pages(scope) else self._calls)(scope, receive, send)


def _is_for_pages(scope: Scope) -> bool:
    if scope["type"] == "http":
        return scope["method"] in SAFE_METHODS and not scope["path"].startswith(PROGRAMS)
    return bool(scope["type"] == "websocket")
