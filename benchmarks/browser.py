"""What a person waits for in the browser, by the page's own clock, in Chromium.

A figure counts only when the page showed the right messages, in order and without a hole; a wrong page has none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import cycle
from typing import Any
from uuid import uuid4

import httpx
from playwright.async_api import Page, ViewportSize, async_playwright
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.browser_probe import PROBE
from benchmarks.figures import Figure
from benchmarks.load import percentiles
from benchmarks.servers import Running
from benchmarks.stage import TEXTS, Guest, Stage
from tests.support.browser import launch

HISTORY = 10_000
"""Messages of the long chat, which is scrolled through from the end to the beginning."""

STREAMED = 3_600
"""Messages that come while memory is watched: one a second for an hour, only faster."""

WARMED_BY = 600
"""Messages that come before: until then the page fills what it keeps."""

AT_ONCE = 60
"""Messages of the stream that come at once; then it waits until the page shows them."""

OWN, HEARD, CHANGES = 20, 40, 20
"""How often one writes, hears another, and changes the chat."""

STEP = 500
"""Pixels of a scroll in one frame: less than the list shows, so that every row is on the screen once."""

VIEWPORT: ViewportSize = {"width": 1200, "height": 900}

PATIENCE = 120_000.0
"""Milliseconds until a page that does not show what it should is given up."""

ON_TIME, HEARD_WITHIN, CHANGED_WITHIN, MOST_ROWS, MOST_JUMP, MOST_GROWTH = 1.0, 50.0, 150.0, 350.0, 2.0, 1024.0


class WrongPage(Exception):
    """The page did not show what it should; the message says what."""


class Author:
    """Someone who writes over ``/ws``.

    :param socket: their connection, greeted already.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._written = 0

    @classmethod
    @asynccontextmanager
    async def connected(cls, server: Running, guest: Guest) -> AsyncIterator["Author"]:
        """Someone who is connected until the block ends."""
        headers = {"Authorization": f"Bearer {guest.token}"}
        async with connect(
            server.ws_url, additional_headers=headers, compression=None, proxy=None, max_size=None
        ) as socket:
            await socket.recv()
            yield cls(socket)

    async def write(self, chat_id: str, texts: Sequence[str], *, at_once: int = 64) -> list[datetime]:
        """Send messages in this order.

        :param at_once: how many are under way.
        :return: when the server took each, which is before it was committed.
        """
        moments: list[datetime] = []
        sent = 0
        while len(moments) < len(texts):
            while sent < len(texts) and sent - len(moments) < at_once:
                frame = {"type": "message.send", "id": sent, "chat_id": chat_id, "nonce": uuid4().hex}
                await self._socket.send(json.dumps(frame | {"body": texts[sent]}))
                sent += 1
            answer = json.loads(await self._socket.recv())
            if answer["type"] == "error":
                raise WrongPage(f"a message was refused: {answer}")
            if answer["type"] == "ack":
                moments.append(datetime.fromisoformat(answer["message"]["created_at"]))
        return moments


def numbered(first: int, count: int) -> list[str]:
    """Write texts of many shapes, each of which begins with its number."""
    shapes = cycle(TEXTS)
    return [f"#{number} {next(shapes)}" for number in range(first, first + count)]


async def measure(server: Running, stage: Stage) -> list[Figure]:
    """Open the chat page in Chromium and measure all that this module is about."""
    reader, writer = stage.reader, stage.loners[0]
    async with AsyncGroups(server, writer) as groups, Author.connected(server, writer) as author:
        long, one, other = [await groups.make(title, reader) for title in ("Long", "One", "Other")]
        await author.write(long, numbered(0, HISTORY))
        for chat_id in (one, other):
            await author.write(chat_id, numbered(0, 60))
        await mark_read(server, reader, long, one, other)
        async with _page(server, reader, f"/chat/{one}") as page:
            figures = await _writing(page) + await _hearing(page, author, one)
            figures += await _changing(page, one, other)
        async with _page(server, reader, f"/chat/{long}") as page:
            figures += await _scrolling(page)
        async with _page(server, reader, f"/chat/{other}") as page:
            figures += await _staying(page, author, other)
    return figures


class AsyncGroups:
    """Makes group chats of one person.

    :param owner: whose they are.
    """

    def __init__(self, server: Running, owner: Guest) -> None:
        headers = {"Authorization": f"Bearer {owner.token}"}
        self._client = httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False)

    async def __aenter__(self) -> "AsyncGroups":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def make(self, title: str, member: Guest) -> str:
        """Make a chat with someone else in it.

        :return: its id.
        """
        wanted = {"kind": "group", "title": title, "member_ids": [str(member.id)]}
        answer = (await self._client.post("/chats", json=wanted)).raise_for_status()
        return str(answer.json()["id"])


async def mark_read(server: Running, reader: Guest, *chat_ids: str) -> None:
    """Have someone read all of some chats: one with unread messages opens at the first of them, not at the end."""
    headers = {"Authorization": f"Bearer {reader.token}"}
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=headers, trust_env=False) as client:
        for chat_id in chat_ids:
            (await client.post(f"/chats/{chat_id}/read", json={"seq": 10 * HISTORY})).raise_for_status()


@asynccontextmanager
async def _page(server: Running, reader: Guest, path: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        context = await browser.new_context(base_url=server.url, viewport=VIEWPORT)
        context.set_default_timeout(PATIENCE)
        await context.add_cookies([{"name": "parley_session", "value": reader.token, "url": server.url}])
        page = await context.new_page()
        await page.goto(path)
        await page.get_by_role("article").last.wait_for()
        await page.evaluate(PROBE)
        yield page
        await browser.close()


async def _writing(page: Page) -> list[Figure]:
    box = page.get_by_role("textbox", name="Message")
    waits = []
    for number in range(OWN):
        text = f"my own message {number} of many"
        await box.fill(text)
        watched = asyncio.ensure_future(page.evaluate("text => probe.afterEnter(text)", text))
        await asyncio.sleep(0.05)  # the page listens by then; if it did not, it would wait for ever
        await box.press("Enter")
        waits.append(await watched)
        await page.get_by_role("article").filter(has_text=text).locator(".prose:not(.plain)").wait_for()
    frames, times = [wait["frames"] for wait in waits], [wait["ms"] for wait in waits]
    return [
        Figure("own message", "frames from Enter to it on the screen, most", max(frames), "", ON_TIME),
        Figure("own message", "time from Enter to that frame, p50", percentiles(times, 50)[0], "ms"),
    ]


async def _hearing(page: Page, author: Author, chat_id: str) -> list[Figure]:
    waits = []
    for number in range(HEARD):
        text = f"from somebody else {number} of many"
        watched = asyncio.ensure_future(page.evaluate("text => probe.shown(text)", text))
        (taken,) = await author.write(chat_id, [text])
        waits.append(await watched - taken.timestamp() * 1e3)
    half, most = percentiles(waits, 50, 99)
    return [
        Figure("another's message", "from before its commit to the screen, p50", half, "ms"),
        Figure("another's message", "the same, p99", most, "ms", HEARD_WITHIN),
    ]


async def _changing(page: Page, one: str, other: str) -> list[Figure]:
    waits = []
    for number in range(2 + CHANGES):
        chat_id, last = ((other, "#59 "), (one, f"else {HEARD - 1} of many"))[number % 2]
        waits.append(await page.evaluate("([id, last]) => probe.change(id, last)", [chat_id, last]))
    half, most = percentiles(waits[2:], 50, 100)
    return [
        Figure("changing the chat, warm", "until its newest message is on the screen, p50", half, "ms"),
        Figure("changing the chat, warm", "the slowest", most, "ms", CHANGED_WITHIN),
    ]


async def _scrolling(page: Page) -> list[Figure]:
    seen: dict[str, Any] = await page.evaluate("step => probe.scrollUp(step)", STEP)
    if seen["numbers"] != list(range(HISTORY - 1, -1, -1)):
        raise WrongPage(f"{len(seen['numbers'])} rows were seen on the way up, not each of {HISTORY} in order")
    subject = f"scrolling through {HISTORY:,} messages"
    return [
        Figure(subject, "rows in the document, most", seen["rows"], "", MOST_ROWS),
        Figure(subject, "jump of what one looks at, largest", seen["jump"], "px", MOST_JUMP),
        Figure(subject, "frame, p50", percentiles(seen["frames"], 50)[0], "ms"),
        Figure(subject, "frame, p99", percentiles(seen["frames"], 99)[0], "ms"),
    ]


async def _staying(page: Page, author: Author, chat_id: str) -> list[Figure]:
    await _stream(page, author, chat_id, 60, WARMED_BY)
    before = await _heap(page)
    await _stream(page, author, chat_id, 60 + WARMED_BY, STREAMED)
    grown = await _heap(page) - before
    rows = await page.get_by_role("article").count()
    subject = f"{STREAMED:,} messages into an open chat"
    return [
        Figure(subject, "growth of the heap", grown / 1024, "KB", MOST_GROWTH),
        Figure(subject, "rows in the document", rows, "", MOST_ROWS),
    ]


async def _stream(page: Page, author: Author, chat_id: str, first: int, count: int) -> None:
    for start in range(first, first + count, AT_ONCE):
        await author.write(chat_id, numbered(start, AT_ONCE))
        await page.evaluate("text => probe.shown(text)", f"#{start + AT_ONCE - 1} ")
    numbers = await page.evaluate("probe.numbers()")
    if numbers != list(range(first + count - len(numbers), first + count)):
        raise WrongPage("the rows in the document are not the newest in order")


async def _heap(page: Page) -> float:
    session = await page.context.new_cdp_session(page)
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
        await asyncio.sleep(0.2)
    used = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return float(used["usedSize"])
