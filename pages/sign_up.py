"""The page where one makes an account: open to all, by invitation, or closed."""

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from pages.credentials import token_of
from pages.elements import button, field, link, text
from pages.flash import Refusal, refusal_for
from pages.frame import Frame, card
from services import accounts, sessions


def register(frame: Frame) -> None:
    """Declare the page."""
    parley = frame.parley

    @frame.public("/sign-up", title="Sign up")
    async def sign_up(request: Request) -> Response | None:
        if await sessions.authenticate(parley, token_of(request)):
            return RedirectResponse("/", 303)
        async with parley.snapshot() as tx:
            first = not await accounts.exist(tx)
        refusal = refusal_for(request)
        invite = request.query_params.get("invite") or refusal.typed.get("invite", "")
        closed = _closed(parley.settings.registration, invite=invite, first=first)
        with card("Welcome to Parley" if first else "Sign up"):
            if first:
                text("You are the first one here. Your account will be the administrator's.", look="alert kind")
            if closed:
                text(closed, look="alert kind")
            else:
                _form(refusal, invite)
            if not first:
                with text("You have an account? ", look="hint"):
                    link("Sign in", "/sign-in")
        return None


def _closed(registration: str, *, invite: str, first: bool) -> str:
    if first or registration == "open" or (registration == "invite" and invite):
        return ""
    if registration == "invite":
        return "One needs an invitation to sign up here. Ask an administrator for a link, and open it."
    return "This server takes no new accounts."


def _form(refusal: Refusal, invite: str) -> None:
    fields = {"display_name", "username", "password"}
    if refusal.detail and refusal.at not in fields:
        text(refusal.detail, look="alert").props('role="alert"')
    with ui.element("form").props('method="post" action="/sign-up"'):
        if invite:
            code = ui.element("input").props('type="hidden" name="invite"')
            code.props["value"] = invite
        field(
            "display_name",
            "Your name",
            value=refusal.typed.get("display_name", ""),
            autocomplete="name",
            hint="As the others see it.",
            error=refusal.error_at("display_name"),
            focused=True,
        )
        field(
            "username",
            "User name",
            value=refusal.typed.get("username", ""),
            autocomplete="username",
            hint="Small letters, digits, and _ . - between.",
            error=refusal.error_at("username"),
        )
        field(
            "password",
            "Password",
            kind="password",
            autocomplete="new-password",
            hint="At least 8 characters.",
            error=refusal.error_at("password"),
        )
        button("Sign up")
