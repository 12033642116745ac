"""What an idle connection to ``/ws`` holds, and what opening one costs."""

from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.load import Load
from benchmarks.servers import Running

QUIET = 3.0
"""Seconds until everybody has been told who came online, and buffers are given back."""


def measure(
    name: str, server: Running, load: Load, tokens: Sequence[str], *, greeted: bool, goal: float | None = None
) -> list[Figure]:
    """Open connections, and look at the server before and after.

    :param tokens: one a connection; some should be open already, so that no first allocations are counted.
    :param greeted: whether the server sends a first frame.
    """
    held, before = server.memory, server.cpu
    load.connect(tokens, greeted=greeted)
    used = server.cpu - before
    load.settle(QUIET)
    subject = f"{name}, {len(tokens):,} idle connections"
    return [
        Figure(subject, "memory each", (server.memory - held) / len(tokens) / 1024, "KB", goal),
        Figure(subject, "CPU to open one", used.total / len(tokens) * 1e3, "ms"),
    ]
