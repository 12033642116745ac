import asyncio
import json
from contextlib import suppress
from uuid import uuid4

from websockets.exceptions import ConnectionClosed

from tests.conftest import NewPerson
from tests.support.eventually import eventually
from tests.support.server import ParleyServer
from tests.support.socket import Frame, Socket

BURST = 200
PER_SECOND = 50
SENDS_BURST = 100
LARGEST = 256 * 1024


async def ping(socket: Socket, times: int) -> list[Frame]:
    """Send so many pings at once and return all the answers, in their order."""
    marks = [uuid4().hex for _ in range(times)]
    for mark in marks:
        await socket.send("ping", id=mark)
    return [await answer_to(socket, mark) for mark in marks]


async def answer_to(socket: Socket, mark: str) -> Frame:
    """Wait for the answer to a request, whatever it is."""
    await eventually(lambda: any(frame.get("re") == mark for frame in socket.waiting))
    return next(frame for frame in socket.waiting if frame.get("re") == mark)


async def test_a_burst_of_200_frames_passes_and_more_is_refused_until_there_was_time(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    async with alice.socket() as socket:
        answers = await ping(socket, BURST + 100)
        assert [answer["type"] for answer in answers[:BURST]] == ["pong"] * BURST
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert 0 < len(refused) <= 100
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert all(0 < answer["retry_after"] <= 1 / PER_SECOND for answer in refused)
        await asyncio.sleep(refused[-1]["retry_after"])
        assert (await socket.request("ping"))["type"] == "pong"


async def test_one_who_goes_on_sending_is_closed_with_4429(limited: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person(url=limited.url)
    async with alice.socket() as socket, alice.socket() as another:
        with suppress(ConnectionClosed):
            for number in range(20 * BURST):
                await socket.send("ping", id=number)
        assert await socket.closed() == 4429
        assert sum(frame["type"] == "error" for frame in socket.waiting) >= BURST
        assert (await another.request("ping"))["type"] == "pong"


async def test_malformed_frames_count_too(limited: ParleyServer, new_person: NewPerson) -> None:
    alice = await new_person(url=limited.url)
    async with alice.socket() as socket:
        for _ in range(BURST + 50):
            await socket.send_raw("nonsense")
        await socket.expect("error", code="rate_limited")


async def test_sends_beyond_a_persons_rate_are_refused_over_all_their_connections(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice, bob = await new_person(url=limited.url), await new_person(url=limited.url)
    chat = await alice.group_chat(bob)
    async with alice.socket() as first, alice.socket() as second, bob.socket() as other:
        answers = []
        for socket in (first, second):
            for number in range(SENDS_BURST):
                request = {"chat_id": chat["id"], "nonce": uuid4().hex, "body": "Hello", "id": f"send-{number}"}
                await socket.send("message.send", **request)
            answers += [await answer_to(socket, f"send-{number}") for number in range(SENDS_BURST)]
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert [answer["type"] for answer in answers[:SENDS_BURST]] == ["ack"] * SENDS_BURST
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert all(answer["retry_after"] > 0 for answer in refused)
        request = {"chat_id": chat["id"], "nonce": "n", "body": "Hello"}
        assert (await other.request("message.send", **request))["type"] == "ack"


def frame_of(size: int, *, character: str = "x") -> str:
    """A ping of exactly this size in bytes."""
    empty = json.dumps({"type": "ping", "id": 1, "filling": ""})
    filling = character * ((size - len(empty)) // len(character.encode()))
    text = empty[:-2] + filling + empty[-2:]
    return text + " " * (size - len(text.encode()))


async def test_a_frame_of_256_kib_passes_and_one_byte_more_closes_with_4413(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    async with alice.socket() as another:
        for character in ("x", "é", "👍"):
            async with alice.socket() as socket:
                await socket.send_raw(frame_of(LARGEST, character=character))
                await socket.expect("pong", re=1)
                await socket.send_raw(frame_of(LARGEST + 1, character=character))
                assert await socket.closed() == 4413
        assert (await another.request("ping"))["type"] == "pong"


async def test_what_follows_a_frame_that_is_too_large_has_no_effect(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    chat = await alice.group_chat()
    async with alice.socket() as socket, alice.socket() as another:
        await socket.send_raw(frame_of(LARGEST + 1))
        with suppress(ConnectionClosed):
            for number in range(50):
                request = {"chat_id": chat["id"], "nonce": f"n-{number}", "body": "Hello"}
                await socket.send("message.send", **request)
        assert await socket.closed() == 4413
        await another.nothing("message.created")


async def test_a_frame_far_beyond_the_limit_closes_that_connection_only(
    limited: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person(url=limited.url)
    async with alice.socket() as another:
        async with alice.socket() as socket:
            with suppress(ConnectionClosed):
                await socket.send_raw("x" * (5 * LARGEST))
            assert await socket.closed() in {1009, 4413}
        assert (await another.request("ping"))["type"] == "pong"


async def test_without_limits_neither_frames_nor_sends_are_counted(
    server: ParleyServer, new_person: NewPerson
) -> None:
    alice = await new_person()
    async with alice.socket() as socket:
        answers = await ping(socket, 2 * BURST + 50)
    assert {answer["type"] for answer in answers} == {"pong"}
