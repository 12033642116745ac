"""What an owner does with a group: rename, hand over, close and reopen it, and who is in it; and leaving it."""

from uuid import UUID

from nicegui import ui

from pages.dialogs.frame import confirmed, dialog
from pages.dialogs.people import PeopleSearch
from pages.elements import button, text
from pages.frame import tells_refusals
from pages.guard import Visit
from services import accounts, chats, members, views
from services.parley import Parley


async def rename(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Ask for another title, and give it to the chat."""
    async with parley.snapshot() as tx:
        chat = await chats.get(tx, actor=visit.actor, chat_id=chat_id)

    @tells_refusals
    async def save() -> None:
        async with parley.transaction() as tx:
            await chats.rename(tx, actor=visit.actor, chat_id=chat_id, title=title.value)
        box.close()

    with dialog("Rename the chat") as box:
        title = ui.input("Name of the group", value=chat.title or "")
        title.props('outlined dense maxlength="80" autofocus').on("keydown.enter", save, args=[])
        with ui.element("div").classes("actions"):
            button("Cancel", look="quiet", on_click=box.close)
            button("Rename", on_click=save)


async def add_members(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Let one add people until the dialog is closed."""
    async with parley.snapshot() as tx:
        present = await members.list_of(tx, actor=visit.actor, chat_id=chat_id)

    @tells_refusals
    async def add(user: views.User) -> None:
        async with parley.transaction() as tx:
            _, new = await members.add(tx, actor=visit.actor, chat_id=chat_id, user_id=user.id)
        with added:
            text(f"{user.display_name} is in" if new else f"{user.display_name} was in already", look="hint")

    with dialog("Add people", about="They will see everything that was written here before.") as box:
        PeopleSearch(parley, visit, add, without={member.user.id for member in present})
        added = ui.element("div").props('role="status"')
        with ui.element("div").classes("actions"):
            button("Done", on_click=box.close)


async def remove_member(parley: Parley, visit: Visit, chat_id: UUID, user_id: UUID) -> None:
    """Remove someone, once confirmed."""
    async with parley.snapshot() as tx:
        user = await accounts.get(tx, actor=visit.actor, user_id=user_id)
    about = "They can no longer read this chat, from this moment on."
    if await confirmed(f"Remove {user.display_name}?", about=about, action="Remove"):
        async with parley.transaction() as tx:
            await members.remove(tx, actor=visit.actor, chat_id=chat_id, user_id=user_id)


async def transfer(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Ask who is to own the chat, and hand it over once confirmed."""
    async with parley.snapshot() as tx:
        present = await members.list_of(tx, actor=visit.actor, chat_id=chat_id)
    others = {str(one.user.id): one.user.display_name for one in present if one.user.id != visit.actor}

    @tells_refusals
    async def hand_over() -> None:
        heir = others.get(chosen.value or "")
        if heir is None:
            ui.notify("Choose a member first.", position="top", classes="notice")
        elif await confirmed(
            f"Make {heir} the owner?", about="You cannot take it back yourself.", action="Hand over"
        ):
            async with parley.transaction() as tx:
                await chats.transfer(tx, actor=visit.actor, chat_id=chat_id, user_id=UUID(chosen.value))
            box.close()

    with dialog(
        "Hand over ownership", about="The owner renames and closes the chat, and chooses who is in it."
    ) as box:
        chosen = ui.select(others, label="New owner").props("outlined dense options-dense")
        with ui.element("div").classes("actions"):
            button("Cancel", look="quiet", on_click=box.close)
            button("Hand over", on_click=hand_over)


async def close(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Close the chat, once confirmed."""
    about = "Nobody can write to it any more, until you reopen it. Everything in it stays readable."
    if await confirmed("Close this chat?", about=about, action="Close", grave=False):
        async with parley.transaction() as tx:
            await chats.close(tx, actor=visit.actor, chat_id=chat_id)


async def reopen(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Reopen the chat."""
    async with parley.transaction() as tx:
        await chats.reopen(tx, actor=visit.actor, chat_id=chat_id)


async def leave(parley: Parley, visit: Visit, chat_id: UUID) -> None:
    """Leave the chat, once confirmed."""
    about = "You can no longer read it, and come back only when its owner adds you."
    if await confirmed("Leave this chat?", about=about, action="Leave"):
        async with parley.transaction() as tx:
            await members.remove(tx, actor=visit.actor, chat_id=chat_id, user_id=visit.actor)
