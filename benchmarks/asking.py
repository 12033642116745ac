"""Asking a server one thing after the other, over REST and ``/ws``, and how long each answer takes."""

import json
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from benchmarks.figures import Figure
from benchmarks.load import percentiles
from benchmarks.servers import Running
from benchmarks.wire import client_frame, parse, upgrade

CHUNK = 256 * 1024
PATIENCE = 30.0
"""Seconds that an answer may take."""

Question = TypeVar("Question")


class WrongAnswer(AssertionError):
    """An answer is not what was written before."""


class Rest:
    """One connection for the questions of one person.

    :param url: of the server. :param token: of the person.
    """

    def __init__(self, url: str, token: str) -> None:
        self._socket, self._host = _connect(url)
        self._headers = f"Host: {self._host}\r\nAuthorization: Bearer {token}\r\n"

    def get(self, path: str) -> bytes:
        """Ask for what is under ``/api/v1``.

        :raises WrongAnswer: it is refused.
        """
        self._socket.sendall(f"GET /api/v1{path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(self._socket)
        head, _, body = data.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").lower().split("\r\n")
        size = next(int(line.partition(":")[2]) for line in headers if line.startswith("content-length:"))
        parts, missing = [body], size - len(body)
        while missing > 0:
            parts.append(_more(self._socket))
            missing -= len(parts[-1])
        if " 200 " not in f"{status} ":
            raise WrongAnswer(f"{path} was refused: {status}")
        return b"".join(parts)

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()


class Talk:
    """One connection to ``/ws``, greeted already.

    :param url: of the WebSocket. :param token: of the person.
    """

    def __init__(self, url: str, token: str) -> None:
        self._socket, host = _connect(url)
        self._socket.sendall(upgrade(host, urlsplit(url).path, {"Authorization": f"Bearer {token}"}))
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(self._socket)
        self._rest = data.partition(b"\r\n\r\n")[2]
        self._asked = 0
        self._until(b'{"type":"hello"')

    def ask(self, kind: str, fields: str) -> bytes:
        """Send a request and wait for its answer.

        :param kind: its type. :param fields: its other fields, as JSON without braces.
        """
        self._asked += 1
        self._socket.sendall(client_frame(f'{{"type":"{kind}","id":{self._asked},{fields}}}'.encode()))
        return self._until(f'{{"type":"{kind}","re":{self._asked},'.encode())

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()

    def _until(self, beginning: bytes) -> bytes:
        while True:
            parsed = parse(self._rest)
            self._rest = parsed.rest
            for frame in parsed.others:
                if frame.startswith(beginning):
                    return frame
            self._rest += _more(self._socket)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """How long the answers to some questions took, in seconds, and what they cost."""

    subject: str
    latencies: Sequence[float]
    cpu: float
    in_database: float

    def figures(self, *, goal: float | None = None, goal_at_most: float | None = None) -> list[Figure]:
        """Sum up.

        :param goal: milliseconds of the median. :param goal_at_most: of the 99th percentile.
        """
        half, most = percentiles(self.latencies, 50, 99)
        return [
            Figure(self.subject, "p50", half * 1e3, "ms", goal),
            Figure(self.subject, "p99", most * 1e3, "ms", goal_at_most),
            Figure(self.subject, "CPU of one", self.cpu / len(self.latencies) * 1e3, "ms"),
            Figure(self.subject, "of the CPU, in the database", self.in_database / len(self.latencies) * 1e3, "ms"),
        ]


def inquire(
    subject: str,
    server: Running,
    questions: Iterable[Question],
    ask: Callable[[Question], bytes],
    check: Callable[[Question, Any], None],
) -> Inquiry:
    """Ask questions in turn, and compare each answer with what was written.

    :param ask: returns the answer, as it came. :param check: gets it decoded.
    :raises WrongAnswer: by ``check``.
    """
    latencies, before = [], server.cpu
    for question in questions:
        begun = time.perf_counter()
        answer = ask(question)
        latencies.append(time.perf_counter() - begun)
        check(question, json.loads(answer))
    used = server.cpu - before
    return Inquiry(subject, latencies, used.total, used.children)


def expect(what: str, found: Any, wanted: Any) -> None:
    """Compare a part of an answer.

    :raises WrongAnswer: it is another than wanted.
    """
    if found != wanted:
        raise WrongAnswer(f"{what}: {found!r:.400} came where {wanted!r:.400} had to come")


def _connect(url: str) -> tuple[socket.socket, str]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    connection = socket.create_connection((host, port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection, f"{host}:{port}"


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(CHUNK)
    if not data:
        raise ConnectionError("the server dropped the connection")
    return data
