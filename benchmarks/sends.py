"""How many messages become durable in a second when each sender writes in a chat of their own."""

import time
from collections.abc import Sequence
from uuid import UUID

from benchmarks.fan_out import AFTERMATH, Chat
from benchmarks.figures import Figure
from benchmarks.ledger import Ledger
from benchmarks.load import Load, Peer, percentiles
from benchmarks.servers import Running
from benchmarks.wire import Parsed


class Senders:
    """People who write, each in their own chat, and wait for the acknowledgements.

    :param load: one connection for each of them. :param chats: the chat of the same place.
    """

    def __init__(self, load: Load, chats: Sequence[UUID]) -> None:
        self.latencies: list[float] = []
        self.elapsed = 0.0
        self._load = load
        self._chats = [Chat(chat_id) for chat_id in chats]
        self._events = [Ledger(1) for _ in chats]
        self._answers = [Ledger(1) for _ in chats]
        self._sent_at: dict[int, float] = {}

    def saturate(self, in_flight: int, seconds: float) -> None:
        """Keep some messages of each sender under way; the next leaves when one is acknowledged.

        :raises WrongDelivery: an acknowledgement or an event is missing, double or out of order.
        """
        begun = time.perf_counter()

        def heard(peer: Peer, parsed: Parsed) -> None:
            self._take(peer, parsed)
            now = time.perf_counter()
            for mark in parsed.acknowledged:
                self.latencies.append(now - self._sent_at.pop(mark))
                if now < begun + seconds:
                    self._send(peer)

        for peer in self._load.peers:
            for _ in range(in_flight):
                self._send(peer)
        self._load.run(heard, lambda: not self._incomplete)
        self.elapsed = time.perf_counter() - begun
        end = time.perf_counter() + AFTERMATH
        self._load.run(self._take, lambda: time.perf_counter() > end)
        for ledger in (*self._events, *self._answers):
            ledger.verify()

    @property
    def _incomplete(self) -> bool:
        return bool(self._sent_at) or any(ledger.incomplete for ledger in self._events)

    def _take(self, peer: Peer, parsed: Parsed) -> None:
        self._events[peer.number].take(peer.number, parsed.created)
        self._answers[peer.number].take(peer.number, parsed.acknowledged)

    def _send(self, peer: Peer) -> None:
        mark = self._events[peer.number].send(peer.number)
        self._answers[peer.number].send(peer.number)
        frame = self._chats[peer.number].request(mark)
        self._sent_at[mark] = time.perf_counter()
        peer.send(frame)


def measure(
    server: Running,
    load: Load,
    chats: Sequence[UUID],
    *,
    in_flight: int,
    seconds: float,
    goals: tuple[float | None, float | None] = (None, None),
) -> list[Figure]:
    """Measure durable sends.

    :param in_flight: messages of each sender that wait for their acknowledgement.
    :param goals: sends a second, and milliseconds of the median send.
    """
    count = len(load.peers)
    subject = f"Parley, {count} sender{'s' * (count > 1)}, {in_flight} in flight each"
    senders = Senders(load, chats)
    before = server.cpu
    senders.saturate(in_flight, seconds)
    used, sent = server.cpu - before, len(senders.latencies)
    half, most = percentiles(senders.latencies, 50, 99)
    return [
        Figure(subject, "durable sends a second", sent / senders.elapsed, "/s", goals[0], at_least=True),
        Figure(subject, "p50", half * 1e3, "ms", goals[1]),
        Figure(subject, "p99", most * 1e3, "ms"),
        Figure(subject, "CPU per send", used.total / sent * 1e6, "µs"),
        Figure(subject, "of the CPU, in the database", used.children / sent * 1e6, "µs"),
    ]
