"""The bus over Redis pub/sub.

Each node publishes a beat every second and hears it itself, as everybody does. A beat is four things in one:
a sign of life for others; a statement of how much the node has sent, so that a loss is noticed although nothing
follows; a test of the link, which is broken if one's own beat stays out; and a measure of its lag.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

import msgspec
from prometheus_client import Counter, Gauge

from services.bus import Handler, new_node_id
from services.bus_frames import Frame, MalformedFrame, Outbox, unpack
from services.bus_link import DROPPED, BusLink
from services.peers import Peers

logger = logging.getLogger("parley.bus")

LAG = Gauge("parley_bus_lag_seconds", "The way of this node's last beat to Redis and back")
RECEIVED = Counter("parley_bus_received_total", "Messages that came from other nodes")
MISSED = Counter("parley_bus_missed_total", "How often messages of other nodes were found missing")

BEATS = "beats"
HEAL_DELAY = 0.3
"""Seconds in which losses are gathered into one call of the callbacks."""


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """A sign of life: its time by the sender's clock, the next number of each topic, whether it leaves."""

    sent_at: float
    numbers: dict[str, int]
    leaving: bool


class RedisBus:
    """A node's place on the bus, see `services.bus.Bus`.

    While the link is broken, messages wait and no other node counts as lost, since none can be heard.

    :param max_queued: messages that may wait to be sent; beyond it the oldest are dropped.
    :param max_queued_bytes: the same for their bytes together.
    :param beat: seconds between beats; three missing ones of our own mean that the link is broken.
    :param lost_after: seconds after which another node that is not heard counts as lost.
    """

    def __init__(
        self,
        url: str,
        *,
        max_queued: int = 10_000,
        max_queued_bytes: int = 16 * 1024 * 1024,
        beat: float = 1.0,
        lost_after: float = 8.0,
    ) -> None:
        self.node_id = new_node_id()
        self._beat = beat
        self._outbox = Outbox(self.node_id, max_messages=max_queued, max_bytes=max_queued_bytes)
        self._link = BusLink(url, outbox=self._outbox, patience=3 * beat, joined=self._join, arrived=self._arrive)
        self._peers = Peers(lost_after=lost_after)
        self._handlers: dict[str, list[Handler]] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._on_found: list[Callable[[str], None]] = []
        self._on_lost: list[Callable[[str], None]] = []
        self._healing: asyncio.TimerHandle | None = None
        self._heart: asyncio.Task[None] | None = None

    @property
    def alone(self) -> bool:
        """Never for sure: others may come."""
        return False

    @property
    def connected(self) -> bool:
        """Whether messages get through, as far as this node can tell."""
        return self._link.connected

    def nodes(self) -> frozenset[str]:
        """The other nodes that are alive, as far as this node can tell."""
        return self._peers.nodes

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to all other nodes, at once or a little later; never waits and never raises."""
        DROPPED.inc(self._outbox.put(topic, payload))
        self._link.send_soon()

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Have ``handler`` called with each payload that another node publishes under ``topic``.

        :raises RuntimeError: the bus has started.
        """
        if self._heart is not None:
            raise RuntimeError("subscribe before the bus starts")
        self._handlers.setdefault(topic, []).append(handler)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called whenever messages for this node may have been lost."""
        self._on_reconnect.append(callback)

    def on_node_found(self, callback: Callable[[str], None]) -> None:
        """Have ``callback`` called with the id of another node that is heard for the first time, or anew."""
        self._on_found.append(callback)

    def on_node_lost(self, callback: Callable[[str], None]) -> None:
        """Have ``callback`` called with the id of another node that stopped, or was silent for too long."""
        self._on_lost.append(callback)

    async def start(self, namespace: str = "") -> None:
        """Join the bus; where Redis does not answer within a second, go on without it and keep trying.

        :param namespace: names the installation; the nodes of others are not heard, and do not hear this one.
        """
        self._heart = asyncio.create_task(self._keep_beating(), name="bus heart")
        await self._link.open([BEATS, *self._handlers], namespace)

    async def stop(self) -> None:
        """Tell the others and leave, within a second."""
        if self._heart is None:
            return
        self._heart.cancel()
        await asyncio.gather(self._heart, return_exceptions=True)
        self._publish_beat(leaving=True)
        await self._link.close()
        if self._healing is not None:
            self._healing.cancel()

    async def _keep_beating(self) -> None:
        while True:
            slept_at = time.monotonic()
            await asyncio.sleep(self._beat)
            now = time.monotonic()
            if not self.connected or now - slept_at > 2 * self._beat:
                # Nobody could be heard, or what came has not been read because this process stood still.
                self._peers.deaf(now=now)
            if self.connected:
                self._publish_beat(leaving=False)
            for node_id in self._peers.lost(now=now):
                logger.warning("Node %s is silent", node_id)
                _tell(self._on_lost, node_id)

    def _publish_beat(self, *, leaving: bool) -> None:
        beat = Beat(time.monotonic(), self._outbox.numbers(), leaving)
        self.publish(BEATS, msgspec.msgpack.encode(beat))

    def _join(self) -> None:
        self._publish_beat(leaving=False)
        self._heal()

    def _arrive(self, topic: str, data: bytes) -> None:
        try:
            frame = unpack(data)
            beats = [msgspec.msgpack.decode(one, type=Beat) for one in frame.payloads] if topic == BEATS else []
        except (MalformedFrame, msgspec.DecodeError):
            logger.warning("Something else than a node publishes under %s", topic)
            return
        if frame.node_id == self.node_id:
            for beat in beats:
                LAG.set(time.monotonic() - beat.sent_at)
            return
        self._note(topic, frame)
        for beat in beats:
            self._hear(frame.node_id, beat)
        for handler in self._handlers.get(topic, ()):
            for payload in frame.payloads:
                _tell([handler], payload)

    def _note(self, topic: str, frame: Frame) -> None:
        if self._peers.alive(frame.node_id, now=time.monotonic()):
            logger.info("Node %s is there", frame.node_id)
            _tell(self._on_found, frame.node_id)
        if self._peers.arrived(frame.node_id, topic, first=frame.first, count=len(frame.payloads)):
            self._miss()
        RECEIVED.inc(len(frame.payloads))

    def _hear(self, node_id: str, beat: Beat) -> None:
        if self._peers.sent(node_id, beat.numbers):
            self._miss()
        if beat.leaving:
            logger.info("Node %s has left", node_id)
            self._peers.left(node_id)
            _tell(self._on_lost, node_id)

    def _miss(self) -> None:
        MISSED.inc()
        if self._healing is None:
            self._healing = asyncio.get_running_loop().call_later(HEAL_DELAY, self._heal)

    def _heal(self) -> None:
        if self._healing is not None:
            self._healing.cancel()
            self._healing = None
        _tell(self._on_reconnect)


def _tell(callbacks: Iterable[Callable[..., None]], *news: str | bytes) -> None:
    for callback in callbacks:
        try:
            callback(*news)
        except Exception:
            logger.exception("A handler of the bus failed")
