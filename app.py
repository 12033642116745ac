"""Parley: self-hosted team chat. ``python app.py`` runs it; ``--help`` lists its other commands and its settings."""

import asyncio
import gc
import ipaddress
import logging
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import Any, TextIO

import uvicorn
import uvloop
from sqlalchemy import make_url
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from migrations.run import migrate, versions
from pages.body_limit import BodyLimit
from pages.endpoints.doors import create_api
from pages.endpoints.frame_protocol import FrameProtocol
from pages.endpoints.http_protocol import BoundedHttpProtocol
from pages.endpoints.socket import SocketEndpoint, SocketFirst
from pages.headers import SecurityHeaders
from pages.mount import PagesFirst, mount_pages
from pages.origin import OriginCheck
from pages.request_log import RequestLog
from services import logs
from services.backup import BackupError, back_up, restore
from services.command_line import Command, read_command
from services.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from services.errors import Unavailable
from services.node_lock import NodeLockTaken
from services.parley import Parley
from services.postgres_upgrade import upgrade_older_cluster
from services.settings import Settings, SettingsError
from services.transaction import database_errors

GRACE = 5
"""Seconds that requests have to finish when the server stops."""


OTHER_CONNECTIONS = 30
"""Connections that the embedded database takes besides those of the pool: for sending, health and the lock, for a
backup, and for whoever looks into it."""


COLLECT_AFTER = 5_000, 10, 10
"""Python's garbage collector: objects made and not given back, and younger collections, before each generation's."""


INTERRUPTED = 130
"""The exit code of a command that Ctrl-C or SIGTERM gave up, as shells have it."""


logger = logging.getLogger("parley")


class StartError(Exception):
    """Parley cannot start; the message says what to change."""


class Server(uvicorn.Server):
    """A server that leaves the signals to :func:`serve` and says when it is ready."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then print the address."""
        await super().startup(sockets)
        _allow_many_connections()
        _spare_the_collector()
        host, port = (sockets or [])[0].getsockname()[:2]
        _tell(f"Parley is ready at http://{_shown(host)}:{port}")


def create_app(parley: Parley) -> ASGIApp:
    """Put the doors for programs and the pages together, behind what guards them all."""
    app = create_api(parley)
    mount_pages(app, parley)
    settings = parley.settings
    limited = BodyLimit(PagesFirst(app), settings.max_request_bytes)
    guarded: Any = SecurityHeaders(OriginCheck(SocketFirst(SocketEndpoint(parley), limited), parley))
    if settings.trusted_proxies:
        guarded = ProxyHeadersMiddleware(guarded, trusted_hosts=[str(proxy) for proxy in settings.trusted_proxies])
    return RequestLog(guarded, settings)


async def serve(settings: Settings) -> None:
    """Run Parley until SIGTERM or SIGINT.

    :raises StartError: something that Parley needs is not there.
    :raises NodeLockTaken: another Parley works on the database, from the start or after this one was cut off from it.
    """
    asyncio.get_running_loop().set_exception_handler(logs.log_fault)
    listener = _listen(settings)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        database_url = settings.database_url
        if database_url is None:
            await upgrade_older_cluster(settings.data)
            postgres = EmbeddedPostgres(settings.data, connections=settings.database_pool + OTHER_CONNECTIONS)
            stack.push_async_callback(postgres.stop)
            database_url = await postgres.start()
        with _start_errors(database_url):
            await migrate(database_url)
            parley = Parley(settings, database_url)
            stack.push_async_callback(parley.stop)
            await parley.start()
        server = Server(_configuration(create_app(parley), settings))
        for stop in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(stop, _stop, server, parley)
        parley.on_displaced = partial(_stop, server, parley)
        await server.serve(sockets=[listener])
        if parley.displaced:
            raise NodeLockTaken


async def carry_out(command: Command, settings: Settings) -> None:
    """Do what was asked for instead of running Parley; SIGTERM gives it up and leaves nothing half done.

    :raises BackupError: a backup could not be made or restored.
    """
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if command.name == "backup":
        contents = await back_up(settings, command.file)
        _say(f"Backed up: {contents}.", sys.stderr)
    elif command.file is not None:
        contents = await restore(
            settings, command.file, replace=command.replace, known_tables=versions(), migrate=_migrate
        )
        _say(f"Restored: {contents}. Everyone has to sign in again.", sys.stderr)


async def _migrate(database_url: str) -> None:
    with _start_errors(database_url):
        await migrate(database_url)


@contextmanager
def _start_errors(database_url: str) -> Iterator[None]:
    try:
        with database_errors():
            yield
    except Unavailable as error:
        url = make_url(database_url)
        where = f" at {url.host}:{url.port or 5432}" if url.host else ""
        raise StartError(f"the database{where} cannot be used: {_reason(error)}") from None


def _stop(server: Server, parley: Parley) -> None:
    parley.draining = True
    server.force_exit = server.should_exit
    server.should_exit = True


def _allow_many_connections() -> None:
    """Take as many open files as the process may have; each connection is one, and many systems begin with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # macOS names a limit that it does not keep to
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _spare_the_collector() -> None:
    """Leave out of each garbage collection what is there for good, and collect what comes and goes less often.

    A full collection of all modules took 100 ms, twice a second under load, in which nobody was served.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def _configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws=FrameProtocol,
        ws_max_size=4 * settings.max_frame_bytes,
        ws_per_message_deflate=False,
        interface="asgi3",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        lifespan="on",
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise StartError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from None
    # asyncio does this only for sockets of its own; without it an answer may wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _shown(host: str) -> str:
    address = ipaddress.ip_address(host)
    if address.is_unspecified or host == "127.0.0.1":
        return "localhost"
    return f"[{host}]" if address.version == 6 else host


def _reason(error: Unavailable) -> str:
    """Return in one line what the database, or the network, said."""
    said: BaseException = error
    while said.__cause__ is not None:
        said = said.__cause__
    return " ".join(str(said).split()) or type(said).__name__


def _say(line: str, where: TextIO = sys.stdout) -> None:
    where.write(f"{line}\n")
    where.flush()


def _tell(line: str, *, failed: bool = False) -> None:
    """Say something to whoever started Parley, in the log where that is for machines."""
    if logs.for_machines():
        logger.log(logging.ERROR if failed else logging.INFO, "%s", line)
    else:
        _say(line, sys.stderr if failed else sys.stdout)


def main() -> int:
    """Read the command and the settings and do what is asked.

    :return: the exit code: 0 when it was done, 2 when Parley could not start or do it, 1 when it failed, 130 when it
        was interrupted.
    """
    command = read_command()
    try:
        settings = Settings.from_environment()
        logs.configure(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings) if command.name == "run" else carry_out(command, settings))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except (SettingsError, StartError, BackupError, EmbeddedPostgresError, NodeLockTaken) as error:
        _tell(f"parley: {error}", failed=True)
        return 2
    except Exception:
        logger.critical("Parley failed", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
