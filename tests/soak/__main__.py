"""Kills nodes, PostgreSQL and Redis again and again while people send, audits what is left and prints a table.

Two stages: two nodes on a served PostgreSQL (with `fsync`) and a Redis, then one node on its embedded PostgreSQL.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from tests.support.audit import Findings
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.senders import Crowd
from tests.support.server import ParleyServer

SENDS = 100_000
KILLS = 28
EMBEDDED_SHARE = 4
"""One in so many of the sends and kills is on the embedded PostgreSQL."""

PEOPLE, CHATS, MEMBERS, WINDOW = 24, 6, 8, 4

RESTLESS = 200
"""Acknowledged messages after which a person moves to the other node, about: no node is to be killed idle."""

LONGEST = 45 * 60.0
"""Seconds after which the run is given up."""

STEP_WITHIN = 300.0
"""Seconds that the sends between two kills may take."""

AWAY = 1.5
"""Seconds for which a database stays away."""

Fault = tuple[str, Callable[[], Awaitable[None]]]


@dataclass
class Result:
    """What one stage did and found."""

    name: str
    findings: Findings
    acknowledged: int
    seconds: float
    kills: Counter[str]
    tally: Counter[str]
    close_codes: Counter[int]


@dataclass
class Stage:
    """What runs, and what can be done to it."""

    name: str
    nodes: list[ParleyServer]
    faults: list[Fault] = field(default_factory=list)

    async def run(self, *, sends: int, kills: int) -> Result:
        """Have people send so much, with so many faults in between, and audit it."""
        began = time.monotonic()
        done: Counter[str] = Counter()
        async with Crowd.gathered(
            *(node.url for node in self.nodes),
            people=PEOPLE,
            chats=CHATS,
            members=MEMBERS,
            window=WINDOW,
            restless=RESTLESS,
        ) as crowd:
            for name, fault in islice(cycle(self.faults), kills):
                await crowd.more(sends // (kills + 1), within=STEP_WITHIN)
                await fault()
                done[name] += 1
                print(f"{time.monotonic() - began:6.0f} s  {crowd.acknowledged:7} acknowledged  {name}", flush=True)
            await crowd.more(max(1, sends - crowd.acknowledged), within=STEP_WITHIN)
            findings = await crowd.finish(within=STEP_WITHIN)
            seconds = time.monotonic() - began
            return Result(self.name, findings, crowd.acknowledged, seconds, done, crowd.tally, crowd.close_codes)


async def kill_node(node: ParleyServer) -> None:
    """Kill a node and start it again."""
    await node.kill()
    await node.start()


async def restart_node(node: ParleyServer) -> None:
    """Stop a node in order and start it again."""
    await node.stop()
    await node.start()


async def kill_postgres(server: PostgresServer) -> None:
    """Kill the postmaster and start it again a moment later."""
    await server.kill()
    await asyncio.sleep(AWAY)
    await server.start()


async def restart_postgres(server: PostgresServer) -> None:
    """Stop PostgreSQL in order and start it again a moment later."""
    await server.shut_down()
    await asyncio.sleep(AWAY)
    await server.start()


async def restart_redis(redis: RedisServer) -> None:
    """Kill Redis, which keeps nothing, and start an empty one a moment later."""
    await redis.stop()
    await asyncio.sleep(AWAY)
    await redis.start()


@asynccontextmanager
async def two_nodes(folder: Path) -> AsyncIterator[Stage]:
    """Two nodes on a served PostgreSQL and a Redis."""
    async with AsyncExitStack() as ends:
        postgres, redis = PostgresServer(durable=True), RedisServer(folder)
        ends.push_async_callback(postgres.stop)
        await postgres.start()
        ends.push_async_callback(redis.stop)
        await redis.start()
        settings = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        nodes = [await _started(ends, folder / name, settings) for name in ("first", "second")]
        first, second = nodes
        yield Stage(
            "two nodes, served PostgreSQL, Redis",
            nodes,
            [
                ("node killed", lambda: kill_node(first)),
                ("PostgreSQL killed", lambda: kill_postgres(postgres)),
                ("Redis killed", lambda: restart_redis(redis)),
                ("node stopped", lambda: restart_node(second)),
                ("PostgreSQL stopped", lambda: restart_postgres(postgres)),
                ("node killed", lambda: kill_node(second)),
                ("node stopped", lambda: restart_node(first)),
            ],
        )


@asynccontextmanager
async def one_node(folder: Path) -> AsyncIterator[Stage]:
    """One node on its embedded PostgreSQL."""
    async with AsyncExitStack() as ends:
        node = await _started(ends, folder / "alone", {})
        yield Stage(
            "one node, embedded PostgreSQL",
            [node],
            [
                ("PostgreSQL killed", node.kill_postgres),
                ("node killed", lambda: kill_node(node)),
                ("node stopped", lambda: restart_node(node)),
            ],
        )


async def _started(ends: AsyncExitStack, data: Path, settings: dict[str, str]) -> ParleyServer:
    node = ParleyServer(data, settings)
    ends.push_async_callback(node.clean_up)
    await node.start()
    return node


def table(results: Sequence[Result]) -> str:
    """Write the results in Markdown, a column for each stage."""
    kinds = sorted({kind for result in results for kind in result.kills})
    rows: dict[str, Callable[[Result], object]] = {
        "seconds": lambda result: round(result.seconds),
        "kills": lambda result: result.kills.total(),
        **{f"· {kind}": partial(_kills, kind) for kind in kinds},
        "acknowledged sends": lambda result: result.acknowledged,
        "sent again for want of an answer": lambda result: result.tally["retries"],
        "refused as `unavailable`": lambda result: result.tally["refused: unavailable"],
        "connections": lambda result: result.tally["connections"],
        "connections refused": lambda result: result.tally["connections refused"],
        "connections closed with 1012": lambda result: result.close_codes[1012],
        "connections closed with 1013": lambda result: result.close_codes[1013],
        "connections cut": lambda result: result.close_codes[1006],
        "lost": lambda result: len(result.findings.lost),
        "twice": lambda result: len(result.findings.twice),
        "out of order": lambda result: len(result.findings.out_of_order),
        "other than sent or acknowledged": lambda result: len(result.findings.altered),
    }
    head = ["", *(result.name for result in results)]
    lines = [
        head,
        ["---", *("---:" for _ in results)],
        *([name, *(str(value(result)) for result in results)] for name, value in rows.items()),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _kills(kind: str, result: Result) -> int:
    return result.kills[kind]


async def soak(*, sends: int, kills: int) -> list[Result]:
    """Run both stages."""
    alone = sends // EMBEDDED_SHARE, kills // EMBEDDED_SHARE
    results = []
    with tempfile.TemporaryDirectory(prefix="parley-soak-") as name:
        async with asyncio.timeout(LONGEST):
            async with two_nodes(Path(name)) as stage:
                results.append(await stage.run(sends=sends - alone[0], kills=kills - alone[1]))
            async with one_node(Path(name)) as stage:
                results.append(await stage.run(sends=alone[0], kills=alone[1]))
    return results


def main() -> int:
    """Run, and print the table.

    :return: the exit code: 0 when nothing is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--sends", type=int, default=SENDS, help="acknowledged sends, at least (%(default)s)")
    parser.add_argument("--kills", type=int, default=KILLS, help="faults (%(default)s)")
    asked = parser.parse_args()
    results = asyncio.run(soak(sends=asked.sends, kills=asked.kills))
    print(table(results))
    for result in results:
        result.findings.verify()
    return 0


if __name__ == "__main__":
    sys.exit(main())
