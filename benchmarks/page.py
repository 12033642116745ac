"""What the chat page costs the server: the HTML with the first 50 messages, NiceGUI's socket, and `/ws`.

The browser's files (scripts, styles, fonts) are left out: it keeps them after the first visit.
"""

import asyncio
import json
import re
from ast import literal_eval
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import Figure
from benchmarks.servers import Running
from benchmarks.stage import PAGE, Stage

CPU_GOAL, MEMORY_GOAL = 8.0, 150.0

WARMED_BY = 20
"""Loads before anything is measured."""

_GIVEN = re.compile(r'<script type="application/json" id="given"[^>]*>(.*?)</script>')
_QUERY = re.compile(r"^\s*query: (\{.*\}),$", re.MULTILINE)


class OpenPage:
    """A chat page as a browser opens it; it stays open until the exit stack ends.

    :param client: carries the session's cookie.
    """

    def __init__(self, server: Running, stage: Stage, client: httpx.AsyncClient, ends: AsyncExitStack) -> None:
        self._server = server
        self._stage = stage
        self._client = client
        self._ends = ends

    async def load(self) -> None:
        """Do all that a browser does until the messages are on the screen."""
        html = (await self._client.get(f"/chat/{self._stage.page}")).raise_for_status().text
        await self._join_nicegui(html)
        live = await self._socket("/ws")
        hello = json.loads(await live.recv())
        chat = next(chat for chat in hello["chats"] if chat["id"] == str(self._stage.page))
        messages = await self._messages(html, chat)
        if len(messages) != PAGE:
            raise RuntimeError(f"{len(messages)} messages came instead of {PAGE}")
        if any(message["author_id"] not in {user["id"] for user in hello["users"]} for message in messages):
            (await self._client.get(f"/api/v1/chats/{chat['id']}/members")).raise_for_status()

    async def _messages(self, html: str, chat: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the messages that came with the page where they are still the newest; else ask for them."""
        found = _GIVEN.search(html)
        given = json.loads(found[1]) if found else {}
        if (given.get("chat_id"), given.get("seq")) != (chat["id"], chat["seq"]):
            answer = await self._client.get(f"/api/v1/chats/{chat['id']}/messages", params={"limit": PAGE})
            given = answer.raise_for_status().json()
        messages: list[dict[str, Any]] = given["messages"]
        return messages

    async def _join_nicegui(self, html: str) -> None:
        """Shake hands as NiceGUI's script does: over Socket.IO on a WebSocket, within the connection's query."""
        found = _QUERY.search(html)
        if found is None:
            raise RuntimeError("the page does not say how to connect to it")
        query = literal_eval(found[1]) | {"document_id": uuid4().hex, "tab_id": uuid4().hex, "old_tab_id": ""}
        query["implicit_handshake"] = json.dumps(query["implicit_handshake"])
        socket = await self._socket(
            "/_nicegui_ws/socket.io/?" + urlencode(query | {"EIO": 4, "transport": "websocket"})
        )
        await socket.recv()
        await socket.send("40")
        if not str(answer := await socket.recv()).startswith("40"):
            raise RuntimeError(f"NiceGUI's socket refused the page: {answer!r}")

    async def _socket(self, path: str) -> ClientConnection:
        url = self._server.url.replace("http", "ws", 1) + path
        headers = {"Cookie": f"parley_session={self._stage.reader.token}", "Origin": self._server.url}
        return await self._ends.enter_async_context(
            connect(url, additional_headers=headers, compression=None, proxy=None, ping_interval=None, max_size=None)
        )


async def measure(server: Running, stage: Stage, *, loads: int) -> list[Figure]:
    """Open the page again and again, keeping all of them open.

    :param loads: how often.
    """
    async with AsyncExitStack() as ends:
        client = await ends.enter_async_context(
            httpx.AsyncClient(
                base_url=server.url, cookies={"parley_session": stage.reader.token}, timeout=30, trust_env=False
            )
        )
        await _load(server, stage, client, ends, WARMED_BY)
        held, before = server.memory, server.cpu
        await _load(server, stage, client, ends, loads)
        used = server.cpu - before
        subject = f"chat page of {PAGE} messages"
        return [
            Figure(subject, "CPU of a load", used.total / loads * 1e3, "ms", CPU_GOAL),
            Figure(subject, "of the CPU, in the database", used.children / loads * 1e3, "ms"),
            Figure(subject, "memory while open", (server.memory - held) / loads / 1024, "KB", MEMORY_GOAL),
        ]


async def _load(server: Running, stage: Stage, client: httpx.AsyncClient, ends: AsyncExitStack, count: int) -> None:
    for _ in range(count):
        await OpenPage(server, stage, client, ends).load()
    await asyncio.sleep(1.0)  # NiceGUI sends and forgets a little after the handshake
