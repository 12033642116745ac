"""The page where an administrator deactivates people, lets them back in, and sets a password that was forgotten."""

import secrets

from fastapi import Request
from nicegui import ui

from pages.dialogs.frame import confirmed, dialog
from pages.elements import button, icon_button, text
from pages.frame import Frame, card, tells_refusals
from pages.guard import Visit
from services import accounts, administration, views
from services.parley import Parley

FOUND = 50
"""Most people that are shown at once."""

SUGGESTED_BYTES = 9
"""Random bytes of a suggested password, which make twelve characters."""


class PeopleList:
    """The people whose name contains what is searched for, each with what can be done to their account."""

    def __init__(self, parley: Parley, visit: Visit) -> None:
        self._parley, self._visit = parley, visit
        self._search = ui.input("Search people", on_change=self.show).props('outlined dense debounce="200"')
        self._rows = ui.element("ul").classes("rows-list")

    @tells_refusals
    async def show(self) -> None:
        """Read and show them."""
        async with self._parley.snapshot() as tx:
            found = await accounts.search(tx, actor=self._visit.actor, query=self._search.value, limit=FOUND)
        self._rows.clear()
        with self._rows:
            for user in found:
                if isinstance(user, views.OwnUser):
                    self._row(user)
            if not found:
                text("Nobody found.", tag="li", look="hint")
            elif len(found) == FOUND:
                text(f"These are the first {FOUND}. Search to find others.", tag="li", look="hint")

    def _row(self, user: views.OwnUser) -> None:
        about = [
            f"@{user.username}",
            "administrator" if user.is_admin else "",
            "" if user.is_active else "deactivated",
        ]
        own = user.id == self._visit.user.id
        with ui.element("li").classes("" if user.is_active else "inactive"):
            with ui.element("div").classes("grow"):
                text(user.display_name + (" · you" if own else ""), tag="strong")
                text(" · ".join(filter(None, about)), tag="small")
            if own:
                return
            name = f"{user.display_name} (@{user.username})"
            if user.is_active:
                icon_button("lock_reset", f"Set a password for {name}", on_click=lambda: self._ask(user)).mark("set")
                icon_button("person_off", f"Deactivate {name}", on_click=lambda: self._deactivate(user)).mark("end")
            else:
                button("Reactivate", look="quiet", on_click=lambda: self._reactivate(user)).mark("reactivate")

    @tells_refusals
    async def _deactivate(self, user: views.OwnUser) -> None:
        about = (
            f"@{user.username} is signed out everywhere and cannot sign in any more. What they wrote stays, and so "
            "do their places in chats. You can reactivate them later."
        )
        if await confirmed(f"Deactivate {user.display_name}?", about=about, action="Deactivate"):
            async with self._parley.transaction() as tx:
                await administration.deactivate(tx, actor=self._visit.actor, user_id=user.id)
            await self.show()

    @tells_refusals
    async def _reactivate(self, user: views.OwnUser) -> None:
        async with self._parley.transaction() as tx:
            await administration.reactivate(tx, actor=self._visit.actor, user_id=user.id)
        await self.show()

    def _ask(self, user: views.OwnUser) -> None:
        about = (
            f"@{user.username} is signed out everywhere, and signs in with this password from now on. Tell it to "
            "them; they can change it in their profile."
        )

        @tells_refusals
        async def save() -> None:
            await administration.set_password(
                self._parley, actor=self._visit.actor, user_id=user.id, new_password=password.value
            )
            ui.notify(f"The password of {user.display_name} is set.", position="top", classes="notice")
            box.close()

        with dialog(f"Set a password for {user.display_name}", about=about) as box:
            password = ui.input("New password", value=secrets.token_urlsafe(SUGGESTED_BYTES))
            password.props('outlined dense autocomplete="off" spellcheck="false"').on("keydown.enter", save, args=[])
            with ui.element("div").classes("actions"):
                button("Cancel", look="quiet", on_click=box.close)
                button("Set password", on_click=save).mark("save")


def register(frame: Frame) -> None:
    """Declare the page."""

    @frame.private("/people", title="People · Parley")
    async def page(_request: Request, visit: Visit) -> None:
        if not visit.user.is_admin:
            with card("People", back=True):
                text("Only administrators manage the people of this server.")
            return
        with card("People", wide=True, back=True):
            await PeopleList(frame.parley, visit).show()
