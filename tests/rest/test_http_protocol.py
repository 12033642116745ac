"""What a stranger sends before anything of Parley's own sees it: sizes, slowness, and two readings of one request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import psutil
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from pages.endpoints.http_protocol import BoundedHttpProtocol
from tests.rest.raw_http import exchanged, statuses
from tests.support.eventually import eventually
from tests.support.person import Person
from tests.support.processes import free_port
from tests.support.server import ParleyServer

MIB = 2**20
CHUNKED = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

AMBIGUOUS = {
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a length and pieces": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "pieces and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "pieces inside of something": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "a length beyond numbers": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a folded line": b"X: a\r\n Content-Length: 5\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\n",
    "NUL": b"X: a\x00b\r\n\r\n",
    "bare line feeds": b"X: a\nContent-Length: 5\n\n",
    "a piece of a wrong size": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_a_proxy_may_read_otherwise_is_refused_and_ends_the_connection(
    server: ParleyServer, rest: bytes
) -> None:
    smuggled = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n"
    assert statuses(await exchanged(server.url, head + rest + smuggled)) == [400]


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"GET /", b"a" * 65536),
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 65536),
        (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 10_000),
        (b"GET / HTTP/1.1\r\nCookie: ", b"parley_session=a.b; " * 3000),
        (CHUNKED + b"1;", b"a" * 65536),
        (CHUNKED + b"0\r\n", b"X: a\r\n" * 10_000),
    ],
    ids=["address", "header", "headers", "cookies", "piece's extension", "trailers"],
)
async def test_an_endless_head_is_cut_off_and_takes_no_memory(
    server: ParleyServer, head: bytes, endless: bytes
) -> None:
    process = psutil.Process(server.pid)
    before = process.memory_info().rss
    received = await exchanged(server.url, head + endless * 160)
    assert set(statuses(received)) <= {400, 422, 431}
    assert process.memory_info().rss < before + 32 * MIB


async def test_a_head_as_browsers_send_it_passes(administrator: Person) -> None:
    cookies = "; ".join(f"name{number}={'x' * 100}" for number in range(300))
    response = await administrator.request("GET", "/me", headers={"Cookie": cookies})
    assert response.status_code == 200


async def test_a_handshake_with_a_head_that_is_too_large_is_refused_and_ends(server: ParleyServer) -> None:
    handshake = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    for rest in (b"X: " + b"a" * 20_000 + b"\r\n\r\n", b"X: a\r\n" * 200 + b"\r\n"):
        assert statuses(await exchanged(server.url, handshake + rest)) == [431]


async def test_one_who_hangs_up_in_the_middle_of_a_body_is_no_error_in_the_log(server: ParleyServer) -> None:
    before = len(server.output())
    host, port = server.url.removeprefix("http://").split(":")
    for path, kind in (("/api/v1/auth/login", "application/json"), ("/sign-in", "application/x-www-form-urlencoded")):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 9\r\n\r\na=".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    refused = await exchanged(server.url, b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert statuses(refused) == [401]
    assert "Traceback" not in server.output()[before:]


class Impatient(BoundedHttpProtocol):
    """A connection that waits less long."""

    head_patience = 0.5
    body_patience = 0.5


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(await Request(scope, receive).body())(scope, receive, send)


@pytest.fixture
async def impatient() -> AsyncIterator[str]:
    """The URL of a server that answers with what it was sent, by the protocol with less patience."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(_echo, port=port, http=Impatient, lifespan="off", log_config=None, log_level="critical")
    )
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", []),
        (b"GET /", [408]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", [408]),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", [408]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n", [200, 408]),
    ],
    ids=["nothing", "a line", "headers", "a body", "a second request"],
)
async def test_a_request_that_does_not_come_is_not_waited_for(impatient: str, sent: bytes, answer: list[int]) -> None:
    assert statuses(await exchanged(impatient, sent)) == answer


async def test_a_body_that_comes_slowly_but_comes_is_waited_for(impatient: str) -> None:
    host, port = impatient.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n")
    with suppress(ConnectionError):
        for _ in range(8):
            await asyncio.sleep(0.1)  # slowness is what is tried
            writer.write(b"a")
    assert (await reader.read()).endswith(b"aaaaaaaa")
    writer.close()
