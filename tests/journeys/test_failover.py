"""Two nodes behind the proxy that operators are given, two browsers, and nodes that die or restart under them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.async_api import expect

from tests.conftest import FreshDatabase, NewPage, StartServer
from tests.journeys.screen import Screen
from tests.support.browser import Watch
from tests.support.person import Person
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.server import ParleyServer

PATIENCE = 30_000
"""Milliseconds in which a page has come back, on a machine that has much else to do."""


class Site(NamedTuple):
    """Two nodes and the proxy before them."""

    first: ParleyServer
    second: ParleyServer
    proxy: Proxy


@pytest.fixture
async def site(
    start_server: StartServer, fresh_database: FreshDatabase, redis: RedisServer, tmp_path: Path
) -> AsyncIterator[Site]:
    """Two running nodes behind a running proxy."""
    proxy = Proxy(tmp_path)
    settings = {"DATABASE_URL": await fresh_database(), "REDIS_URL": redis.url} | proxy.settings
    folders = (tmp_path / "first", tmp_path / "second")
    first, second = await asyncio.gather(*(start_server(data=folder, **settings) for folder in folders))
    try:
        await proxy.start(first, second)
        yield Site(first, second, proxy)
    finally:
        await proxy.stop()


async def window(new_page: NewPage, person: Person, chat_id: str, *, node: int) -> Screen:
    """A window of someone whom the proxy has sent to a node before."""
    screen = await Screen.of(new_page, person)
    await screen.page.context.add_cookies([{"name": "PARLEY_NODE", "value": str(node), "url": person.url}])
    await screen.page.goto(f"/chat/{chat_id}")
    await expect(screen.composer).to_be_visible()
    return screen


async def node_of(screen: Screen) -> str:
    """The number of the node that the proxy has sent a window to."""
    return {cookie["name"]: cookie["value"] for cookie in await screen.page.context.cookies()}["PARLEY_NODE"]


async def said(screen: Screen) -> list[str]:
    """The texts of the messages that a window shows, in order."""
    return [text.strip() for text in await screen.log.locator(".prose").all_inner_texts()]


async def back(proxy: Proxy, *, node: int) -> None:
    """Wait until the proxy sends newcomers to a node again."""
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False) as client:

        async def sent_there() -> bool:
            client.cookies.clear()
            answer = await client.get("/health/live")
            return answer.cookies.get("PARLEY_NODE") == str(node)

        await until(sent_there, within=20, otherwise=proxy.output)


async def test_a_conversation_goes_on_though_nodes_die_and_restart_under_it(
    site: Site, new_page: NewPage, page_errors: Watch
) -> None:
    page_errors.expect("WebSocket connection|_nicegui_ws|Failed to load resource")
    async with Person.registered(site.proxy.url) as ada, Person.registered(site.proxy.url) as bob:
        chat = await ada.private_chat(bob)
        adas = await window(new_page, ada, chat["id"], node=1)
        bobs = await window(new_page, bob, chat["id"], node=2)
        await adas.page.reload()
        await expect(adas.page.get_by_text("Online", exact=True)).to_be_visible(timeout=PATIENCE)
        assert (await node_of(adas), await node_of(bobs)) == ("1", "2")

        async with adas.page.expect_event("load", timeout=PATIENCE):
            for number in range(6):
                await adas.say(f"Ada {number}")
                await bobs.say(f"Bob {number}")
                if number == 2:
                    await site.first.kill()
            await adas.composer.press_sequentially("half a sentence", delay=200)
        await everything_is_said(adas, bobs, 6)
        assert (await node_of(adas), await node_of(bobs)) == ("2", "2")
        await expect(adas.composer).to_have_value("half a sentence")
        await everyone_is_online(adas, bobs)

        await site.first.start()
        await back(site.proxy, node=1)
        await adas.composer.press("Enter")
        await bobs.say("another of mine")
        await expect(bobs.message("another of mine").get_by_label("Sending")).to_have_count(0)
        await bobs.composer.press("ArrowUp")
        await bobs.composer.fill("another of mine, better sai")
        async with bobs.page.expect_event("load", timeout=PATIENCE):
            await site.second.stop()
            await adas.say("Are you there?")
        await expect(bobs.message("Are you there?")).to_be_visible(timeout=PATIENCE)
        await expect(bobs.page.get_by_text("Editing your message")).to_be_visible()
        await expect(bobs.composer).to_have_value("another of mine, better sai")
        assert (await node_of(adas), await node_of(bobs)) == ("1", "1")
        await bobs.page.get_by_role("button", name="New chat").click()
        await expect(bobs.page.get_by_label("Search people")).to_be_visible(timeout=PATIENCE)
        await bobs.page.keyboard.press("Escape")
        await bobs.composer.press_sequentially("d")
        await bobs.composer.press("Enter")
        await everyone_is_online(adas, bobs)
        for screen in (adas, bobs):
            await expect(screen.message("another of mine, better said")).to_be_visible()
            assert (await said(screen))[-3:] == ["half a sentence", "another of mine, better said", "Are you there?"]


async def everything_is_said(adas: Screen, bobs: Screen, count: int) -> None:
    """Wait until both windows show all that both said, each once, in one order."""
    expected = {f"{name} {number}" for name in ("Ada", "Bob") for number in range(count)}
    shown: list[list[str]] = []

    async def all_shown() -> bool:
        shown[:] = [await said(screen) for screen in (adas, bobs)]
        unsent = await adas.page.get_by_label("Sending").count() + await bobs.page.get_by_label("Sending").count()
        return not unsent and shown[0] == shown[1] and set(shown[0]) == expected

    await until(all_shown, within=PATIENCE / 1000, otherwise=lambda: str(shown))
    assert len(shown[0]) == len(expected)
    for name in ("Ada", "Bob"):
        assert [text for text in shown[0] if text.startswith(name)] == [f"{name} {number}" for number in range(count)]


async def everyone_is_online(adas: Screen, bobs: Screen) -> None:
    for screen in (adas, bobs):
        await expect(screen.page.get_by_text("Online", exact=True)).to_be_visible(timeout=PATIENCE)
