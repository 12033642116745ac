"""The page 'Where you are signed in', where one ends sign-ins of one's own."""

import re
from datetime import UTC, datetime
from uuid import UUID

from fastapi import Request
from nicegui import ui

from pages.dialogs.frame import confirmed
from pages.elements import button, icon, text
from pages.frame import Frame, card, tells_refusals
from pages.guard import Visit
from services import sessions, views
from services.parley import Parley

_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "Mac OS": "macOS"}


def described(device: str) -> str:
    """Say in a few words what a browser's description means; another program's is shown as it is."""
    browser = next((one for one in _BROWSERS if f"{one}/" in device), None)
    if browser is None:
        return re.split(r"[ (]", device, maxsplit=1)[0] or "Unknown device"
    system = next((name for mark, name in _SYSTEMS.items() if mark in device), "Linux")
    return f"{_NAMES.get(browser, browser)} on {system}"


def ago(moment: datetime) -> str:
    """Say how long ago something was."""
    minutes = int((datetime.now(UTC) - moment).total_seconds() // 60)
    if minutes < 2:
        return "just now"
    if minutes < 120:
        return f"{minutes} minutes ago"
    return f"{minutes // 60} hours ago"


class SessionList:
    """The sign-ins that hold, each with a button that ends it."""

    def __init__(self, parley: Parley, visit: Visit) -> None:
        self._parley, self._visit = parley, visit
        self._rows = ui.element("ul").classes("rows-list")
        with ui.element("div").classes("actions") as self._others:
            button("Sign out everywhere else", look="danger", on_click=self._end_others)

    async def show(self) -> None:
        """Read and show them."""
        async with self._parley.snapshot() as tx:
            found = await sessions.list_active(tx, actor=self._visit.actor, current=self._visit.session.id)
        self._others.set_visibility(len(found) > 1)
        self._rows.clear()
        with self._rows:
            for session in found:
                self._row(session)

    def _row(self, session: views.OwnSession) -> None:
        with ui.element("li"):
            icon("smartphone" if re.search("Mobi|Android|iPhone", session.device) else "computer")
            with ui.element("div").classes("grow"):
                text(described(session.device) + (" · this browser" if session.current else ""), tag="strong")
                seen = "now" if session.current else ago(session.last_seen_at)
                text(f"{session.address} · signed in {ago(session.created_at)} · last seen {seen}", tag="small")
            if session.current:
                with ui.element("form").props('method="post" action="/sign-out"'):
                    button("Sign out", look="quiet")
            else:
                button("Sign out", look="quiet", on_click=lambda: self._end(session.id)).mark("end-session")

    @tells_refusals
    async def _end(self, session_id: UUID) -> None:
        async with self._parley.transaction() as tx:
            await sessions.end(tx, actor=self._visit.actor, session_id=session_id)
        await self.show()

    @tells_refusals
    async def _end_others(self) -> None:
        about = "Every other browser and program that is signed in as you has to sign in again."
        if await confirmed("Sign out everywhere else?", about=about, action="Sign out"):
            async with self._parley.transaction() as tx:
                await sessions.end_others(tx, actor=self._visit.actor, keep=self._visit.session.id)
            await self.show()


def register(frame: Frame) -> None:
    """Declare the page."""

    @frame.private("/sessions", title="Where you are signed in · Parley")
    async def page(_request: Request, visit: Visit) -> None:
        with card("Where you are signed in", wide=True, back=True):
            await SessionList(frame.parley, visit).show()
