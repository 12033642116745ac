"""Putting the pages into the application."""

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.types import ASGIApp

from pages import chat, errors, forms, invites, password, people, sessions, sign_in, sign_up, theme
from pages.frame import LANGUAGE, Frame
from pages.headers import PagePolicy
from services.parley import Parley

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
    frame.guard.install()
    # Its bar for requests in flight would run at every message sent, and has no name for screen readers.
    nicegui_app.config.quasar_config["loadingBar"]["skipHijack"] = True
    nicegui_app.add_middleware(PagePolicy)
    ui.run_with(
        app,
        title="Parley",
        favicon=theme.FOLDER / "icon.svg",
        language=LANGUAGE,
        tailwind=False,  # our own style sheet; the other one is compiled in the browser at every load
        binding_refresh_interval=None,  # nothing is bound to plain attributes
        reconnect_timeout=RECONNECT_TIMEOUT,
        gzip_middleware_factory=_compressing,
        show_welcome_message=False,
    )


def _compressing(inner: ASGIApp) -> GZipMiddleware:
    return GZipMiddleware(inner, minimum_size=1_000, compresslevel=4)
