"""How pages are declared: whose they are, what they look like, and what is told when something is refused."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final, ParamSpec
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from nicegui import Client, ui

from pages import theme
from pages.credentials import token_of
from pages.elements import heading, icon, text
from pages.guard import Guard, Visit
from services import sessions
from services.errors import ParleyError
from services.parley import Parley

Build = Callable[[Request, Visit], Awaitable[bytes | None]]
"""Builds a page; JSON that it returns goes along in the page, for its script."""

LANGUAGE: Final = "en-US"

P = ParamSpec("P")


class Frame:
    """Declares pages for one running Parley.

    :param parley: what the pages show and change.
    """

    def __init__(self, parley: Parley) -> None:
        self.parley = parley
        self.guard = Guard(parley)

    def public(self, path: str, *, title: str) -> Callable[[Callable[[Request], Awaitable[Response | None]]], None]:
        """Declare a page for anyone; it may answer with a response instead of elements."""

        def declare(build: Callable[[Request], Awaitable[Response | None]]) -> None:
            @ui.page(path, title=f"{title} · Parley", language=LANGUAGE)
            async def page(request: Request, client: Client) -> Response | None:
                self.guard.open_to_all(client)
                theme.dress(request)
                return await build(request)

        return declare

    def private(self, *paths: str, title: str, reconnect_timeout: float | None = None) -> Callable[[Build], None]:
        """Declare a page for people who are signed in; others are sent to sign in, and back.

        :param paths: where it is.
        :param reconnect_timeout: seconds for which the page is kept when its browser is gone.
        """

        def declare(build: Build) -> None:
            async def page(request: Request, client: Client) -> Response | None:
                session = await sessions.authenticate(self.parley, token_of(request))
                visit = self.guard.admit(client, session) if session else None
                if visit is None or not visit.holds:
                    client.delete()
                    target = quote(request.url.path + ("?" + request.url.query if request.url.query else ""))
                    return RedirectResponse(f"/sign-in?next={target}", 303)
                theme.dress(request)
                given = await build(request, visit)
                return None if given is None else _with_data(client.build_response(request), given)

            for path in paths:
                ui.page(path, title=title, language=LANGUAGE, reconnect_timeout=reconnect_timeout)(page)

        return declare


def _with_data(page: Response, data: bytes) -> Response:
    """Put JSON into a page that is built already: what is part of it before, NiceGUI keeps while the page is open."""
    script = b'<script type="application/json" id="given">' + data.replace(b"<", rb"\u003c") + b"</script>"
    page.body = bytes(page.body).replace(b"</body>", script + b"</body>")
    page.headers["Content-Length"] = str(len(page.body))
    return page


@contextmanager
def card(title: str, *, wide: bool = False, back: bool = False) -> Iterator[None]:
    """Lay out a page that is one card in the middle.

    :param title: its heading.
    :param wide: whether it holds a list.
    :param back: whether it links back to the chats.
    """
    with ui.element("div").classes("plain-page"), ui.element("section").classes("card" + " wide" * wide):
        if not back:
            text("Parley", tag="div", look="brand")
        with ui.element("div").classes("top"):
            if back:
                with ui.element("a").classes("icon-button").props('href="/" aria-label="Back to the chats"'):
                    icon("arrow_back")
            heading(title)
        yield


def tells_refusals(act: Callable[P, Awaitable[Any]]) -> Callable[P, Awaitable[None]]:
    """Make an event handler show a refusal instead of failing."""

    @wraps(act)
    async def handler(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await act(*args, **kwargs)
        except ParleyError as error:
            ui.notify(_sentence(error), position="top", classes="notice")

    return handler


def _sentence(error: ParleyError) -> str:
    """Say what was refused, and of a field with its name as people would call it."""
    if error.field is None:
        return error.detail
    name = error.field.removesuffix("_id").replace("_", " ").capitalize()
    return f"{name} {error.detail.removeprefix(f'{error.field}: ')}."
