"""Clients that break the WebSocket protocol (RFC 6455), or exhaust what it leaves without a bound."""

from contextlib import suppress

import psutil
import pytest

from tests.conftest import NewPerson
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.ws.raw_socket import RawSocket

MIB = 2**20
MASK = bytes(4)

VIOLATIONS = {
    "a frame without a mask": (b"\x81\x02{}", 1002),
    "a reserved opcode": (b"\x83\x80" + MASK, 1002),
    "a reserved control opcode": (b"\x8b\x80" + MASK, 1002),
    "a reserved bit": (b"\xc1\x80" + MASK, 1002),
    "a ping in pieces": (b"\x09\x80" + MASK, 1002),
    "a ping that is too long": (b"\x89\xfe\x00\x7e" + MASK + bytes(126), 1002),
    "a close of one byte": (b"\x88\x81" + MASK + b"\x03", 1002),
    "a close code that is none": (b"\x88\x82" + MASK + b"\x03\xed", 1002),
    "a close reason that is not UTF-8": (b"\x88\x83" + MASK + b"\x03\xe8\xff", 1007),
    "a piece of nothing": (b"\x80\x80" + MASK, 1002),
    "a message inside another": (b"\x01\x80" + MASK + b"\x81\x80" + MASK, 1002),
    "a text that is not UTF-8": (b"\x81\x82" + MASK + b"\xc3\x28", 1007),
    "half of a surrogate pair": (b"\x81\x83" + MASK + b"\xed\xa0\x80", 1007),
    "a length beyond the limit": (b"\x81\xff" + (2**40).to_bytes(8) + MASK, 1009),
    "a length beyond numbers": (b"\x81\xff" + b"\xff" * 8 + MASK, 1009),
}


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
async def test_who_breaks_the_protocol_is_disconnected_with_the_reason_and_nobody_else_is(
    server: ParleyServer, administrator: Person, data: bytes, code: int
) -> None:
    before = len(server.output())
    async with administrator.socket() as another:
        async with RawSocket.connect(administrator) as socket:
            await socket.write(data)
            assert await socket.close_code() == code
        assert (await another.request("ping"))["type"] == "pong"
    assert "Traceback" not in server.output()[before:]


async def _flood(socket: RawSocket, data: bytes, *, times: int) -> None:
    for _ in range(times):
        await socket.write(data)


async def test_a_message_in_endless_empty_pieces_is_cut_off_and_takes_no_memory(
    server: ParleyServer, administrator: Person
) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    async with RawSocket.connect(administrator) as socket:
        await socket.write(b"\x01\x80" + MASK)
        with pytest.raises(ConnectionError):
            await _flood(socket, (b"\x00\x80" + MASK) * 10_000, times=100)
        assert process.memory_info().rss < before + 16 * MIB


async def test_a_message_in_many_pieces_is_put_together(administrator: Person) -> None:
    async with RawSocket.connect(administrator) as socket:
        text = b'{"type":"ping","id":1}'
        pieces = [b"\x00\x81" + MASK + bytes([char]) for char in text]
        await socket.write(b"\x01\x80" + MASK + b"".join(pieces) + b"\x80\x80" + MASK)
        while b"pong" not in (await socket.frame())[1]:
            pass


async def test_who_pings_without_end_and_reads_no_answers_is_cut_and_takes_no_memory(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    process = psutil.Process(limited.pid)
    before = process.memory_info().rss
    async with RawSocket.connect(alice) as socket:
        with suppress(ConnectionError, TimeoutError):
            for _ in range(400):
                await socket.write((b"\x89\xfd" + MASK + bytes(125)) * 500)
        assert process.memory_info().rss < before + 16 * MIB
        await socket.cut(within=20)
