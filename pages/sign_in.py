"""The page where one signs in: a real HTML form, so that password managers know it."""

import re
from typing import Final

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from pages.credentials import token_of
from pages.elements import button, field, link, text
from pages.flash import refusal_for
from pages.frame import Frame, card
from services import accounts, sessions

_OWN_PAGES: Final = re.compile(r"/(chat/[0-9a-f-]{36}|sessions|password|invites|people)?")


def checked_target(wanted: str | None) -> str:
    """Where to go after signing in: only to a page of our own."""
    return wanted if wanted and _OWN_PAGES.fullmatch(wanted) else "/"


def register(frame: Frame) -> None:
    """Declare the page."""
    parley = frame.parley

    @frame.public("/sign-in", title="Sign in")
    async def sign_in(request: Request) -> Response | None:
        if await sessions.authenticate(parley, token_of(request)):
            return RedirectResponse("/", 303)
        async with parley.snapshot() as tx:
            if not await accounts.exist(tx):
                return RedirectResponse("/sign-up", 303)
        refusal = refusal_for(request)
        with card("Sign in"):
            if refusal.detail:
                text(refusal.detail, look="alert").props('role="alert"')
            with ui.element("form").props('method="post" action="/sign-in"'):
                target = ui.element("input").props('type="hidden" name="next"')
                target.props["value"] = checked_target(request.query_params.get("next"))
                name = refusal.typed.get("username", "")
                field("username", "User name", value=name, autocomplete="username", focused=not name)
                field("password", "Password", kind="password", autocomplete="current-password", focused=bool(name))
                button("Sign in")
            if parley.settings.registration == "open":
                with text("No account yet? ", look="hint"):
                    link("Sign up", "/sign-up")
        return None
