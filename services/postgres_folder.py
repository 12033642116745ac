"""What lies in the data folder of the embedded PostgreSQL, and who may use it; see `services.embedded_postgres`."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
from pathlib import Path

from services.postgres_wheel import MAJOR, Account, EmbeddedPostgresError, has_name

ROLE = "parley"
PORT = 5432  # only part of the socket's name
SOCKET = f".s.PGSQL.{PORT}"


class DataFolderInUse(EmbeddedPostgresError):
    """Another Parley uses the data folder."""


class ClusterUnusable(EmbeddedPostgresError):
    """The data folder holds something that is not a cluster of this PostgreSQL."""


def claim(data: Path) -> int:
    """Take a data folder, made if it does not exist, for this process alone.

    :returns: the descriptor that holds it until it is closed.
    :raises DataFolderInUse: another Parley has it.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data / "parley.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if not try_lock(lock):
        holder = os.read(lock, 20).decode().strip()
        os.close(lock)
        raise DataFolderInUse(f"{data} is in use by another Parley (process {holder}); stop it or set PARLEY_DATA")
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def try_lock(lock: int) -> bool:
    """Take the kernel's lock on an open file if nobody holds it.

    :returns: whether it is ours now.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def here(folder: Path) -> str:
    """Name a folder as a process started in it opens it, whether or not it may walk the way to it."""
    name = "/proc/self/cwd"
    return name if Path(name).exists() else str(folder)


def has_cluster(cluster: Path, major: int = MAJOR) -> bool:
    """Say whether there is a cluster that this PostgreSQL can open.

    :param major: its version. :raises ClusterUnusable: there is something else.
    """
    version = cluster / "PG_VERSION"
    if not cluster.exists() or not any(cluster.iterdir()):
        return False
    if not version.exists():
        raise ClusterUnusable(f"{cluster} is not a complete PostgreSQL cluster; restore it or move it away")
    if (found := version.read_text().strip()) != str(major):
        raise ClusterUnusable(
            f"{cluster} was made by PostgreSQL {found} and this Parley brings {major};"
            " back it up with the Parley that made it and restore that into a new data folder"
        )
    return True


def make_empty(folder: Path, account: Account | None) -> None:
    """Make a folder anew for whoever runs PostgreSQL."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(0o700)
    if account:
        os.chown(folder, *account)


def prepare(cluster: Path, account: Account | None) -> None:
    """Make an existing cluster, perhaps one restored from a copy, ready to be opened by this user."""
    if account and cluster.stat().st_uid == 0:
        _give(cluster, account)
    cluster.chmod(0o700)
    for name in ("postmaster.pid", f"{SOCKET}.lock"):  # stale, for nobody holds the lock
        (cluster / name).unlink(missing_ok=True)
    users = {os.geteuid(), cluster.stat().st_uid}
    names = sorted(pwd.getpwuid(uid).pw_name for uid in users if has_name(uid))
    entries = [f'parley "{name}" {role}\n' for name in names for role in (ROLE, "postgres")]
    _write(cluster / "pg_hba.conf", "local all all peer map=parley\n", account)
    _write(cluster / "pg_ident.conf", "".join(entries), account)


def postmaster_lines(cluster: Path) -> list[str]:
    """Read what a running server says of itself; its process id comes first."""
    try:
        return (cluster / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return [""]


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _write(path: Path, text: str, account: Account | None) -> None:
    if path.exists() and path.read_bytes() == text.encode():
        return  # a full disk takes no new file, and PostgreSQL may well start on one
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    # O_EXCL: root must not follow a link that the cluster's owner may have laid
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        if account:
            os.fchown(file.fileno(), *account)
    new.rename(path)


def _give(folder: Path, account: Account) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *account, follow_symlinks=False)
