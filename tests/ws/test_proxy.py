"""Two nodes behind the proxy that operators are given, for programs, which need no cookie of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.socket import Socket
from tests.ws.conftest import Nodes
from tests.ws.helpers import hears


@pytest.fixture
async def proxy(nodes: Nodes, tmp_path: Path) -> AsyncIterator[Proxy]:
    """A running proxy before the two nodes."""
    proxy = Proxy(tmp_path)
    try:
        await proxy.start(nodes.east, nodes.west)
        yield proxy
    finally:
        await proxy.stop()


@pytest.fixture
async def alice(nodes: Nodes, proxy: Proxy, new_person: NewPerson) -> AsyncIterator[Person]:
    """Someone who reaches the nodes through the proxy."""
    registered = await new_person(url=nodes.east.url)
    async with Person(proxy.url, username=registered.username) as alice:
        await alice.sign_in()
        yield alice


async def test_programs_are_spread_over_the_nodes_and_hear_each_other(
    nodes: Nodes, proxy: Proxy, alice: Person
) -> None:
    chat = await alice.group_chat()
    answered: set[str | None] = set()
    async with httpx.AsyncClient(base_url=proxy.url, trust_env=False) as client:
        for _ in range(10):
            client.cookies.clear()
            answer = await client.get("/api/v1/chats", headers={"Authorization": f"Bearer {alice.token}"})
            assert [one["id"] for one in answer.json()["chats"]] == [chat["id"]]
            answered.add(answer.cookies.get("PARLEY_NODE"))
    assert answered == {"1", "2"}
    async with AsyncExitStack() as ends:
        sockets = [await ends.enter_async_context(alice.socket()) for _ in range(4)]
        for number, socket in enumerate(sockets):
            await socket.request("message.send", chat_id=chat["id"], nonce=f"{number}", body="Hello")
        await hears(sockets, chat["id"], after=chat["seq"], upto=chat["seq"] + 4)


async def test_a_node_that_stands_still_is_left_out_until_it_goes_on(
    nodes: Nodes, proxy: Proxy, alice: Person
) -> None:
    chat = await alice.group_chat()
    async with AsyncExitStack() as ends:
        sockets = [await ends.enter_async_context(alice.socket()) for _ in range(4)]
        nodes.west.pause()
        try:
            await until(lambda: some_are_cut(sockets), within=20, otherwise=proxy.output)
            async with asyncio.timeout(10):
                for number in range(6):
                    await alice.say(chat["id"], f"{number}")
                async with alice.socket() as again:
                    page = await again.request("sync", chats={chat["id"]: chat["seq"]})
            assert [message["body"] for message in page["messages"]] == [str(number) for number in range(6)]
        finally:
            nodes.west.resume()
        staying = [socket for socket in sockets if socket.close_code is None]
        assert len(staying) == 2
        await hears(staying, chat["id"], after=chat["seq"], upto=chat["seq"] + 6)


async def some_are_cut(sockets: list[Socket]) -> bool:
    """Whether the connections to a node that stands still have ended."""
    return sum(socket.close_code is not None for socket in sockets) >= len(sockets) // 2
