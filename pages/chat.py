"""The chat page: its live part, and the dialogs that this opens."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from fastapi import Request
from nicegui.events import GenericEventArguments

from pages import theme
from pages.dialogs import group
from pages.dialogs.frame import confirmed
from pages.dialogs.new_chat import ask_for_new_chat, start_private
from pages.dialogs.profile import show_profile
from pages.dialogs.search import show_search
from pages.frame import Frame, tells_refusals
from pages.guard import Visit
from pages.live.element import Live
from pages.live.markup import fetch_markup_early
from services import messages, views
from services.errors import ParleyError, ValidationFailed
from services.parley import Parley

KEPT = 60.0
"""Seconds for which the server keeps a page whose browser is gone; after that the browser loads it again."""

GroupAction = Callable[[Parley, Visit, UUID], Awaitable[None]]

GROUP_ACTIONS: dict[str, GroupAction] = {
    "rename": group.rename,
    "addMembers": group.add_members,
    "transfer": group.transfer,
    "close": group.close,
    "reopen": group.reopen,
    "leave": group.leave,
}


class Given(msgspec.Struct):
    """A chat's newest messages as of its number ``seq``."""

    chat_id: UUID
    seq: int
    messages: list[views.Message]
    more: bool


class ChatPage:
    """One open chat page."""

    def __init__(self, parley: Parley, visit: Visit, scheme: theme.Scheme) -> None:
        self._parley, self._visit, self._scheme = parley, visit, scheme
        fetch_markup_early()
        self._live = Live()
        self._live.on("act", self._act)

    @tells_refusals
    async def _act(self, event: GenericEventArguments) -> None:
        name, value = Live.asked(event.args)
        match name:
            case "newChat":
                await self._new_chat()
            case "search":
                show_search(self._parley, self._visit, go_to=self._open)
            case "profile":
                self._profile()
            case "write":
                self._open(await start_private(self._parley, self._visit, _uuid(value)))
            case "removeMember":
                await group.remove_member(self._parley, self._visit, _uuid(value, "chat_id"), _uuid(value, "user_id"))
            case "delete":
                await self._delete_message(_uuid(value, "chat_id"), _uuid(value, "message_id"))
            case _ if name in GROUP_ACTIONS:
                await GROUP_ACTIONS[name](self._parley, self._visit, _uuid(value))

    def _open(self, chat_id: UUID, seq: int = 0) -> None:
        self._live.run_method("open", str(chat_id), {"seq": seq})

    async def _new_chat(self) -> None:
        chat_id = await ask_for_new_chat(self._parley, self._visit)
        if chat_id:
            self._open(chat_id)

    async def _delete_message(self, chat_id: UUID, message_id: UUID) -> None:
        about = "Its text is erased for everyone, and cannot be brought back."
        if await confirmed("Delete this message?", about=about, action="Delete"):
            async with self._parley.transaction() as tx:
                await messages.delete(tx, actor=self._visit.actor, chat_id=chat_id, message_id=message_id)

    def _profile(self) -> None:
        def renamed(user: views.OwnUser) -> None:
            self._live.run_method("learn", msgspec.to_builtins(user))

        def dressed(scheme: theme.Scheme) -> None:
            self._scheme = scheme
            self._live.run_method("theme", scheme)

        show_profile(self._parley, self._visit, scheme=self._scheme, renamed=renamed, dressed=dressed)


def _uuid(sent: Any, name: str = "") -> UUID:
    """Read an id out of an event, which may have come from anything that has a page's socket.

    :param name: under which it was sent, if it was not sent alone.
    :raises ValidationFailed: it is none.
    """
    try:
        return UUID(str(sent[name] if name else sent))
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValidationFailed(name or "id", "must be a UUID") from None


def register(frame: Frame) -> None:
    """Declare the page, which is also where each chat has its address."""

    @frame.private("/", "/chat/{chat_id}", title="Parley", reconnect_timeout=KEPT)
    async def chat(request: Request, visit: Visit) -> bytes | None:
        ChatPage(frame.parley, visit, theme.chosen(request))
        return await _newest(frame.parley, visit, request.path_params.get("chat_id", ""))


async def _newest(parley: Parley, visit: Visit, chat_id: str) -> bytes | None:
    """Read what the script would otherwise ask for at once: the newest messages of the chat that it will open."""
    try:
        opened = _uuid(chat_id)
        async with parley.snapshot() as tx:
            seq, page = await messages.newest(tx, parley.cache, actor=visit.actor, chat_id=opened)
    except ParleyError:
        return None  # the script finds out by itself, and says so
    return msgspec.json.encode(Given(opened, seq, page.messages, page.more))
