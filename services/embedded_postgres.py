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

When PostgreSQL ends by itself, or is killed, it is started again as often as that takes.

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
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from services.postgres_folder import (
    PORT,
    ROLE,
    SOCKET,
    ClusterUnusable,
    DataFolderInUse,
    claim,
    has_cluster,
    here,
    make_empty,
    postmaster_lines,
    prepare,
    sync,
    try_lock,
)
from services.postgres_log import Log
from services.postgres_wheel import MAJOR, Account, EmbeddedPostgresError, PostgresMissing, account_for, binaries_for

__all__ = [
    "ClusterUnusable",
    "DataFolderInUse",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "PostgresMissing",
    "PostgresStartFailed",
]

DATABASE = ROLE
SOCKET_PATH_LIMIT = 103  # bytes; macOS allows one less than 104, Linux one less than 108
POLL = 0.02  # seconds
WATCH = 0.1  # seconds between two looks whether it still runs
RESTART_EVERY = 1.0  # seconds from one start to the next, at least, when it keeps ending
STOP_TIMEOUT = 60.0  # seconds for a fast shutdown, before an immediate one
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

logger = logging.getLogger("parley.postgres")


class PostgresStartFailed(EmbeddedPostgresError):
    """PostgreSQL ended, or was not ready in time."""


class EmbeddedPostgres:
    """One PostgreSQL server in Parley's data folder, reachable only by the user who runs Parley.

    :param data: Parley's data folder; made if it does not exist.
    :param connections: how many it takes at most, three of them from its superuser alone.
    :param major: the version of PostgreSQL; another than the newest only for what such a one has made.
    :param start_timeout: seconds to wait for a start, which may include the recovery after a crash.
    """

    def __init__(
        self, data: Path, *, connections: int = 60, major: int = MAJOR, start_timeout: float = 300.0
    ) -> None:
        self._data = data.absolute()
        self._connections = connections
        self._major = major
        self._cluster = self._data / "postgres"
        self._start_timeout = start_timeout
        self._log = Log(self._data / "postgres.log")
        self._account: Account | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = Path()
        self._keepers: list[asyncio.Task[None]] = []
        self._folder: int | None = None
        self._held = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """A SQLAlchemy URL for asyncpg, good until `stop` in this process and its children, whoever started it."""
        return f"postgresql+asyncpg://{ROLE}@/{DATABASE}?host={quote(self._socket_folder())}&port={PORT}"

    async def start(self) -> str:
        """Start PostgreSQL, making the cluster the first time and ending what a killed Parley left running.

        :returns: its `url`.
        :raises EmbeddedPostgresError: one of the errors that the module lists.
        """
        with _plain_errors(self._data):
            self._held.callback(os.close, claim(self._data))
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
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        if self._process:
            await _shut_down(self._process)
            self._process = None
        self._folder = None
        self._held.close()

    async def _bring_up(self) -> str:
        self._log.mark()
        self._account = await asyncio.to_thread(account_for, self._cluster)
        self._binaries = await asyncio.to_thread(binaries_for, self._account, self._major)
        process = await self._launch(first=True)
        self._keepers = [
            asyncio.create_task(self._log.keep_small()),
            asyncio.create_task(self._keep_running(process)),
        ]
        return self.url

    async def _launch(self, *, first: bool) -> subprocess.Popen[bytes]:
        """Start the server once nothing of an earlier one lives, and wait until it is ready.

        :param first: make a cluster where there is none; later its absence is a fault, not a beginning.
        """
        family = os.open(self._data / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            await self._end_orphan(family)
            if first and not has_cluster(self._cluster, self._major):
                await self._make_cluster(family)
            await asyncio.to_thread(prepare, self._cluster, self._account)
            chosen = SETTINGS | {"max_connections": str(self._connections)}
            settings = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
            server = [f"{self._binaries}/postgres", "-D", here(self._cluster), *settings]
            process = self._process = self._spawn(server, self._cluster, family)
        finally:
            os.close(family)  # so that from here on only PostgreSQL itself holds the lock
        await self._until_ready(process)
        return process

    async def _keep_running(self, process: subprocess.Popen[bytes]) -> None:
        """For ever, start the server again when it has ended."""
        while True:
            started = time.monotonic()
            await _end_of(process, look_every=WATCH)
            logger.error("%s", self._log.blame(f"ended with {process.returncode} and is started again"))
            await asyncio.sleep(started + RESTART_EVERY - time.monotonic())
            process = await self._launch_again()
            logger.warning("PostgreSQL is ready again")

    async def _launch_again(self) -> subprocess.Popen[bytes]:
        while True:
            self._log.mark()
            try:
                return await self._launch(first=False)
            except (EmbeddedPostgresError, OSError) as error:
                logger.error("%s; it is tried again", error)
            await asyncio.sleep(RESTART_EVERY)

    async def _end_orphan(self, family: int) -> None:
        """Wait until no process of this folder's PostgreSQL lives, shutting down what a killed Parley left.

        It is not taken over, because its programs, settings and map of users may be another version's.
        """
        while not try_lock(family):
            if self._is_listening():
                with contextlib.suppress(ProcessLookupError, ValueError):  # it ended just now
                    os.kill(int(postmaster_lines(self._cluster)[0]), signal.SIGINT)
            await asyncio.sleep(POLL)

    def _is_listening(self) -> bool:
        """Say whether a server answers in the cluster; while one does, `postmaster.pid` is its own."""
        if not self._cluster.exists():
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{self._socket_folder()}/{SOCKET}") == 0

    async def _make_cluster(self, family: int) -> None:
        new = self._data / "postgres.new"
        await asyncio.to_thread(make_empty, new, self._account)
        await self._run([f"{self._binaries}/initdb", "-D", here(new), *INITDB_OPTIONS], new, family)
        single = [f"{self._binaries}/postgres", "--single", "-D", here(new), "-c", "exit_on_error=on", "postgres"]
        await self._run(single, new, family, stdin=FIRST_STATEMENTS)
        new.rename(self._cluster)
        sync(self._data)

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

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            if process.poll() is not None:
                raise PostgresStartFailed(self._log.blame(f"ended with {process.returncode}"))
            lines = postmaster_lines(self._cluster)
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


@contextlib.contextmanager
def _plain_errors(data: Path) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot work in {data}: {error}") from error


async def _end_of(process: subprocess.Popen[bytes], *, look_every: float = POLL) -> None:
    # not asyncio's own subprocesses, because uvloop's cannot change the user
    while process.poll() is None:  # noqa: ASYNC110 - a process that ends sets no event
        await asyncio.sleep(look_every)


async def _shut_down(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await _end_of(process)
    except TimeoutError:
        process.send_signal(signal.SIGQUIT)  # at once; the next start recovers
        await _end_of(process)
