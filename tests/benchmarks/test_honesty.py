"""A figure counts only when every receiver got every message once and in order: a server that cheats has none."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.fan_out import Broadcast
from benchmarks.ledger import Ledger, WrongDelivery
from benchmarks.load import Load
from benchmarks.sends import Senders
from benchmarks.two_nodes import NODES, Ways
from benchmarks.wire import parse

PATIENCE = 2.0
SECONDS = 0.1
RECEIVERS = 3
CHEATED = RECEIVERS - 1
"""The receiver that gets something else than the others."""

Frames = list[dict[str, Any]]
Cheat = Callable[[int, Frames], Frames]


def honest(_number: int, frames: Frames) -> Frames:
    return frames


def drops(number: int, frames: Frames) -> Frames:
    return [] if number == 3 else frames


def doubles(number: int, frames: Frames) -> Frames:
    return frames * 2 if number == 3 else frames


def invents(number: int, frames: Frames) -> Frames:
    invented = {"type": "message.created", "message": {"body": "#999999 never sent"}}
    return [*frames, invented] if number == 3 else frames


def swaps() -> Cheat:
    held: Frames = []

    def swap(number: int, frames: Frames) -> Frames:
        if number == 1:
            held.clear()
        if number == 3:
            held.extend(frames)
            return []
        return frames + [held.pop() for _ in held[:]]

    return swap


class FakeServer:
    """Answers `message.send` as Parley does, except that what one connection gets passes through a cheat.

    :param events: what becomes of the cheated receiver's events. :param answers: and of its acknowledgements.
    :param together: whether everybody gets every message, or only its sender.
    """

    def __init__(self, *, events: Cheat = honest, answers: Cheat = honest, together: bool = True) -> None:
        self._cheats = {"message.created": events, "ack": answers}
        self._together = together
        self._clients: list[ServerConnection] = []
        self._counts = {"message.created": 0, "ack": 0}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        async with serve(self._handle, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"

    async def _handle(self, client: ServerConnection) -> None:
        self._clients.append(client)
        with suppress(ConnectionClosed):
            async for text in client:
                message = {"body": json.loads(text)["body"]}
                for receiver in self._clients if self._together else [client]:
                    await self._send(receiver, {"type": "message.created", "message": message})
                await self._send(client, {"type": "ack", "message": message})

    async def _send(self, client: ServerConnection, frame: dict[str, Any]) -> None:
        frames, kind = [frame], frame["type"]
        if client is self._clients[CHEATED]:
            self._counts[kind] += 1
            frames = self._cheats[kind](self._counts[kind], frames)
        for one in frames:
            await client.send(json.dumps(one, separators=(",", ":")))


async def connected(url: str) -> Load:
    load = Load(url, patience=PATIENCE)
    await asyncio.to_thread(load.connect, [""] * RECEIVERS, greeted=False)
    return load


async def saturate_one_chat(server: FakeServer, *, senders: int) -> Broadcast:
    async with server.running() as url:
        load = await connected(url)
        broadcast = Broadcast(load, uuid4(), senders)
        try:
            await asyncio.to_thread(broadcast.saturate, SECONDS)
        finally:
            load.close()
        return broadcast


async def pace_one_chat(server: FakeServer) -> Broadcast:
    async with server.running() as url:
        load = await connected(url)
        broadcast = Broadcast(load, uuid4(), 1)
        try:
            await asyncio.to_thread(broadcast.pace, 50, SECONDS)
        finally:
            load.close()
        return broadcast


async def send_in_own_chats(server: FakeServer) -> Senders:
    async with server.running() as url:
        load = await connected(url)
        senders = Senders(load, [uuid4() for _ in range(RECEIVERS)])
        try:
            await asyncio.to_thread(senders.saturate, 2, SECONDS)
        finally:
            load.close()
        return senders


async def test_an_honest_server_is_measured() -> None:
    saturated = await saturate_one_chat(FakeServer(), senders=2)
    assert saturated.ledger.deliveries > RECEIVERS * 10
    assert saturated.ledger.deliveries % RECEIVERS == 0
    paced = await pace_one_chat(FakeServer())
    assert paced.ledger.deliveries == len(paced.latencies) == 5 * RECEIVERS
    sent = await send_in_own_chats(FakeServer(together=False))
    assert len(sent.latencies) > RECEIVERS * 10


@pytest.mark.parametrize("senders", [1, 2])
@pytest.mark.parametrize("cheat", [drops, doubles, invents, swaps()])
async def test_a_saturated_server_that_cheats_one_receiver_has_no_figure(cheat: Cheat, senders: int) -> None:
    with pytest.raises(WrongDelivery):
        await saturate_one_chat(FakeServer(events=cheat), senders=senders)


@pytest.mark.parametrize("cheat", [drops, doubles, invents, swaps()])
async def test_a_server_under_a_steady_load_that_cheats_one_receiver_has_no_figure(cheat: Cheat) -> None:
    with pytest.raises(WrongDelivery):
        await pace_one_chat(FakeServer(events=cheat))


@pytest.mark.parametrize("cheat", [drops, doubles, invents, swaps()])
async def test_a_server_that_loses_or_doubles_an_event_of_a_send_has_no_figure(cheat: Cheat) -> None:
    with pytest.raises(WrongDelivery):
        await send_in_own_chats(FakeServer(events=cheat, together=False))


@pytest.mark.parametrize("cheat", [drops, doubles, swaps()])
async def test_a_server_that_loses_or_doubles_an_acknowledgement_has_no_figure(cheat: Cheat) -> None:
    with pytest.raises(WrongDelivery):
        await send_in_own_chats(FakeServer(answers=cheat, together=False))


async def test_a_double_of_the_last_message_is_noticed() -> None:
    def doubles_the_last(number: int, frames: Frames) -> Frames:
        return frames * 2 if number == 5 else frames

    with pytest.raises(WrongDelivery):
        await pace_one_chat(FakeServer(events=doubles_the_last))


async def pace_two_servers(server: FakeServer) -> Ways:
    """Let people at two addresses hear each other; one who writes is at the first of them, one at the other."""
    async with server.running() as here, server.running() as there:
        load = Load(here, there, patience=PATIENCE)
        await asyncio.to_thread(load.connect, [""] * (RECEIVERS + 1), greeted=False)
        ways = Ways(load, uuid4(), NODES)
        try:
            await asyncio.to_thread(ways.pace, 60, SECONDS)
        finally:
            load.close()
        return ways


async def test_two_honest_servers_are_measured_and_their_ways_told_apart() -> None:
    ways = await pace_two_servers(FakeServer())
    assert ways.ledger.deliveries == 6 * (RECEIVERS + 1)
    assert len(ways.near) == len(ways.far) == ways.ledger.deliveries / NODES


@pytest.mark.parametrize("cheat", [drops, doubles, invents, swaps()])
async def test_two_servers_of_which_one_cheats_a_receiver_have_no_figure(cheat: Cheat) -> None:
    with pytest.raises(WrongDelivery):
        await pace_two_servers(FakeServer(events=cheat))


def filling_a_gap(*bodies: str) -> tuple[int, ...]:
    """The marks of a page with these messages, as the load reads them."""
    page = {"type": "sync", "chat_id": str(uuid4()), "messages": [{"body": body} for body in bodies]}
    payload = json.dumps(page, separators=(",", ":")).encode()
    return parse(bytes((0x81, 0x7E)) + len(payload).to_bytes(2, "big") + payload).created


def heard_twice() -> Ledger:
    """A ledger of two receivers, one of whom has both messages, the other only the first."""
    ledger = Ledger(2)
    marks = [ledger.send(0), ledger.send(0)]
    ledger.take(0, marks)
    ledger.take(1, marks[:1])
    return ledger


def test_a_page_that_fills_a_gap_delivers_what_was_missing_and_may_repeat_what_was_not() -> None:
    ledger = heard_twice()
    assert ledger.take(1, filling_a_gap("#0 hello", "#1 hello")) == [1]
    ledger.verify()
    assert ledger.deliveries == 4


@pytest.mark.parametrize("bodies", [("#7 never sent",), ("#1000000 hello",)])
def test_a_page_that_fills_a_gap_with_something_else_is_wrong(bodies: tuple[str, ...]) -> None:
    with pytest.raises(WrongDelivery):
        heard_twice().take(1, filling_a_gap(*bodies))


def test_a_page_that_leaves_something_out_is_wrong() -> None:
    ledger = Ledger(1)
    for _ in range(2):
        ledger.send(0)
    with pytest.raises(WrongDelivery):
        ledger.take(0, filling_a_gap("#1 hello"))
