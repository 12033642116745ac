"""The room on the disk of the embedded database: before there is none, Parley stops writing and goes on reading.

PostgreSQL ends when it finds no room for its write-ahead log (its documentation, "Disk Full Failure"), and then
nobody could read any more. So some room is kept for what it writes of its own accord.
"""

import logging
import os
import time
from pathlib import Path

from services.errors import Unavailable

LOOK_EVERY = 0.2
"""Seconds for which the last look is believed."""

logger = logging.getLogger("parley.disk")


class DiskRoom:
    """Refuses work that writes while the disk is nearly full.

    :param folder: a folder on that disk. :param least: bytes that stay free.
    """

    def __init__(self, folder: Path, *, least: int) -> None:
        self._folder, self._least = folder, least
        self._looked_at = float("-inf")
        self._enough = True

    def check(self) -> None:
        """Go on only while there is room.

        :raises Unavailable: there is none.
        """
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            self._look()
        if not self._enough:
            raise Unavailable("The server's disk is full: everything can be read, and nothing written.", 5.0)

    def _look(self) -> None:
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            logger.warning("cannot see how much room %s has: %s", self._folder, error.strerror)
            return
        enough = disk.f_bavail * disk.f_frsize >= self._least
        if enough != self._enough:
            self._enough = enough
            if enough:
                logger.warning("there is room on the disk of %s again; writing goes on", self._folder)
            else:
                logger.error(
                    "the disk of %s has less than %d bytes left: nothing is written", self._folder, self._least
                )
