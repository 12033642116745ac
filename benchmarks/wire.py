"""Just enough of HTTP and RFC 6455 for a load client that costs less than the servers it measures."""

import re
from dataclasses import dataclass

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_MARK = re.compile(rb'"body":"#(\d+) ')


@dataclass(frozen=True, slots=True)
class Parsed:
    """What some received bytes hold.

    :param created: the marks of new messages, in their order; with all bits turned (``~``) where they did not come as
        an event but on a page that fills a gap, which may repeat what came.
    :param acknowledged: the marks of durable ones.
    :param rest: the beginning of a frame that is not complete yet. :param pings: what has to be answered.
    :param others: text frames of other kinds.
    """

    created: tuple[int, ...]
    acknowledged: tuple[int, ...]
    rest: bytes
    pings: tuple[bytes, ...]
    others: tuple[bytes, ...]


def upgrade(host: str, path: str, headers: dict[str, str]) -> bytes:
    """Write the request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Frame what a client sends. The masking key is zero, so that the payload stays as it is."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


def body(mark: int, size: int) -> str:
    """Write a message's text: its mark, and words up to a size in characters."""
    text = f"#{mark} the quick brown fox jumps over the lazy dog "
    return (text * (size // len(text) + 1))[:size].strip()


def parse(data: bytes) -> Parsed:
    """Read the frames in what came from a server.

    :raises ConnectionError: the server closed the connection. :raises RuntimeError: it refused a request.
    """
    created: list[int] = []
    acknowledged: list[int] = []
    pings: list[bytes] = []
    others: list[bytes] = []
    place = 0
    while (found := _frame(data, place)) is not None:
        opcode, payload, place = found
        if opcode == PING:
            pings.append(payload)
        elif opcode == CLOSE:
            raise ConnectionError(f"the server closed the connection: {payload!r}")
        elif payload.startswith(b'{"type":"message.created"'):
            created.append(_mark(payload))
        elif payload.startswith(b'{"type":"sync","chat_id"'):  # without "re": nobody asked for it
            created.extend(~int(mark) for mark in _MARK.findall(payload))
        elif payload.startswith(b'{"type":"ack"'):
            acknowledged.append(_mark(payload))
        elif payload.startswith(b'{"type":"error"'):
            raise RuntimeError(f"the server refused a request: {payload!r}")
        else:
            others.append(payload)
    return Parsed(tuple(created), tuple(acknowledged), data[place:], tuple(pings), tuple(others))


def _mark(payload: bytes) -> int:
    found = _MARK.search(payload)
    if found is None:
        raise RuntimeError(f"a message that the load did not send: {payload!r}")
    return int(found[1])


def _frame(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """Read one unmasked frame.

    :return: its opcode, its payload and where it ends, or None when it is not complete.
    """
    if len(data) < start + 2:
        return None
    size, head = data[start + 1], start + 2
    if size > 125:
        length = 2 if size == 126 else 8
        if len(data) < head + length:
            return None
        size = int.from_bytes(data[head : head + length], "big")
        head += length
    end = head + size
    return (data[start] & 0x0F, data[head:end], end) if len(data) >= end else None
