"""Starting a private chat or a group."""

from uuid import UUID

from nicegui import ui

from pages.dialogs.frame import dialog
from pages.dialogs.people import PeopleSearch
from pages.elements import button
from pages.frame import tells_refusals
from pages.guard import Visit
from services import chats, views
from services.parley import Parley


async def start_private(parley: Parley, visit: Visit, user_id: UUID) -> UUID:
    """Start the private chat with someone, or find it.

    :return: its id.
    """
    async with parley.transaction() as tx:
        chat, _ = await chats.create(tx, actor=visit.actor, kind="private", title=None, member_ids=[user_id])
    return chat.id


async def ask_for_new_chat(parley: Parley, visit: Visit) -> UUID | None:
    """Ask with whom to talk, and start that chat: one person for a private chat, some and a title for a group.

    :return: the chat's id, or None when the dialog was dismissed.
    """
    with dialog("New chat") as box:
        NewChat(parley, visit, box)
    answer: UUID | None = await box
    return answer


class NewChat:
    """The dialog's contents; submits the new chat's id."""

    def __init__(self, parley: Parley, visit: Visit, box: ui.dialog) -> None:
        self._parley, self._visit, self._box = parley, visit, box
        self._is_group = False
        self._chosen: dict[UUID, views.User] = {}
        with ui.element("div").classes("choice").props('role="group" aria-label="Kind of chat"'):
            self._private = button("Private", look="", on_click=lambda: self._show(group=False))
            self._group = button("Group", look="", on_click=lambda: self._show(group=True))
        self._title = ui.input("Name of the group").props('outlined dense maxlength="80"')
        self._chips = ui.element("div").classes("chips")
        PeopleSearch(parley, visit, self._choose)
        with ui.element("div").classes("actions") as self._actions:
            button("Cancel", look="quiet", on_click=box.close)
            button("Create group", on_click=self._create)
        self._show(group=False)

    def _show(self, *, group: bool) -> None:
        self._is_group = group
        for part in (self._title, self._chips, self._actions):
            part.set_visibility(group)
        self._private.props["aria-pressed"] = str(not group).lower()
        self._group.props["aria-pressed"] = str(group).lower()

    @tells_refusals
    async def _choose(self, user: views.User) -> None:
        if not self._is_group:
            self._box.submit(await start_private(self._parley, self._visit, user.id))
            return
        if self._chosen.pop(user.id, None) is None:
            self._chosen[user.id] = user
        self._chips.clear()
        with self._chips:
            for one in self._chosen.values():
                chip = button(f"{one.display_name} ✕", look="chip", on_click=lambda one=one: self._choose(one))
                chip.props["aria-label"] = f"Without {one.display_name}"

    @tells_refusals
    async def _create(self) -> None:
        async with self._parley.transaction() as tx:
            chat, _ = await chats.create(
                tx,
                actor=self._visit.actor,
                kind="group",
                title=self._title.value,
                member_ids=list(self._chosen),
            )
        self._box.submit(chat.id)
