"""A disk that is soon full: a file system in memory, of a size of its own.

Mounting one needs root, or Linux's user namespaces, in which everyone is (`unshare` of util-linux; a system that
forbids them to ordinary users has to run these tests as root).
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEBIBYTE = 1024 * 1024

MOUNT_AND_GO_ON = """
mount -t tmpfs -o size="$1",mode=755 parley-test "$2" || exit 1
user=$3 group=$4
shift 4
exec unshare --user --map-user="$user" --map-group="$group" "$@"
"""
"""Mounts as the root of a namespace, then becomes the ordinary user again, since PostgreSQL refuses any root."""


class SmallDisk:
    """A disk that one process, and those that it starts, see in a folder; root sees it everywhere.

    :param folder: an empty folder. :param size: bytes.
    """

    def __init__(self, folder: Path, *, size: int) -> None:
        self.folder = folder
        self._size = size
        self._as_root = os.geteuid() == 0

    @contextmanager
    def mounted(self) -> Iterator["SmallDisk"]:
        """Have it there, as far as root is needed, and gone at the end."""
        if not self._as_root:
            yield self
            return
        options = f"size={self._size},mode=755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "parley-test", self.folder], check=True)
        try:
            yield self
        finally:
            subprocess.run(["umount", "--lazy", self.folder], check=True)

    @property
    def within(self) -> list[str]:
        """The command that runs another one with the disk in its folder."""
        if self._as_root:
            return []
        who = [str(os.geteuid()), str(os.getegid())]
        mount = ["sh", "-c", MOUNT_AND_GO_ON, "mount", str(self._size), str(self.folder), *who]
        return ["unshare", "--user", "--map-root-user", "--mount", *mount]

    def leave(self, free: int, *, pid: int) -> None:
        """Fill it, or make room, until so many bytes are free.

        :param pid: a process that sees it.
        """
        seen = Path(f"/proc/{pid}/root") / self.folder.relative_to("/")
        ballast = seen / "ballast"
        ballast.unlink(missing_ok=True)
        ballast.touch()
        # In steps, for one that finds no room takes nothing at all, and others write at the same time.
        for step in (MEBIBYTE, os.statvfs(seen).f_frsize):
            with ballast.open("ab") as file, suppress(OSError):
                while _free(seen) >= free + step:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), step)


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
