"""How long Parley takes from its command to a page that answers, on all processors."""

import asyncio
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.servers import until_page
from tests.support.server import ParleyServer

FIRST, LATER = 10.0, 4.0


def measure(data: Path) -> list[Figure]:
    """Start Parley on an empty data folder, stop it, and start it again.

    :param data: a folder that does not exist yet.
    """
    first, later = _start(data), _start(data)
    return [
        Figure("start", "first, on an empty folder", first, "s", FIRST),
        Figure("start", "later", later, "s", LATER),
    ]


def _start(data: Path) -> float:
    server = ParleyServer(data, {})
    try:
        begun = time.perf_counter()
        server.launch()
        until_page(f"{server.url}/sign-in")
        seconds = time.perf_counter() - begun
        asyncio.run(server.stop())
    finally:
        asyncio.run(server.clean_up())
    return seconds
