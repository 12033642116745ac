"""The page where an administrator makes and withdraws invitations."""

from datetime import UTC, datetime

from fastapi import Request
from nicegui import ui

from pages.credentials import origin_of
from pages.dialogs.frame import confirmed
from pages.elements import button, icon_button, text
from pages.frame import Frame, card, tells_refusals
from pages.guard import Visit
from services import invites, views
from services.parley import Parley

HOUR = 3600
PERIODS = {HOUR: "1 hour", 24 * HOUR: "1 day", 7 * 24 * HOUR: "1 week", 30 * 24 * HOUR: "30 days"}


def left(moment: datetime) -> str:
    """Say how long something lasts."""
    hours = (moment - datetime.now(UTC)).total_seconds() / HOUR
    return f"{round(hours / 24)} days" if hours >= 36 else f"{max(1, round(hours))} h"


class InviteList:
    """The invitations that still admit someone, and the form for another.

    :param origin: the address of this server, for the links.
    """

    def __init__(self, parley: Parley, visit: Visit, origin: str) -> None:
        self._parley, self._visit, self._origin = parley, visit, origin
        with ui.element("div").classes("invite-form"):
            self._period = ui.select(PERIODS, value=7 * 24 * HOUR, label="Ends after").props("outlined dense")
            self._uses = ui.number("People it admits", value=1, min=1, max=invites.MOST_USES, precision=0)
            self._uses.props("outlined dense")
            button("Make a link", on_click=self._create)
        self._rows = ui.element("ul").classes("rows-list")

    async def show(self) -> None:
        """Read and show them."""
        async with self._parley.snapshot() as tx:
            found = await invites.list_all(tx, actor=self._visit.actor, origin=self._origin)
        self._rows.clear()
        with self._rows:
            for invite in found:
                self._row(invite)
            if not found:
                text("There are no open invitations.", tag="li", look="hint")

    def _row(self, invite: views.Invite) -> None:
        with ui.element("li"):
            with ui.element("div").classes("grow"):
                text(invite.url, tag="code")
                uses = "1 person" if invite.uses_left == 1 else f"{invite.uses_left} people"
                text(f"admits {uses}, for {left(invite.expires_at)}", tag="small")
            icon_button("content_copy", "Copy the link", on_click=lambda: ui.clipboard.write(invite.url))
            icon_button("delete", "Withdraw", on_click=lambda: self._withdraw(invite.code)).mark("withdraw")

    @tells_refusals
    async def _create(self) -> None:
        async with self._parley.transaction() as tx:
            await invites.create(
                tx,
                actor=self._visit.actor,
                expires_in=self._period.value or 0,
                uses=int(self._uses.value or 0),
                origin=self._origin,
            )
        await self.show()

    @tells_refusals
    async def _withdraw(self, code: str) -> None:
        about = "Whoever has the link can no longer sign up with it."
        if await confirmed("Withdraw this invitation?", about=about, action="Withdraw"):
            async with self._parley.transaction() as tx:
                await invites.withdraw(tx, actor=self._visit.actor, code=code)
            await self.show()


def register(frame: Frame) -> None:
    """Declare the page."""
    parley = frame.parley

    @frame.private("/invites", title="Invitations · Parley")
    async def page(request: Request, visit: Visit) -> None:
        if not visit.user.is_admin:
            with card("Invitations", back=True):
                text("Only administrators invite people to this server.")
            return
        origin = origin_of(request, parley)
        with card("Invitations", wide=True, back=True):
            if parley.settings.registration == "open":
                text("Anyone can sign up at this server without an invitation.", look="alert kind")
            await InviteList(parley, visit, origin).show()
