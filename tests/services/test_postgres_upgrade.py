import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from migrations.run import migrate
from services.embedded_postgres import ClusterUnusable, DataFolderInUse, EmbeddedPostgres
from services.postgres_folder import ROLE
from services.postgres_upgrade import UpgradeFailed, cluster_major, upgrade_older_cluster
from services.postgres_wheel import INSTALLED, MAJOR, account_for, binaries_for
from tests.conftest import StartServer
from tests.support.person import Person
from tests.support.postgres_server import execute
from tests.support.processes import until
from tests.support.server import ROOT
from tests.support.tables import Tables, rows_of

OLDER = 16

UPGRADE = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from services.postgres_upgrade import upgrade_older_cluster

    asyncio.run(upgrade_older_cluster(Path(sys.argv[1])))
""")


def make_older_cluster(data: Path) -> None:
    """What a Parley with the older PostgreSQL would have made at its first start."""
    cluster = data / "postgres"
    account = account_for(cluster)
    cluster.mkdir(mode=0o700, parents=True)
    if account:
        os.chown(cluster, *account)
    binaries = binaries_for(account, OLDER)

    def run(program: str, *arguments: str, given: str = "") -> None:
        subprocess.run(
            [f"{binaries}/{program}", *arguments],
            cwd=cluster,
            input=given,
            text=True,
            capture_output=True,
            check=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    options = ["--username=postgres", "--auth-local=peer", "--encoding=UTF8", "--locale=C", "--no-sync"]
    run("initdb", "-D", "/proc/self/cwd", *options)
    statements = f"CREATE ROLE {ROLE} LOGIN CREATEDB\nCREATE DATABASE parley OWNER {ROLE}\n"
    run("postgres", "--single", "-D", "/proc/self/cwd", "postgres", given=statements)


@pytest.fixture(scope="module")
async def older(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """A data folder of the older PostgreSQL with Parley's tables and some rows, to be copied, and those rows."""
    data = tmp_path_factory.mktemp("older")
    await asyncio.to_thread(make_older_cluster, data)
    postgres = EmbeddedPostgres(data, major=OLDER)
    try:
        url = await postgres.start()
        await migrate(url)
        people = "SELECT gen_random_uuid(), 'person-' || n, E'Größe \\\\N \\t 😀 ' || n, 'hash', n = 1"
        await execute(url, f"INSERT INTO users {people} FROM generate_series(1, 1000) n")
        return data, await rows_of(url)
    finally:
        await postgres.stop()


@pytest.fixture
def data(older: tuple[Path, Tables], tmp_path: Path) -> Path:
    """A data folder of the older PostgreSQL."""
    return Path(shutil.copytree(older[0], tmp_path / "data"))


@pytest.fixture
def rows(older: tuple[Path, Tables]) -> Tables:
    """What it holds."""
    return older[1]


async def rows_in(data: Path, major: int = MAJOR) -> Tables:
    postgres = EmbeddedPostgres(data, major=major)
    try:
        return await rows_of(await postgres.start())
    finally:
        await postgres.stop()


@pytest.mark.parametrize("major", INSTALLED)
def test_the_programs_are_of_the_version_that_their_folder_stands_for(major: int) -> None:
    program = binaries_for(None, major) / "postgres"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"(PostgreSQL) {major}." in said


async def test_a_start_upgrades_the_cluster_of_an_older_postgresql_with_everything_in_it(
    start_server: StartServer, data: Path, rows: Tables
) -> None:
    parley = await start_server(embedded=True, data=data)
    async with Person.registered(parley.url) as newcomer:
        found = (await newcomer.get("/users", q="person-1000")).json()["users"]
        assert [user["display_name"] for user in found] == ["Größe \\N \t 😀 1000"]
    await parley.stop()
    assert cluster_major(data) == MAJOR
    after = await rows_in(data)
    assert set(rows["users"]) < set(after["users"])
    assert after["alembic_version"] == rows["alembic_version"]
    assert (data / f"postgres.{OLDER}/PG_VERSION").read_text().strip() == str(OLDER)
    assert not (data / "upgrade").exists()


async def test_an_upgrade_keeps_every_row_and_the_old_cluster_and_is_done_once(data: Path, rows: Tables) -> None:
    await upgrade_older_cluster(data)
    await upgrade_older_cluster(data)
    assert await rows_in(data) == rows
    (data / "postgres").rename(data / "postgres.new-one")
    (data / f"postgres.{OLDER}").rename(data / "postgres")
    assert await rows_in(data, OLDER) == rows


async def test_an_upgrade_that_was_killed_is_made_anew(data: Path, rows: Tables) -> None:
    with subprocess.Popen([sys.executable, "-c", UPGRADE, str(data)], cwd=ROOT) as process:

        async def both_run() -> bool:
            assert process.poll() is None
            return (data / "upgrade/postgres/postmaster.pid").exists()

        await until(both_run, within=60, otherwise=lambda: "the new cluster does not run")
        process.send_signal(signal.SIGKILL)
    assert cluster_major(data) == OLDER
    await upgrade_older_cluster(data)
    assert await rows_in(data) == rows


async def test_an_upgrade_that_was_cut_off_while_the_clusters_changed_places_goes_on(
    data: Path, rows: Tables
) -> None:
    await upgrade_older_cluster(data)
    (data / "upgrade").mkdir()
    (data / "postgres").rename(data / "upgrade/postgres")
    (data / "upgrade/complete").touch()
    await upgrade_older_cluster(data)
    assert await rows_in(data) == rows
    assert not (data / "upgrade").exists()


async def test_an_upgrade_that_fails_leaves_the_old_cluster_as_it_was(data: Path, rows: Tables) -> None:
    postgres = EmbeddedPostgres(data, major=OLDER)
    url = await postgres.start()
    await execute(url, "CREATE FUNCTION fits(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'")
    await execute(url, "CREATE TABLE odd (n int CHECK (fits(n)))")
    await execute(url, "INSERT INTO odd VALUES (1)")
    await execute(url, "CREATE OR REPLACE FUNCTION fits(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'")
    await postgres.stop()
    with pytest.raises(UpgradeFailed, match=r"PostgreSQL 16: psql failed: .*odd"):
        await upgrade_older_cluster(data)
    assert await rows_in(data, OLDER) == rows | {"odd": ["(1)"]}


async def test_a_folder_in_use_and_a_cluster_too_old_are_refused(data: Path) -> None:
    postgres = EmbeddedPostgres(data, major=OLDER)
    await postgres.start()
    with pytest.raises(DataFolderInUse):
        await upgrade_older_cluster(data)
    await postgres.stop()
    (data / "postgres/PG_VERSION").write_text("9\n")
    with pytest.raises(ClusterUnusable, match="made by PostgreSQL 9 and this Parley upgrades from 16"):
        await upgrade_older_cluster(data)
