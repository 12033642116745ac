"""Two nodes on two processors, over Redis and one PostgreSQL, against one node with a PostgreSQL on one processor.

Where there is no further processor for the load, it shares those of the servers in both cases: all of it, clients
included, runs on one processor or on two. Two nodes are given twice the messages in flight, as many for each
processor, and for comparison just as many as one node.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from benchmarks.fan_out import Broadcast
from benchmarks.figures import Figure
from benchmarks.load import Load, Peer, percentiles
from benchmarks.machine import CPUS, cpu_time, on_cpus
from benchmarks.servers import Running, Shared
from benchmarks.stage import Stage, fill

NODES = 2
GOAL = 1.8
"""Times the deliveries of one node."""

EXTRA_GOAL = 1.5
"""Milliseconds that a delivery takes longer at the other node than at the sender's."""

NEAR = 20
"""Receivers while latency is measured: few, so that reading at one node does not delay what came from the other."""

QUIET = 3.0
"""Seconds until everybody has been told who came online."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A run under load.

    :param deliveries: how many there were. :param elapsed: seconds. :param cpu: seconds of processor time by server.
    """

    deliveries: int
    elapsed: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.deliveries / self.elapsed

    @property
    def cost(self) -> float:
        """Seconds of processor time for each delivery, of all servers together."""
        return sum(self.cpu.values()) / self.deliveries


@contextmanager
def on_load_cpus(nodes: int) -> Iterator[None]:
    """Give the load a processor of its own, or those of the servers where there is none.

    :param nodes: how many there are, each with its processor.
    """
    own = len(CPUS) > NODES
    with on_cpus(NODES if own else 0, NODES if own else nodes - 1):
        yield


class Cluster:
    """Nodes and what serves them, with everybody in one chat.

    :param urls: the WebSocket of each node; people are connected to them by turns.
    :param pids: the process of each server, by its name.
    """

    def __init__(self, urls: Sequence[str], pids: dict[str, int], stage: Stage) -> None:
        self._urls = urls
        self._pids = pids
        self._stage = stage

    def saturate(self, *, in_flight: int, seconds: float, sending: int) -> list[Spent]:
        """Keep the servers busy with senders at the first node only, at the first two, and so on.

        :param sending: at how many nodes there are senders in the end.
        :return: one run each.
        """
        load = Load(*self._urls)
        load.connect([guest.token for guest in self._stage.crowd])
        load.settle(QUIET)
        runs = [self._saturate(load, in_flight, seconds, places) for places in range(1, sending + 1)]
        load.close()
        return runs

    def _saturate(self, load: Load, in_flight: int, seconds: float, places: int) -> Spent:
        writers = [peer for peer in load.peers if peer.number % len(self._urls) < places]
        run = Broadcast(load, self._stage.room, in_flight, writers=writers)
        before = self._clocks()
        run.saturate(seconds)
        after = self._clocks()
        return Spent(run.ledger.deliveries, run.elapsed, {name: after[name] - before[name] for name in before})

    def _clocks(self) -> dict[str, float]:
        return {name: cpu_time(pid).total for name, pid in self._pids.items()}


class Ways(Broadcast):
    """A run of the load that tells deliveries at the sender's node from those at another."""

    def __init__(self, load: Load, chat_id: UUID, senders: int) -> None:
        super().__init__(load, chat_id, senders)
        self.near: list[float] = []
        self.far: list[float] = []

    def _note(self, sender: Peer, receiver: Peer, seconds: float) -> None:
        same = (sender.number - receiver.number) % NODES == 0
        (self.near if same else self.far).append(seconds)


def measure_ways(urls: Sequence[str], stage: Stage, *, per_second: float, seconds: float) -> list[Figure]:
    """Measure how much longer a delivery takes at another node than at the sender's."""
    load = Load(*urls)
    load.connect([guest.token for guest in stage.crowd[:NEAR]])
    load.settle(QUIET)
    run = Ways(load, stage.corner, NODES)
    run.pace(per_second, seconds)
    load.close()
    (near,), (far,) = percentiles(run.near, 50), percentiles(run.far, 50)
    subject = f"two nodes, {NEAR} receivers, {per_second:g} sends/s"
    return [
        Figure(subject, "latency p50 at the sender's node", near * 1e3, "ms"),
        Figure(subject, "latency p50 at the other node", far * 1e3, "ms"),
        Figure(subject, "extra latency p50", (far - near) * 1e3, "ms", EXTRA_GOAL),
    ]


def measure(folder: Path, *, crowd: int, in_flight: int, per_second: float, seconds: float) -> list[Figure]:
    """Measure one node, then two, on the same database.

    :param folder: an empty folder. :param crowd: receivers. :param in_flight: messages under way at a time.
    :param per_second: sends while latency is measured.
    """
    shared = Shared(folder)
    try:
        with on_cpus(0, 0), shared.running():
            stage = asyncio.run(fill(shared.postgres.url, crowd=crowd, corner=NEAR, loners=0))
            with shared.node(stage.secret, {}) as node, on_load_cpus(1):
                alone = Cluster([node.ws_url], {"node": node.pid, "PostgreSQL": shared.postgres.pid}, stage)
                (one,) = alone.saturate(in_flight=in_flight, seconds=seconds, sending=1)
        with on_cpus(0, NODES - 1), shared.running(), _two(shared, stage) as nodes, on_load_cpus(NODES):
            urls = [node.ws_url for node in nodes]
            figures = measure_ways(urls, stage, per_second=per_second, seconds=seconds)
            pids = {"first node": nodes[0].pid, "second node": nodes[1].pid}
            pids |= {"PostgreSQL": shared.postgres.pid, "Redis": shared.redis.pid}
            cluster = Cluster(urls, pids, stage)
            same = cluster.saturate(in_flight=in_flight, seconds=seconds, sending=NODES)
            more = cluster.saturate(in_flight=NODES * in_flight, seconds=seconds, sending=NODES)
    finally:
        shared.remove()
    figures += _spent(f"one node, {crowd:,} receivers, {in_flight} in flight", one)
    for runs, flying, goal in ((more, NODES * in_flight, GOAL), (same, in_flight, None)):
        for run, place in zip(runs, ("at one of them", "at both"), strict=True):
            subject = f"two nodes, {crowd:,} receivers, {flying} in flight {place}"
            figures += _spent(subject, run)
            times = run.rate / one.rate
            figures.append(Figure(subject, "deliveries of one node", times, "times", goal, at_least=True))
    return figures


@contextmanager
def _two(shared: Shared, stage: Stage) -> Iterator[list[Running]]:
    settings = {"REDIS_URL": shared.redis.url}
    with ExitStack() as ends:
        nodes = []
        for place in range(NODES):
            with on_cpus(place, place):
                nodes.append(ends.enter_context(shared.node(stage.secret, settings)))
        yield nodes


def _spent(subject: str, run: Spent) -> list[Figure]:
    return [
        Figure(subject, "deliveries a second", run.rate, "/s"),
        Figure(subject, "CPU per delivery", run.cost * 1e6, "µs"),
        *[Figure(subject, f"of it {name}", used / run.deliveries * 1e6, "µs") for name, used in run.cpu.items()],
    ]
