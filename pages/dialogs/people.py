"""Finding people by name, in several dialogs."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

from nicegui import ui
from nicegui.element import Element

from pages.elements import text
from pages.frame import tells_refusals
from pages.guard import Visit
from services import accounts, views
from services.parley import Parley

FOUND = 20
"""Most people that are shown at once."""

Choose = Callable[[views.User], Awaitable[None] | None]


class PeopleSearch:
    """A search box with the people found below it, each a button.

    :param visit: for whom one searches.
    :param choose: called with the person that is pressed.
    :param without: people who are not shown.
    """

    def __init__(self, parley: Parley, visit: Visit, choose: Choose, *, without: Collection[UUID] = ()) -> None:
        self._parley, self._visit, self._choose = parley, visit, choose
        self._without = {visit.user.id, *without}
        box = ui.input("Search people", on_change=lambda event: self._find(event.value))
        box.props('outlined dense debounce="200" autofocus')
        self._found = ui.element("div").classes("people").props('role="group" aria-label="People"')
        ui.timer(0, lambda: self._find(""), once=True)

    @tells_refusals
    async def _find(self, query: str) -> None:
        async with self._parley.snapshot() as tx:
            people = await accounts.search(tx, actor=self._visit.actor, query=query, limit=FOUND, only_active=True)
        if self._found.is_deleted:
            return
        self._found.clear()
        with self._found:
            shown = [user for user in people if user.id not in self._without]
            for user in shown:
                self._person(user)
            if not shown:
                text("Nobody found." if query else "There is nobody else yet.", look="hint")

    def _person(self, user: views.User) -> Element:
        row = ui.element("button").classes("person").on("click", lambda: self._choose(user), args=[])
        row.props["type"] = "button"
        row.mark(user.username)
        with row, ui.element("span"):
            text(user.display_name, tag="span")
            text(f"@{user.username}", tag="small")
        return row
