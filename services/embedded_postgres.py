"""The PostgreSQL that comes in a wheel, run inside Parley's data folder when `DATABASE_URL` is not set.

What lies in the data folder::

    parley.lock     held by the one Parley that uses this folder
    postgres.lock   held by every process of this PostgreSQL, as long as one of them lives
    postgres.log    what PostgreSQL reports, warnings and worse
    postgres/       the cluster, with its socket; closed to everyone but its owner
    postgres.new/   a cluster being made; renamed when it is complete

Both locks are the kernel's (`flock`), so that no `kill -9` leaves one behind and no recycled process id is
taken for a running PostgreSQL.

When Parley runs as root, PostgreSQL runs as another user, to whom the folders above may be closed (a clone in
`/root`). So it never walks a path: it is started inside its cluster and knows it as `/proc/self/cwd`, which
also spares it long and odd paths.

Errors::

    EmbeddedPostgresError
        PostgresMissing        no wheel for this platform, or no user to run it
        DataFolderInUse        another Parley runs on this data folder
        ClusterUnusable        the folder holds something this PostgreSQL cannot open
        PostgresStartFailed    with the last lines of the log
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from services.postgres_wheel import (
    MAJOR,
    Account,
    EmbeddedPostgresError,
    PostgresMissing,
    account_for,
    binaries_for,
    has_name,
)

__all__ = [
    "ClusterUnusable",
    "DataFolderInUse",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "PostgresMissing",
    "PostgresStartFailed",
]

ROLE = DATABASE = "parley"
PORT = 5432  # only part of the socket's name
SOCKET = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 103  # bytes; macOS allows one less than 104, Linux one less than 108
POLL = 0.02  # seconds
STOP_TIMEOUT = 60.0  # seconds for a fast shutdown, before an immediate one
LOG_LIMIT = 4 * 1024 * 1024  # bytes
LOG_KEPT = 1024 * 1024  # bytes kept when the log has grown beyond its limit
LOG_CHECK = 30.0  # seconds
STATUS_LINE = 7  # of postmaster.pid, whose first line is the process id

INITDB_OPTIONS = [
    *("--username=postgres", "--auth-local=peer", "--auth-host=reject", "--no-instructions"),
    # the same on every machine, whatever locales it has
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    "--data-checksums",
]
# CREATEDB lets one restore a backup beside the running database, and lets tests have databases of their own
FIRST_STATEMENTS = f"CREATE ROLE {ROLE} LOGIN CREATEDB\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"

# Given on the command line, so that an older cluster gets them too. fsync, full_page_writes and
# synchronous_commit are left on.
SETTINGS = {
    "cluster_name": "parley",
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "60",
    "shared_buffers": "128MB",
    # POSIX shared memory is capped at 64 MB in containers, and systemd removes it when its user logs out
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    # statements and details would put people's messages into the log
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class DataFolderInUse(EmbeddedPostgresError):
    """Another Parley uses the data folder."""


class ClusterUnusable(EmbeddedPostgresError):
    """The data folder holds something that is not a cluster of this PostgreSQL."""


class PostgresStartFailed(EmbeddedPostgresError):
    """PostgreSQL ended, or was not ready in time."""


class EmbeddedPostgres:
    """One PostgreSQL server in Parley's data folder, reachable only by the user who runs Parley.

    :param data: Parley's data folder; made if it does not exist.
    :param start_timeout: seconds to wait for a start, which may include the recovery after a crash.
    """

    def __init__(self, data: Path, *, start_timeout: float = 300.0) -> None:
        self._data = data.absolute()
        self._cluster = self._data / "postgres"
        self._start_timeout = start_timeout
        self._log = Log(self._data / "postgres.log")
        self._account: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_keeper: asyncio.Task[None] | None = None
        self._folder: int | None = None
        self._held = contextlib.ExitStack()

    async def start(self) -> str:
        """Start PostgreSQL, making the cluster the first time and ending what a killed Parley left running.

        :returns: a SQLAlchemy URL for asyncpg, good until `stop` in this process and its children.
        :raises EmbeddedPostgresError: one of the errors that the module lists.
        """
        with _plain_errors(self._data):
            self._held.callback(os.close, _claim(self._data))
        try:
            with _plain_errors(self._data):
                async with asyncio.timeout(self._start_timeout):
                    return await self._bring_up()
        except TimeoutError as error:
            await self.stop()
            late = self._log.blame(f"was not ready in {self._start_timeout:g} s")
            raise PostgresStartFailed(late) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Shut PostgreSQL down, cutting open connections, and wait for its end; harmless when not running."""
        if self._log_keeper:
            self._log_keeper.cancel()
            self._log_keeper = None
        if self._process:
            await _shut_down(self._process)
            self._process = None
        self._folder = None
        self._held.close()

    async def _bring_up(self) -> str:
        self._log.mark()
        self._account = await asyncio.to_thread(account_for, self._cluster)
        binaries = await asyncio.to_thread(binaries_for, self._account)
        family = os.open(self._data / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            await self._end_orphan(family)
            if not self._has_cluster():
                await self._make_cluster(binaries, family)
            await asyncio.to_thread(self._prepare)
            settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
            server = [f"{binaries}/postgres", "-D", _here(self._cluster), *settings]
            self._process = self._spawn(server, self._cluster, family)
        finally:
            os.close(family)  # so that from here on only PostgreSQL itself holds the lock
        await self._until_ready(self._process)
        self._log_keeper = asyncio.create_task(self._log.keep_small())
        return f"postgresql+asyncpg://{ROLE}@/{DATABASE}?host={quote(self._socket_folder())}&port={PORT}"

    async def _end_orphan(self, family: int) -> None:
        """Wait until no process of this folder's PostgreSQL lives, shutting down what a killed Parley left.

        It is not taken over, because its programs, settings and map of users may be another version's.
        """
        while not _try_lock(family):
            if self._is_listening():
                with contextlib.suppress(ProcessLookupError, ValueError):  # it ended just now
                    os.kill(int(_postmaster_lines(self._cluster)[0]), signal.SIGINT)
            await asyncio.sleep(POLL)

    def _is_listening(self) -> bool:
        """Say whether a server answers in the cluster; while one does, `postmaster.pid` is its own."""
        if not self._cluster.exists():
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{self._socket_folder()}/{SOCKET}") == 0

    def _has_cluster(self) -> bool:
        version = self._cluster / "PG_VERSION"
        if not self._cluster.exists() or not any(self._cluster.iterdir()):
            return False
        if not version.exists():
            raise ClusterUnusable(f"{self._cluster} is not a complete PostgreSQL cluster; restore it or move it away")
        if (major := version.read_text().strip()) != str(MAJOR):
            raise ClusterUnusable(
                f"{self._cluster} was made by PostgreSQL {major} and this Parley brings {MAJOR};"
                " dump it with the Parley that made it and restore it into a new data folder"
            )
        return True

    async def _make_cluster(self, binaries: Path, family: int) -> None:
        new = self._data / "postgres.new"
        await asyncio.to_thread(_make_empty, new, self._account)
        await self._run([f"{binaries}/initdb", "-D", _here(new), *INITDB_OPTIONS], new, family)
        single = [f"{binaries}/postgres", "--single", "-D", _here(new), "-c", "exit_on_error=on", "postgres"]
        await self._run(single, new, family, stdin=FIRST_STATEMENTS)
        new.rename(self._cluster)
        _sync(self._data)

    async def _run(self, command: list[str], folder: Path, family: int, *, stdin: str = "") -> None:
        process = self._spawn(command, folder, family, stdin=stdin)
        try:
            await _end_of(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            what = f"was not set up, {Path(command[0]).name} ended with {process.returncode}"
            raise PostgresStartFailed(self._log.blame(what))

    def _spawn(self, command: list[str], folder: Path, family: int, *, stdin: str = "") -> subprocess.Popen[bytes]:
        account = self._account
        readable, writable = os.pipe()
        os.write(writable, stdin.encode())  # a few lines always fit into a pipe
        os.close(writable)
        with os.fdopen(readable) as given, self._log.opened() as log:
            return subprocess.Popen(
                command,
                cwd=folder,  # entered before root's rights are given up
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=(family,),
                start_new_session=True,  # a Ctrl-C in the terminal is for Parley, which then stops in order
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )

    def _prepare(self) -> None:
        """Make an existing cluster, perhaps one restored from a copy, ready to be opened by this user."""
        if self._account and self._cluster.stat().st_uid == 0:
            _give(self._cluster, self._account)
        self._cluster.chmod(0o700)
        for name in ("postmaster.pid", f"{SOCKET}.lock"):  # stale, for nobody holds the lock
            (self._cluster / name).unlink(missing_ok=True)
        users = {os.geteuid(), self._cluster.stat().st_uid}
        names = [pwd.getpwuid(uid).pw_name for uid in users if has_name(uid)]
        entries = [f'parley "{name}" {role}\n' for name in names for role in (ROLE, "postgres")]
        self._write("pg_hba.conf", "local all all peer map=parley\n")
        self._write("pg_ident.conf", "".join(entries))

    def _write(self, name: str, text: str) -> None:
        new = self._cluster / f"{name}.new"
        new.unlink(missing_ok=True)
        # O_EXCL: root must not follow a link that the cluster's owner may have laid
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            if self._account:
                os.fchown(file.fileno(), *self._account)
        new.rename(self._cluster / name)

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            if process.poll() is not None:
                raise PostgresStartFailed(self._log.blame(f"ended with {process.returncode}"))
            lines = _postmaster_lines(self._cluster)
            if len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready":
                return
            await asyncio.sleep(POLL)

    def _socket_folder(self) -> str:
        """The cluster's path, or where that does not fit into a socket's address, a descriptor of it."""
        path = str(self._cluster)
        fits = len(os.fsencode(f"{path}/{SOCKET}")) <= SOCKET_PATH_LIMIT
        if fits and path.isprintable() and not set(",:") & set(path):  # those two separate hosts in a URL
            return path
        if not Path("/proc/self/fd").exists():
            raise ClusterUnusable(f"{path} is too long or too odd a path for a socket; set PARLEY_DATA to another")
        if self._folder is None:
            self._folder = os.open(self._cluster, os.O_RDONLY | os.O_DIRECTORY)
            self._held.callback(os.close, self._folder)
        return f"/proc/{os.getpid()}/fd/{self._folder}"


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


@contextlib.contextmanager
def _plain_errors(data: Path) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot work in {data}: {error}") from error


def _claim(data: Path) -> int:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(data / "parley.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if not _try_lock(lock):
        holder = os.read(lock, 20).decode().strip()
        os.close(lock)
        raise DataFolderInUse(f"{data} is in use by another Parley (process {holder}); stop it or set PARLEY_DATA")
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _here(folder: Path) -> str:
    """The name by which a process started in `folder` opens it, whether or not it may walk the way to it."""
    here = "/proc/self/cwd"
    return here if Path(here).exists() else str(folder)


def _postmaster_lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return [""]


async def _end_of(process: subprocess.Popen[bytes]) -> None:
    # not asyncio's own subprocesses, because uvloop's cannot change the user
    while process.poll() is None:  # noqa: ASYNC110 - a process that ends sets no event
        await asyncio.sleep(POLL)


async def _shut_down(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await _end_of(process)
    except TimeoutError:
        process.send_signal(signal.SIGQUIT)  # at once; the next start recovers
        await _end_of(process)


def _make_empty(folder: Path, account: Account | None) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(0o700)
    if account:
        os.chown(folder, *account)


def _give(folder: Path, account: Account) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *account, follow_symlinks=False)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
