"""The page where one changes one's password: a real HTML form, so that password managers keep the new one."""

from fastapi import Request
from nicegui import ui

from pages.elements import button, field, link, text
from pages.flash import Refusal, refusal_for
from pages.frame import Frame, card
from pages.guard import Visit

PATH = "/password"


def register(frame: Frame) -> None:
    """Declare the page."""

    @frame.private(PATH, title="Change password · Parley")
    async def page(request: Request, visit: Visit) -> None:
        with card("Change password", back=True):
            if "changed" in request.query_params:
                text("Your password is changed. You are signed out everywhere else.", look="alert kind").props(
                    'role="status"'
                )
                link("Back to the chats", "/", look="primary")
            else:
                _form(refusal_for(request), visit.user.username)


def _form(refusal: Refusal, username: str) -> None:
    if refusal.detail and not refusal.at:
        text(refusal.detail, look="alert").props('role="alert"')
    with ui.element("form").props(f'method="post" action="{PATH}"'):
        # Nobody sees it, and password managers learn from it whose password this is.
        name = ui.element("input").props('name="username" autocomplete="username" readonly tabindex="-1"')
        name.props["value"] = username
        name.props["aria-label"] = "User name"
        name.classes("hidden")
        field(
            "current_password",
            "Current password",
            kind="password",
            autocomplete="current-password",
            error=refusal.error_at("current_password"),
            focused=True,
        )
        field(
            "new_password",
            "New password",
            kind="password",
            autocomplete="new-password",
            hint="At least 8 characters. You are signed out everywhere else.",
            error=refusal.error_at("new_password"),
        )
        button("Change password")
