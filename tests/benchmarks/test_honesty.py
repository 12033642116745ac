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
from benchmarks.ledger import WrongDelivery
from benchmarks.load import Load
from benchmarks.sends import Senders

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
