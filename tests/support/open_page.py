"""A page as a program that pretends to be its browser has it: its elements, and its NiceGUI socket."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import uuid4

import httpx
import socketio

from tests.support.person import Person


class OpenPage:
    """A chat page as its person's browser got it, and the socket of whoever connects to it."""

    def __init__(self, person: Person, html: str) -> None:
        self.url = person.url
        self.client_id = re.findall(r"'client_id': '([0-9a-f-]+)'", html)[0]
        escaped = re.findall(r"String\.raw`(.*?)`", html, re.DOTALL)[0]
        for reference, char in (("&#36;", "$"), ("&#96;", "`"), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&")):
            escaped = escaped.replace(reference, char)
        elements = json.loads(escaped)
        self.events = [
            (
                event["type"],
                {"id": int(id_), "client_id": self.client_id, "listener_id": event["listener_id"], "args": []},
            )
            for id_, element in elements.items()
            for event in element.get("events", [])
        ]
        self.new_chat = dict(self.events)["act"] | {"args": ['"newChat"']}

    @classmethod
    async def of(cls, person: Person) -> Self:
        async with httpx.AsyncClient(trust_env=False, cookies={"parley_session": person.cookie}) as client:
            return cls(person, (await client.get(person.url)).text)

    @asynccontextmanager
    async def connected(self, cookie: str, **headers: str) -> AsyncIterator[socketio.AsyncClient]:
        """Connect to the page's socket with someone's cookie."""
        query = (
            f"client_id={self.client_id}&tab_id={uuid4()}&document_id={uuid4()}"
            "&next_message_id=0&implicit_handshake=true"
        )
        socket = socketio.AsyncClient(reconnection=False)
        try:
            await socket.connect(
                f"{self.url}?{query}",
                headers={"Cookie": f"parley_session={cookie}", **headers},
                transports=["websocket"],
                socketio_path="/_nicegui_ws/socket.io",
            )
            yield socket
        finally:
            await socket.disconnect()


def updates(socket: socketio.AsyncClient) -> asyncio.Queue[Any]:
    """What the server changes on the page from now on."""
    received: asyncio.Queue[Any] = asyncio.Queue()
    socket.on("update", received.put)
    return received
