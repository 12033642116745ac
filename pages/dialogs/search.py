"""Searching the messages of all one's chats."""

from collections.abc import Callable
from uuid import UUID

from nicegui import ui

from pages.dialogs.frame import dialog
from pages.elements import text
from pages.frame import tells_refusals
from pages.guard import Visit
from services import accounts, chats, views
from services.parley import Parley
from services.search import search

FOUND = 30
"""Most messages that are shown at once."""

GoTo = Callable[[UUID, int], None]


class Search:
    """The dialog's contents.

    :param go_to: called with the chat and number of the message that is pressed.
    """

    def __init__(self, parley: Parley, visit: Visit, box: ui.dialog, *, go_to: GoTo) -> None:
        self._parley, self._visit, self._box, self._go_to = parley, visit, box, go_to
        entry = ui.input("Words that the message contains", on_change=lambda event: self._find(event.value))
        entry.props('outlined dense debounce="300" autofocus')
        self._found = ui.element("div").classes("people").props('role="group" aria-label="Messages found"')

    @tells_refusals
    async def _find(self, query: str) -> None:
        hits: list[views.Hit] = []
        titles: dict[UUID, str] = {}
        authors: dict[UUID, str] = {}
        if query.strip():
            async with self._parley.snapshot() as tx:
                hits, _ = await search(tx, actor=self._visit.actor, query=query, limit=FOUND)
                for chat_id in {hit.chat_id for hit in hits}:
                    chat = await chats.get(tx, actor=self._visit.actor, chat_id=chat_id)
                    titles[chat_id] = chat.title or (chat.peer.display_name if chat.peer else "")
                for user_id in {hit.author_id for hit in hits}:
                    person = await accounts.get(tx, actor=self._visit.actor, user_id=user_id)
                    authors[user_id] = person.display_name
        if self._found.is_deleted:
            return
        self._found.clear()
        with self._found:
            for hit in hits:
                self._hit(hit, f"{authors[hit.author_id]} in {titles[hit.chat_id]}, {hit.created_at:%d %b %Y}")
            if query.strip() and not hits:
                text("Nothing found.", look="hint")

    def _hit(self, hit: views.Hit, about: str) -> None:
        def go() -> None:
            self._box.close()
            self._go_to(hit.chat_id, hit.seq)

        with ui.element("button").classes("hit").props('type="button"').on("click", go, args=[]):
            text(about, tag="small")
            text(hit.snippet, tag="span")


def show_search(parley: Parley, visit: Visit, *, go_to: GoTo) -> None:
    """Open the dialog."""
    with dialog("Search messages") as box:
        Search(parley, visit, box, go_to=go_to)
