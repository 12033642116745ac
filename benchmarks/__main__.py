"""``python -m benchmarks``: all figures in one table, in less than 90 seconds; with ``--full``, in some minutes."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    archive,
    browser,
    connecting,
    disk,
    fan_out,
    growing,
    page,
    reading,
    searching,
    sends,
    starting,
    two_nodes,
)
from benchmarks.figures import Figure, table
from benchmarks.load import Load
from benchmarks.machine import allow_many_connections, describe, on_load_cpu
from benchmarks.servers import Running, bare, parley
from benchmarks.stage import Stage, prepare

SMALL, LARGE = 200, 1000
"""Receivers."""

SENDERS = 50
SECONDS = 2.5
"""Seconds that one measurement under load lasts."""

PAGE_LOADS = 100
PACE = 20.0
"""Sends a second while latency is measured."""

PACED = 5.0
"""Seconds that this lasts: a hundredth of the deliveries are then one message's."""

REFERENCES = {"websockets broadcast()": "bare_websockets", "picows": "bare_picows"}
"""Names of bare servers, and their modules."""

FEW_MESSAGES, MANY_MESSAGES = 1_000, 1_000_000
"""In the large chat of an archive."""

QUESTIONS = 200
"""Of each kind, when reading."""

QUERIES = 40
"""Of each kind, when searching."""

SHORT_PARTS = ("start", "reference", "page", "sends", "fan-out")
ARCHIVE_PARTS = ("history", "search", "growth")
"""Parts that take minutes, most of them to write a million messages."""

LONG_PARTS = ("nodes", "browser", *ARCHIVE_PARTS)
"""Parts that are not measured unless they are asked for."""

PROFILED = ("page", "sends", "fan-out", "history", "search")


def reference(name: str, module: str) -> list[Figure]:
    """Measure a bare server."""
    with bare(module) as server:
        load = Load(server.ws_url)
        load.connect([""] * SMALL, greeted=False)
        figures = fan_out.measure_latency(name, load, None, per_second=PACE, seconds=PACED)
        figures += fan_out.measure_cost(name, server, load, None, in_flight=8, seconds=SECONDS)
        figures += connecting.measure(name, server, load, [""] * (LARGE - SMALL), greeted=False)
        figures += fan_out.measure_cost(name, server, load, None, in_flight=1, seconds=SECONDS)
        figures += fan_out.measure_cost(name, server, load, None, in_flight=8, seconds=SECONDS)
        load.close()
    return figures


def many_chats(server: Running, stage: Stage) -> list[Figure]:
    """Measure Parley with each sender in a chat of their own."""
    load = Load(server.ws_url)
    load.connect([stage.loners[0].token])
    figures = sends.measure(server, load, stage.cells, in_flight=1, seconds=SECONDS, goals=(None, 1.0))
    load.connect([guest.token for guest in stage.loners[1:]])
    load.settle(1.0)
    figures += sends.measure(server, load, stage.cells, in_flight=1, seconds=SECONDS, goals=(6000.0, 8.0))
    figures += sends.measure(server, load, stage.cells, in_flight=8, seconds=SECONDS, goals=(8000.0, 50.0))
    load.close()
    return figures


def large_chats(server: Running, stage: Stage) -> list[Figure]:
    """Measure Parley with everybody in one chat."""
    name, tokens = "Parley", [guest.token for guest in stage.crowd]
    load = Load(server.ws_url)
    load.connect(tokens[:SMALL])
    load.settle(connecting.QUIET)
    corner, room = stage.corner, stage.room
    figures = fan_out.measure_latency(name, load, corner, per_second=PACE, seconds=PACED, goals=(2.3, 4.5))
    figures += fan_out.measure_cost(name, server, load, corner, in_flight=8, seconds=SECONDS)
    figures += connecting.measure(name, server, load, tokens[SMALL:], greeted=True, goal=20.0)
    figures += fan_out.measure_cost(name, server, load, room, in_flight=1, seconds=SECONDS, goal=7.0)
    figures += fan_out.measure_cost(name, server, load, room, in_flight=8, seconds=SECONDS, goal=1.8)
    load.close()
    return figures


def few_messages(folder: Path, parts: list[str], profile: Path | None) -> list[Figure]:
    """Measure Parley, and the references, with many people who wrote hardly anything yet."""
    figures: list[Figure] = []
    data = folder / "data"
    stage = prepare(data, crowd=LARGE, corner=SMALL, loners=SENDERS)
    with on_load_cpu():
        if "reference" in parts:
            figures += disk.measure(folder, per_second=PACE, seconds=PACED)
            for name, module in REFERENCES.items():
                figures += reference(name, module)
        if "page" in parts:
            # In a process of its own: what others gave back would hide what a page takes.
            with parley(data, stage.secret, profile=profile) as server:
                figures += asyncio.run(page.measure(server, stage, loads=PAGE_LOADS))
        if {"sends", "fan-out"} & set(parts):
            with parley(data, stage.secret, profile=profile) as server:
                figures += many_chats(server, stage) if "sends" in parts else []
                figures += large_chats(server, stage) if "fan-out" in parts else []
        if "browser" in parts:
            with parley(data, stage.secret) as server:
                figures += asyncio.run(browser.measure(server, stage))
    return figures


def many_messages(folder: Path, parts: list[str], profile: Path | None) -> list[Figure]:
    """Measure Parley with a million messages, and as it grows."""
    figures: list[Figure] = []
    large = archive.prepare(folder / "large", messages=MANY_MESSAGES)
    if {"history", "search"} & set(parts):
        with on_load_cpu(), parley(folder / "large", large.secret, profile=profile) as server:
            figures += reading.measure(server, large, count=QUESTIONS) if "history" in parts else []
            figures += searching.measure(server, large, count=QUERIES) if "search" in parts else []
    if "growth" in parts:
        small, crowd = archive.prepare(folder / "small", messages=FEW_MESSAGES), growing.prepare(folder / "crowd")
        with on_load_cpu():
            with parley(folder / "small", small.secret) as one, parley(folder / "large", large.secret) as other:
                figures += growing.measure_history([(one, small), (other, large)], seconds=SECONDS)
            with parley(folder / "crowd", crowd.secret) as server:
                figures += growing.measure_receivers(server, crowd, seconds=SECONDS)
            with parley(folder / "crowd", crowd.secret) as server:
                figures += growing.measure_connections(server, crowd)
    return figures


def run(parts: list[str], *, profiled: bool) -> list[Figure]:
    """Measure what is asked for, on data of its own."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="parley-benchmark-") as folder:
        profile = Path(folder, "profile") if profiled else None
        if "start" in parts:
            figures += starting.measure(Path(folder, "empty"))
        if {"reference", "page", "sends", "fan-out", "browser"} & set(parts):
            figures += few_messages(Path(folder), parts, profile)
        if "nodes" in parts:
            figures += two_nodes.measure(Path(folder), crowd=LARGE, in_flight=8, per_second=PACE, seconds=SECONDS)
        if set(ARCHIVE_PARTS) & set(parts):
            figures += many_messages(Path(folder), parts, profile)
        if profile:
            print(profile.read_text())
    return figures


def main() -> int:
    """Measure and print."""
    every = SHORT_PARTS + LONG_PARTS
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"what to measure, of: {', '.join(every)} (the first five)")
    parser.add_argument("--full", action="store_true", help="measure all parts")
    parser.add_argument("--repeat", type=int, default=1, help="runs, whose medians are shown (1)")
    parser.add_argument("--profile", action="store_true", help="show where the server's time goes in one part")
    chosen = parser.parse_args()
    parts = chosen.parts or list(every if chosen.full else SHORT_PARTS)
    if unknown := set(parts) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if chosen.profile and (len(parts) > 1 or parts[0] not in PROFILED):
        parser.error(f"a profile is of one part: {', '.join(PROFILED)}")
    allow_many_connections()
    print(describe(), flush=True)
    print(table([run(parts, profiled=chosen.profile) for _ in range(chosen.repeat)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
