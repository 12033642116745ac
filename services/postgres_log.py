"""The log of the embedded PostgreSQL, kept small, and quoted when something fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import BinaryIO

LOG_LIMIT = 4 * 1024 * 1024
"""Bytes."""

LOG_KEPT = 1024 * 1024
"""Bytes kept when the log has grown beyond its limit."""

LOG_CHECK = 30.0
"""Seconds."""


class Log:
    """The file that PostgreSQL's processes append to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = 0

    def mark(self) -> None:
        """Take what is written from now on as this start's."""
        self._start = self._path.stat().st_size if self._path.exists() else 0

    def opened(self) -> BinaryIO:
        """Open for appending, so that the file can be cut short under a running server."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        return os.fdopen(os.open(self._path, flags, 0o600), "ab")

    def blame(self, what: str) -> str:
        """Say in one line what happened and what the log's last lines are."""
        with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o600), "rb") as file:
            file.seek(max(self._start, self._path.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
        last = " | ".join([line.strip() for line in lines if line.strip()][-5:])
        return f"PostgreSQL {what}: {last or 'it reported nothing'} (log: {self._path})"

    async def keep_small(self) -> None:
        """For ever, cut the file to its end when it has grown beyond its limit."""
        while True:
            with contextlib.suppress(OSError):  # a full disk must not end this; the next round tries again
                self._cut()
            await asyncio.sleep(LOG_CHECK)

    def _cut(self) -> None:
        if self._path.stat().st_size <= LOG_LIMIT:
            return
        with self._path.open("r+b") as file:
            file.seek(-LOG_KEPT, os.SEEK_END)
            kept = file.read()
            file.seek(0)
            file.write(kept)
            file.truncate()
