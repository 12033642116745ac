"""``python -m benchmarks.profiled FILE`` runs Parley, looks at what it does every few milliseconds, and writes FILE.

Only processor time counts, so that waiting and other programs do not disturb it: each tick of the process's own clock
raises a signal. C functions appear as the Python function that calls them.
"""

import signal
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from types import FrameType

import app

TICK = 0.002
"""Seconds of processor time between two looks; the kernel may make it longer."""

SHOWN = 40

FOLDERS = (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(Path(app.__file__).parent))
"""What paths begin with; the longest first, because one may lie in another."""


class Samples:
    """Counts which functions were running."""

    def __init__(self) -> None:
        self._count = 0
        self._own: Counter[str] = Counter()
        self._within: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """Count the running function, and once each of those that called it."""
        if frame is None:
            return
        self._count += 1
        self._own[_name(frame)] += 1
        callers = set()
        while frame is not None:
            callers.add(_name(frame))
            frame = frame.f_back
        self._within.update(callers)

    def report(self) -> str:
        """Show the functions with the most samples, alone and with all that they call."""
        return "\n".join(
            [
                f"{self._count} samples of processor time; share of the function itself:",
                *self._lines(self._own),
                "share of the function with all that it calls:",
                *self._lines(self._within),
            ]
        )

    def _lines(self, counter: Counter[str]) -> list[str]:
        return [f"{count / self._count:7.1%}  {name}" for name, count in counter.most_common(SHOWN)]


def main() -> int:
    """Run Parley.

    :return: its exit code.
    """
    file, samples = Path(sys.argv.pop()), Samples()
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
    try:
        return app.main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        file.write_text(samples.report())


def _name(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    for folder in FOLDERS:
        path = path.removeprefix(folder)
    return f"{path.lstrip('/')} {frame.f_code.co_qualname}"


if __name__ == "__main__":
    sys.exit(main())
