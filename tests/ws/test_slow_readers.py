import json
import time
from uuid import uuid4

import pytest

from tests.conftest import NewPerson
from tests.support.server import ParleyServer
from tests.support.socket import Socket
from tests.ws.helpers import hears, told
from tests.ws.raw_socket import CLOSE, TEXT, RawSocket

CUT_AFTER = 5.0
BODY = "x" * 16_000
MESSAGES = 60
PATIENCE = 2.0


async def fill(stuck: RawSocket, chat_id: str) -> None:
    """Ask for more than the network holds (4 MB on Linux) and the server keeps, and read nothing of it."""
    request = json.dumps({"type": "history", "chat_id": chat_id, "limit": MESSAGES})
    for _ in range(4):
        await stuck.send(TEXT, request.encode())


async def talk(socket: Socket, chat_id: str, times: int) -> float:
    """Send long messages one after the other.

    :return: the longest that one took, in seconds.
    """
    longest = 0.0
    for _ in range(times):
        began = time.monotonic()
        answer = await socket.request("message.send", chat_id=chat_id, nonce=uuid4().hex, body=BODY)
        assert answer["type"] == "ack", answer
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_one_who_does_not_read_is_cut_and_nobody_waits_for_them(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice, slow, other = [await new_person(url=limited.url) for _ in range(3)]
    chat = await alice.group_chat(slow, other)
    async with alice.socket() as sending, other.socket() as reading, RawSocket.connect(slow) as stuck:
        await talk(sending, chat["id"], MESSAGES)
        await fill(stuck, chat["id"])
        assert await talk(sending, chat["id"], 20) < PATIENCE
        await hears([reading], chat["id"], after=chat["seq"], upto=chat["seq"] + MESSAGES + 20, within=PATIENCE)
        # Its place is given up although it still does not read.
        await told(reading, offline={slow.id}, within=10)
        await stuck.cut(within=CUT_AFTER + 3)


async def test_one_who_reads_late_still_learns_the_code_4408(limited: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person(url=limited.url)
    chat = await alice.group_chat()
    async with alice.socket() as sending:
        await talk(sending, chat["id"], MESSAGES)
        async with RawSocket.connect(alice) as late:
            await fill(late, chat["id"])
            await talk(sending, chat["id"], 10)
            assert await late.close_code() == 4408


async def test_a_client_that_does_not_answer_a_close_is_cut(limited: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person(url=limited.url)
    async with RawSocket.connect(alice) as silent:
        await alice.post("/auth/logout")
        assert await silent.close_code() == 4401
        await silent.cut(within=CUT_AFTER + 3)


@pytest.mark.parametrize(
    ("opcode", "data", "masked", "code"),
    [
        (TEXT, b"\xff\xfe", True, 1007),
        (TEXT, b"\xed\xa0\x80", True, 1007),
        (TEXT, b'{"type":"ping"}', False, 1002),
        (0x3, b"", True, 1002),
        (0x0, b"{}", True, 1002),
        (CLOSE, b"\x00", True, 1002),
    ],
)
async def test_breaking_the_websocket_protocol_closes_that_connection_without_a_traceback(
    server: ParleyServer, new_person: NewPerson, opcode: int, data: bytes, masked: bool, code: int
) -> None:
    alice = await new_person()
    before = len(server.output())
    async with alice.socket() as another, RawSocket.connect(alice) as socket:
        await socket.send(opcode, data, masked=masked)
        assert await socket.close_code() == code
        assert (await another.request("ping", note=uuid4().hex))["type"] == "pong"
    assert "Traceback" not in server.output()[before:]
