"""One's display name, the colours, and the way to another password."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

from pages.dialogs.frame import dialog
from pages.elements import button, link, text
from pages.frame import tells_refusals
from pages.guard import Visit
from pages.theme import Scheme
from services import accounts, views
from services.parley import Parley

SCHEMES: Final[dict[Scheme, str]] = {"system": "As the system", "light": "Light", "dark": "Dark"}


class Profile:
    """The dialog's contents.

    :param renamed: called with oneself when the name has changed.
    :param dressed: called with the colour scheme when it is chosen.
    """

    def __init__(
        self,
        parley: Parley,
        visit: Visit,
        box: ui.dialog,
        *,
        scheme: Scheme,
        renamed: Callable[[views.OwnUser], None],
        dressed: Callable[[Scheme], None],
    ) -> None:
        self._parley, self._visit, self._box = parley, visit, box
        self._renamed, self._dressed = renamed, dressed
        self._name = ui.input("Your name", value=visit.user.display_name)
        self._name.props('outlined dense maxlength="64"').on("keydown.enter", self._save, args=[])
        text("Appearance", tag="div", look="label")
        with ui.element("div").classes("choice").props('role="group" aria-label="Appearance"'):
            self._schemes = {
                one: button(label, look="", on_click=lambda one=one: self._dress(one))
                for one, label in SCHEMES.items()
            }
        self._mark(scheme)
        # A page of its own: password managers know a new password by a real form that is sent.
        link("Change password", "/password", look="quiet")
        with ui.element("div").classes("actions"):
            button("Cancel", look="quiet", on_click=box.close)
            button("Save", on_click=self._save)

    def _dress(self, scheme: Scheme) -> None:
        self._mark(scheme)
        self._dressed(scheme)

    def _mark(self, scheme: Scheme) -> None:
        for one, choice in self._schemes.items():
            choice.props["aria-pressed"] = str(one == scheme).lower()

    @tells_refusals
    async def _save(self) -> None:
        async with self._parley.transaction() as tx:
            user = await accounts.rename(tx, actor=self._visit.actor, display_name=self._name.value)
        self._renamed(user)
        self._box.close()


def show_profile(
    parley: Parley,
    visit: Visit,
    *,
    scheme: Scheme,
    renamed: Callable[[views.OwnUser], None],
    dressed: Callable[[Scheme], None],
) -> None:
    """Open the dialog."""
    with dialog("Profile and appearance") as box:
        Profile(parley, visit, box, scheme=scheme, renamed=renamed, dressed=dressed)
