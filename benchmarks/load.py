"""The load client: many WebSocket connections on one epoll, ready-made frames, and no library in between.

Receivers of one chat get the same bytes, so what was parsed once is looked up for all others. That keeps the client
cheaper than the server, which is what the figures are about.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from benchmarks.wire import PONG, Parsed, client_frame, parse, upgrade

CHUNK = 256 * 1024
REMEMBERED = 512
"""Parsed chunks that are kept; a broadcast needs a few."""

BREATH = 25
"""New connections after which those that are there get a turn, to answer the server's pings."""

PATIENCE = 30.0
"""Seconds after which the load gives up."""


class Peer:
    """One connection of the load.

    :param number: which one it is.
    """

    __slots__ = ("hello", "number", "rest", "socket")

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.socket = connection
        self.rest = b""
        self.hello = b""

    def send(self, frame: bytes) -> None:
        """Send a framed message; the load never has so much under way that the kernel would not take it."""
        if self.socket.send(frame) != len(frame):
            raise BlockingIOError("the server does not read what the load sends")


Heard = Callable[[Peer, Parsed], None]


class Load:
    """Connections to one server, or by turns to several.

    :param urls: their WebSocket addresses, such as ``ws://127.0.0.1:8080/ws``.
    :param patience: seconds that a run lasts at most.
    """

    def __init__(self, *urls: str, patience: float = PATIENCE) -> None:
        self.peers: list[Peer] = []
        self._urls = [urlsplit(url) for url in urls]
        self._patience = patience
        self._selector = selectors.DefaultSelector()
        self._known: dict[bytes, Parsed] = {}

    def connect(self, tokens: Iterable[str], *, greeted: bool = True) -> None:
        """Open a connection for each token.

        :param greeted: wait for the server's first frame, so that it counts each connection.
        """
        for token in tokens:
            url = self._urls[len(self.peers) % len(self._urls)]
            host, port = url.hostname or "", url.port or 80
            connection = socket.create_connection((host, port), timeout=self._patience)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(upgrade(f"{host}:{port}", url.path, {"Authorization": f"Bearer {token}"}))
            peer = Peer(len(self.peers), connection)
            self._shake_hands(peer, greeted=greeted)
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, peer)
            self.peers.append(peer)
            if not peer.number % BREATH:
                self._turn(_ignore, 0)

    def run(self, heard: Heard, done: Callable[[], bool], *, pause: float = 0.05) -> None:
        """Take what comes until the load is done, or patience is over: whoever counts knows what is missing then.

        :param heard: called with each connection that got something. :param done: asked after every turn.
        :param pause: seconds after which ``done`` is asked even if nothing comes.
        """
        deadline = time.monotonic() + self._patience
        while not done() and time.monotonic() < deadline:
            self._turn(heard, pause)

    def settle(self, seconds: float) -> None:
        """Take and ignore what comes for a while, such as who came online."""
        end = time.monotonic() + seconds
        self.run(_ignore, lambda: time.monotonic() > end)

    def close(self) -> None:
        """Drop all connections."""
        for peer in self.peers:
            self._selector.unregister(peer.socket)
            peer.socket.close()
        self.peers.clear()

    def _turn(self, heard: Heard, pause: float) -> None:
        for key, _ in self._selector.select(pause):
            peer: Peer = key.data
            heard(peer, self._receive(peer))

    def _shake_hands(self, peer: Peer, *, greeted: bool) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(peer.socket)
        head, _, rest = data.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"the handshake was refused: {data!r}")
        while greeted and not (found := parse(rest)).others:
            rest += _more(peer.socket)
        if greeted:
            peer.hello, peer.rest = found.others[0], found.rest
        else:
            peer.rest = rest

    def _receive(self, peer: Peer) -> Parsed:
        data = _more(peer.socket)
        if peer.rest:
            data = peer.rest + data
        found = self._known.get(data)
        if found is None:
            found = parse(data)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[data] = found
        peer.rest = found.rest
        for ping in found.pings:
            peer.send(client_frame(ping, PONG))
        return found


def percentiles(values: Sequence[float], *wanted: int) -> list[float]:
    """Find percentiles by nearest rank."""
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] for percent in wanted]


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(CHUNK)
    if not data:
        raise ConnectionError("the server dropped the connection")
    return data


def _ignore(_peer: Peer, _parsed: Parsed) -> None:
    """Nobody asked."""
