"""Whether what one more costs stays the same: one more receiver, one more connection, one more message in a chat."""

import asyncio
import secrets
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID

from benchmarks.archive import Archive
from benchmarks.connecting import QUIET
from benchmarks.fan_out import SENDERS, Broadcast, measure_cost
from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.servers import Running
from benchmarks.stage import Guest, group, sign_in
from migrations.run import migrate
from models.engine import create_engine
from services.embedded_postgres import EmbeddedPostgres
from services.sessions import Tokens

FEW, SOME, MANY = 200, 1_000, 5_000
"""Receivers, and connections."""

IN_HALL = 250
"""People in the chat whose receivers are counted; each has several connections. Of five thousand people each would be
greeted with the names of all others who are online."""

TEAM = 20
"""People in each chat where connections are counted, for the same reason: whom a greeting names grows with it."""

ROUNDS = 3
"""How often the sends to either chat are measured, in turn."""

FLAT = 1.25
"""What may become of a cost as a Parley grows, as a part of what it was."""

IDLE = 5.0
"""Seconds for which idle connections are watched."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people of a data folder.

    :param secret: what the server has to sign with. :param hall: the chat of those in ``crowd``.
    :param teams: other people, each in a chat with a few of the others.
    """

    secret: str
    hall: UUID
    crowd: list[Guest]
    teams: list[Guest]


def prepare(data: Path) -> Crowd:
    """Fill a new data folder."""
    return asyncio.run(_set_up(data))


async def _set_up(data: Path) -> Crowd:
    secret = secrets.token_urlsafe(32)
    postgres = EmbeddedPostgres(data)
    url = await postgres.start()
    try:
        await migrate(url)
        engine = create_engine(url, pool_size=1, timeout=60.0)
        async with engine.begin() as connection:
            guests = await sign_in(connection, Tokens(secret), IN_HALL + MANY)
            crowd, teams = guests[:IN_HALL], guests[IN_HALL:]
            hall = await group(connection, crowd)
            for first in range(0, len(teams), TEAM):
                await group(connection, teams[first : first + TEAM])
        await engine.dispose()
    finally:
        await postgres.stop()
    return Crowd(secret, hall, crowd, teams)


def measure_receivers(server: Running, crowd: Crowd, *, seconds: float) -> list[Figure]:
    """Measure what a delivery costs with more and more connections in one chat.

    What one more receiver costs is told by messages that come one at a time: of those in flight together, as many
    share a write as happened to commit together.

    :param seconds: that each measurement lasts.
    :raises WrongDelivery: not everybody got everything, once and in order.
    """
    load, figures, of_message = Load(server.ws_url), list[Figure](), dict[int, float]()
    tokens = islice(cycle(guest.token for guest in crowd.crowd), MANY)
    for count in (FEW, SOME, MANY):
        load.connect(islice(tokens, count - len(load.peers)))
        load.settle(QUIET)
        alone = measure_cost("Parley", server, load, crowd.hall, in_flight=1, seconds=seconds)[:2]
        figures += alone
        figures += measure_cost("Parley", server, load, crowd.hall, in_flight=SENDERS, seconds=seconds)[:2]
        of_message[count] = alone[0].value * count
    load.close()
    marginal = [(of_message[more] - of_message[less]) / (more - less) for less, more in ((FEW, SOME), (SOME, MANY))]
    return [
        *figures,
        Figure(f"one more receiver, {FEW} to {SOME:,}", "CPU of a message", marginal[0], "µs"),
        Figure(f"one more receiver, {SOME:,} to {MANY:,}", "CPU of a message", marginal[1], "µs"),
        _growth("one more receiver", marginal[0], marginal[1]),
    ]


def measure_connections(server: Running, crowd: Crowd) -> list[Figure]:
    """Measure what connections cost, opened and idle, when there are few others and when there are many."""
    load, figures = Load(server.ws_url), list[Figure]()
    tokens = iter([guest.token for guest in crowd.teams])
    load.connect(islice(tokens, FEW))
    load.settle(QUIET)
    few = _connections(server, load, islice(tokens, SOME - FEW))
    load.connect(islice(tokens, MANY - 2 * SOME + FEW))
    load.settle(QUIET)
    many = _connections(server, load, islice(tokens, SOME - FEW))
    load.close()
    for count, costs in ((SOME, few), (MANY, many)):
        subject = f"connections in teams of {TEAM}, {count - SOME + FEW:,} to {count:,}"
        figures.append(Figure(subject, "CPU to open one", costs.opening * 1e3, "ms"))
        figures.append(Figure(subject, "memory each", costs.memory / 1024, "KB"))
        figures.append(Figure(subject, "idle, CPU of each in a second", costs.idle * 1e6, "µs"))
    return [
        *figures,
        _growth("opening a connection", few.opening, many.opening),
        _growth("memory of a connection", few.memory, many.memory),
        _growth("an idle connection", few.idle, many.idle),
    ]


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of one connection: seconds of CPU to open it, bytes, seconds of CPU in a second of idleness."""

    opening: float
    memory: float
    idle: float


def _connections(server: Running, load: Load, tokens: Iterable[str]) -> _Costs:
    already, held, before = len(load.peers), server.memory, server.cpu
    load.connect(tokens)
    opened, used = len(load.peers) - already, server.cpu - before
    load.settle(QUIET)
    memory, before = server.memory - held, server.cpu
    load.settle(IDLE)
    idle = (server.cpu - before).total / IDLE / len(load.peers)
    return _Costs(used.total / opened, memory / opened, idle)


def measure_history(servers: Sequence[tuple[Running, Archive]], *, seconds: float) -> list[Figure]:
    """Measure what a send costs in chats of different size, each in a Parley of its own, in turn.

    :param servers: the one with the smallest chat first. :param seconds: that each measurement lasts.
    :raises WrongDelivery: not everybody got everything, once and in order.
    """
    loads = []
    for server, archive in servers:
        loads.append(Load(server.ws_url))
        loads[-1].connect(guest.token for guest in archive.authors[:SENDERS])
        loads[-1].settle(QUIET)
    costs: list[list[float]] = [[] for _ in servers]
    for _ in range(ROUNDS):
        for (server, archive), load, cost in zip(servers, loads, costs, strict=True):
            run = Broadcast(load, archive.large.id, SENDERS)
            before = server.cpu
            run.saturate(seconds)
            cost.append((server.cpu - before).total / run.ledger.deliveries * SENDERS)
            for other in loads:
                other.settle(0.1)  # pings want answers
    for load in loads:
        load.close()
    medians = [statistics.median(cost) for cost in costs]
    figures = [
        Figure(
            f"a send to {SENDERS} people, {len(archive.large.numbers):,} messages in the chat",
            "CPU",
            cost * 1e6,
            "µs",
        )
        for (_, archive), cost in zip(servers, medians, strict=True)
    ]
    return [*figures, _growth("a send", medians[0], medians[-1])]


def _growth(what: str, before: float, after: float) -> Figure:
    return Figure("growth", f"{what}: later against before", after / before, "times", FLAT)
