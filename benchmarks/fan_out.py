"""Sending in a large chat: what one delivery costs the server, and how long it takes."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from benchmarks.figures import Figure
from benchmarks.ledger import STRIDE, Ledger
from benchmarks.load import Load, Peer, percentiles
from benchmarks.servers import Running
from benchmarks.wire import Parsed, body, client_frame
from services import events, markdown, views

TEXT = 40
"""Characters of a message's text; its event has about 550 bytes."""

SENDERS = 8
AFTERMATH = 0.3
"""Seconds after the last delivery in which a double one would still be noticed."""


class Chat:
    """A chat as one run of the load writes to it; another run must not repeat its nonces.

    :param chat_id: its id at Parley, or None at a bare server, which passes on ready-made events.
    """

    def __init__(self, chat_id: UUID | None) -> None:
        self._chat_id = chat_id
        self._run = uuid4().hex[:8]

    def request(self, mark: int) -> bytes:
        """Frame what a client sends so that everybody gets the message of this mark."""
        text = body(mark, TEXT)
        if self._chat_id is None:
            return client_frame(_event(text))
        sent = f'{{"type":"message.send","id":{mark},"chat_id":"{self._chat_id}","nonce":"{self._run}-{mark}"'
        return client_frame(f'{sent},"body":"{text}"}}'.encode())


class Broadcast:
    """A run of the load against one chat.

    :param load: connections, each of which gets every message. :param chat_id: the chat, None at a bare server.
    :param senders: how many of the connections write. :param writers: of which ones they are the last (all).
    """

    def __init__(
        self, load: Load, chat_id: UUID | None, senders: int, *, writers: Sequence[Peer] | None = None
    ) -> None:
        self.ledger = Ledger(len(load.peers))
        self.latencies: list[float] = []
        self.elapsed = 0.0
        self._load = load
        self._chat = Chat(chat_id)
        self._writers = (load.peers if writers is None else writers)[-senders:]
        self._sent_at: dict[int, float] = {}

    def saturate(self, seconds: float) -> None:
        """Keep a message of each sender under way: the next leaves when everybody has the one before.

        :raises WrongDelivery: not everybody got everything, once and in order.
        """
        begun = time.perf_counter()

        def heard(peer: Peer, parsed: Parsed) -> None:
            for mark in self.ledger.take(peer.number, parsed.created):
                if time.perf_counter() < begun + seconds:
                    self._send(mark // STRIDE)

        for sender in range(len(self._writers)):
            self._send(sender)
        self._load.run(heard, lambda: not self.ledger.incomplete)
        self.elapsed = time.perf_counter() - begun
        self._listen_on()

    def pace(self, per_second: float, seconds: float) -> None:
        """Send at a steady rate, whatever comes back, and note how long each delivery takes.

        :raises WrongDelivery: not everybody got everything, once and in order.
        """
        begun = time.perf_counter()
        count, sent = int(per_second * seconds), 0

        def heard(peer: Peer, parsed: Parsed) -> None:
            if parsed.created:
                now = time.perf_counter()
                self.ledger.take(peer.number, parsed.created)
                for mark in (one if one >= 0 else ~one for one in parsed.created):
                    self._note(self._writers[mark // STRIDE], peer, now - self._sent_at[mark])

        def done() -> bool:
            nonlocal sent
            if sent < count and time.perf_counter() >= begun + sent / per_second:
                self._send(sent % len(self._writers))
                sent += 1
            return sent == count and not self.ledger.incomplete

        self._load.run(heard, done, pause=0.001)
        self._listen_on()

    def _note(self, _sender: Peer, _receiver: Peer, seconds: float) -> None:
        """Keep how long a delivery took."""
        self.latencies.append(seconds)

    def _send(self, sender: int) -> None:
        mark = self.ledger.send(sender)
        frame = self._chat.request(mark)
        self._sent_at[mark] = time.perf_counter()
        self._writers[sender].send(frame)

    def _listen_on(self) -> None:
        """Take what should not come any more, then make sure that nothing is missing."""
        end = time.perf_counter() + AFTERMATH

        def heard(peer: Peer, parsed: Parsed) -> None:
            self.ledger.take(peer.number, parsed.created)

        self._load.run(heard, lambda: time.perf_counter() > end)
        self.ledger.verify()


def measure_cost(
    name: str,
    server: Running,
    load: Load,
    chat_id: UUID | None,
    *,
    in_flight: int,
    seconds: float,
    goal: float | None = None,
) -> list[Figure]:
    """Measure what a delivery costs when the server has all the work it can do.

    :param in_flight: messages under way at a time, each of another sender.
    """
    subject = f"{name}, {len(load.peers):,} receivers, {in_flight} in flight"
    run = Broadcast(load, chat_id, in_flight)
    before = server.cpu
    run.saturate(seconds)
    used = server.cpu - before
    deliveries = run.ledger.deliveries
    figures = [
        Figure(subject, "CPU per delivery", used.total / deliveries * 1e6, "µs", goal),
        Figure(subject, "deliveries a second", deliveries / run.elapsed, "/s"),
    ]
    if used.children:
        figures.append(Figure(subject, "of the CPU, in the database", used.children / deliveries * 1e6, "µs"))
    return figures


def measure_latency(
    name: str,
    load: Load,
    chat_id: UUID | None,
    *,
    per_second: float,
    seconds: float,
    goals: tuple[float, float] | None = None,
) -> list[Figure]:
    """Measure the time from a send to each of its deliveries at a steady rate."""
    subject = f"{name}, {len(load.peers):,} receivers, {per_second:g} sends/s"
    run = Broadcast(load, chat_id, SENDERS)
    run.pace(per_second, seconds)
    half, most = percentiles(run.latencies, 50, 99)
    return [
        Figure(subject, "latency p50", half * 1e3, "ms", goals[0] if goals else None),
        Figure(subject, "latency p99", most * 1e3, "ms", goals[1] if goals else None),
    ]


def _event(text: str) -> bytes:
    """Encode an event just as Parley does, so that both servers carry the same bytes."""
    message = views.Message(
        id=uuid4(),
        chat_id=uuid4(),
        seq=1000,
        version=1000,
        author_id=uuid4(),
        body=text,
        html=markdown.render(text),
        nonce=uuid4().hex,
        reply_to=None,
        created_at=datetime.now(UTC),
        edited_at=None,
        deleted=False,
    )
    return events.message_created(message).frame or b""
