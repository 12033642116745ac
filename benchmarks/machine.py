"""What the figures were measured on, and how processor time and memory are read."""

import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The processors that the benchmark may use; the first is the server's, the second the load's."""


def describe() -> str:
    """Tell the commit and the kind of machine, and nothing that names it."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = " with changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    pinned = "server and load pinned apart" if len(CPUS) > 1 else "server and load not pinned"
    return (
        f"commit {commit}{changed}; {platform.system()} {platform.machine()}, {os.cpu_count()} cores, {pinned}; "
        f"Python {platform.python_version()}; load average {os.getloadavg()[0]:.1f} at the start"
    )


@contextmanager
def on_server_cpu() -> Iterator[None]:
    """Let what is started here, and all that it starts, stay on the server's processor."""
    with on_cpus(0, 0):
        yield


@contextmanager
def on_load_cpu() -> Iterator[None]:
    """Keep the load away from the server's processor."""
    with on_cpus(1, 1):
        yield


@contextmanager
def on_cpus(first: int, last: int) -> Iterator[None]:
    """Let what is started here stay on some processors, as far as there are so many.

    :param first: the place of the first of them, from 0. :param last: the place of the last one.
    """
    if len(CPUS) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CPUS[first : last + 1] or CPUS)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of processor time of a server.

    :param own: of the process itself. :param children: of what it started: the database.
    """

    own: float
    children: float

    def __sub__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.own - other.own, self.children - other.children)

    @property
    def total(self) -> float:
        """All of it."""
        return self.own + self.children


def allow_many_connections() -> None:
    """Let this process, and the servers that it starts, hold as many files open as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cpu_time(pid: int) -> CpuTime:
    """Read what a process and its living descendants have used so far."""
    descendants = psutil.Process(pid).children(recursive=True)
    return CpuTime(_clock(pid), sum(_clock(child.pid) for child in descendants))


def memory(pid: int) -> int:
    """Read the resident memory of a process itself, in bytes."""
    resident: int = psutil.Process(pid).memory_info().rss
    return resident


def _clock(pid: int) -> float:
    """Read a process's clock, exact to the nanosecond on Linux."""
    if platform.system() == "Linux":
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
