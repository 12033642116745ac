"""The life of `app.py`: how it starts, what it says when it cannot, and how it ends."""

import asyncio
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from services.settings import Settings, SettingsError
from tests.conftest import FreshDatabase, StartServer
from tests.rest.checks import done, refused
from tests.support.person import Person
from tests.support.processes import free_port
from tests.support.server import ROOT, ParleyServer

HELP = {
    "PARLEY_HOST": "127.0.0.1",
    "PARLEY_PORT": "8080",
    "PARLEY_DATA": "data",
    "DATABASE_URL": "unset",
    "REDIS_URL": "unset",
    "PARLEY_SECRET": "unset",
    "PARLEY_BASE_URL": "unset",
    "PARLEY_TRUSTED_PROXIES": "unset",
    "PARLEY_REGISTRATION": "open",
    "PARLEY_LIMITS": "on",
    "PARLEY_LOG_FORMAT": "text",
    "PARLEY_LOG_LEVEL": "info",
    "PARLEY_ACCESS_LOG": "off",
    "PARLEY_SESSION_HOURS": "7.0",
    "PARLEY_MAX_CHAT_MEMBERS": "5000",
    "PARLEY_MAX_MESSAGE_LENGTH": "16000",
    "PARLEY_MAX_TITLE_LENGTH": "80",
    "PARLEY_MAX_DISPLAY_NAME_LENGTH": "64",
    "PARLEY_MIN_PASSWORD_LENGTH": "8",
    "PARLEY_MAX_PASSWORD_LENGTH": "256",
    "PARLEY_MAX_SEARCH_LENGTH": "200",
    "PARLEY_MAX_PAGE_SIZE": "100",
    "PARLEY_MAX_SYNC_CHANGES": "1000",
    "PARLEY_MAX_REQUEST_BYTES": "262144",
    "PARLEY_MAX_FRAME_BYTES": "262144",
    "PARLEY_MAX_CONNECTIONS_PER_PERSON": "20",
    "PARLEY_MAX_HASHES_WAITING": "16",
    "PARLEY_FRAMES_PER_SECOND": "50",
    "PARLEY_FRAMES_BURST": "200",
    "PARLEY_SENDS_PER_SECOND": "10",
    "PARLEY_SENDS_BURST": "100",
    "PARLEY_SIGN_UPS_PER_HOUR": "20",
    "PARLEY_FAILED_SIGN_INS_PER_HOUR": "60",
    "PARLEY_FAILED_SIGN_INS_PER_ACCOUNT": "10",
}
"""Settings with the defaults that are promised."""


def _said(parley: ParleyServer) -> str:
    """What it printed beside its log."""
    lines = parley.output().splitlines()
    return "\n".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d .* (INFO|WARNING) ", line))


async def _refuses_to_start(parley: ParleyServer, *says: str) -> None:
    """Expect that it ends with 2 and one line that says these things."""
    assert await parley.ended(within=30.0) == 2, parley.output()
    said = _said(parley)
    assert said.startswith("parley: "), parley.output()
    assert len(said.splitlines()) == 1, parley.output()
    for part in says:
        assert part in said


def test_help_lists_every_setting_with_its_default() -> None:
    done = subprocess.run(
        [sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    listed = dict(re.findall(r"^  ([A-Z_]+) +.*\((.+)\)$", done.stdout, flags=re.MULTILINE))
    assert HELP.items() <= listed.items()
    assert len(listed) == len(Settings.model_fields)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PARLEY_PORT", "eighty", "integer"),
        ("PARLEY_PORT", "70000", "65535"),
        ("PARLEY_LIMITS", "maybe", "'on' or 'off'"),
        ("PARLEY_REGISTRATION", "no", "'open', 'invite' or 'closed'"),
        ("PARLEY_SECRET", "short", "16"),
        ("PARLEY_BASE_URL", "chat.example.org", "https://chat.example.org"),
        ("PARLEY_BASE_URL", "https://example.org/chat", "without a path"),
        ("PARLEY_TRUSTED_PROXIES", "10.0.0.0/33", "network"),
        ("PARLEY_SESSION_HOURS", "0", "greater than 0"),
        ("PARLEY_SESSION_HOURS", "nan", "8760"),
        ("PARLEY_MAX_PAGE_SIZE", "0", "1"),
        ("PARLEY_SENDS_BURST", "0", "1"),
        ("DATABASE_URL", "mysql://localhost/parley", "postgresql://"),
        ("REDIS_URL", "localhost:6379", "redis://"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        Settings.from_environment()
    line = str(error.value)
    assert line.startswith(f"{name}: ")
    assert says in line
    assert "\n" not in line


async def test_it_ends_with_two_where_it_cannot_start(
    start_server: StartServer, fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    database = make_url(await fresh_database())
    unknown = database.set(database="no_such_database").render_as_string(hide_password=False)
    nobody = "postgresql://parley:hidden@127.0.0.1:1/parley"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        reasons: list[tuple[dict[str, str], list[str]]] = [
            ({"PARLEY_MAX_PAGE_SIZE": "many"}, ["PARLEY_MAX_PAGE_SIZE: ", "integer"]),
            ({"PARLEY_PORT": port}, [f"127.0.0.1 port {port}", "in use"]),
            ({"PARLEY_HOST": "192.0.2.1"}, ["192.0.2.1"]),
            ({"DATABASE_URL": unknown}, ["database", "no_such_database"]),
            ({"DATABASE_URL": nobody}, ["database", "127.0.0.1"]),
        ]
        started = [
            (await start_server(launch_only=True, embedded=True, data=tmp_path / str(number), **settings), says)
            for number, (settings, says) in enumerate(reasons)
        ]
        for parley, says in started:
            await _refuses_to_start(parley, *says)
            assert not parley.data.exists()
            assert "hidden" not in parley.output()


async def test_it_listens_on_the_address_that_is_set_and_says_so(start_server: StartServer) -> None:
    port = free_port()
    parley = await start_server(launch_only=True, PARLEY_HOST="::1", PARLEY_PORT=str(port))
    async with asyncio.timeout(60):
        while "ready at" not in parley.output():
            assert psutil.pid_exists(parley.pid), parley.output()
            await asyncio.sleep(0.05)
    assert _said(parley) == f"Parley is ready at http://[::1]:{port}"
    with socket.create_connection(("::1", port)):
        pass
    await parley.stop()


async def test_it_takes_as_many_open_files_as_it_may(start_server: StartServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        parley = await start_server()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert psutil.Process(parley.pid).rlimit(psutil.RLIMIT_NOFILE) == (hard, hard)


async def test_a_second_start_on_one_data_folder_is_refused_and_the_first_goes_on(
    start_server: StartServer, tmp_path: Path
) -> None:
    first = await start_server(embedded=True, data=tmp_path / "shared")
    second = await start_server(embedded=True, data=tmp_path / "shared", launch_only=True)
    assert await second.ended(within=30.0) == 2
    assert "parley: " in second.output().splitlines()[-1]
    async with Person.registered(first.url) as ada:
        done(await ada.get("/me"))
    await first.stop()


async def test_without_redis_a_second_node_on_one_database_is_refused(
    start_server: StartServer, fresh_database: FreshDatabase
) -> None:
    database = await fresh_database()
    first = await start_server(DATABASE_URL=database, REDIS_URL="")
    second = await start_server(launch_only=True, DATABASE_URL=database, REDIS_URL="")
    await _refuses_to_start(second, "REDIS_URL")
    await first.stop()
    await second.start()


async def test_with_redis_nodes_start_together_on_a_database_but_not_with_one_that_has_none(
    start_server: StartServer, fresh_database: FreshDatabase, redis_url: str, tmp_path: Path
) -> None:
    database = await fresh_database()
    first, second = await asyncio.gather(
        *(start_server(DATABASE_URL=database, REDIS_URL=redis_url, data=tmp_path / name) for name in ("a", "b"))
    )
    third = await start_server(launch_only=True, DATABASE_URL=database, REDIS_URL="")
    await _refuses_to_start(third, "REDIS_URL")
    async with Person.registered(first.url) as ada, Person(second.url, username=ada.username) as elsewhere:
        await elsewhere.sign_in()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_closes_sockets_as_restarting_and_ends_everything(
    start_server: StartServer, sent: signal.Signals
) -> None:
    parley = await start_server(embedded=True)
    assert _said(parley) == f"Parley is ready at http://localhost:{parley.port}"
    started = psutil.Process(parley.pid).children(recursive=True)
    async with Person.registered(parley.url) as ada, ada.socket() as first, ada.socket() as second:
        await parley.stop(sent)
        assert await first.closed() == 1012
        assert await second.closed() == 1012
    assert "Traceback" not in parley.output()
    assert not list(parley.data.rglob("postmaster.pid"))
    assert not [process for process in started if process.is_running()]


async def test_a_second_start_finds_accounts_sessions_chats_and_messages(start_server: StartServer) -> None:
    parley = await start_server(embedded=True)
    async with Person.registered(parley.url) as ada:
        chat = await ada.group_chat(title="Kept")
        sent = await ada.say(chat["id"], "Kept too", nonce="n")
        await parley.stop()
        await parley.start()
        done(await ada.get("/me"))
        found = done(await ada.get(f"/chats/{chat['id']}/messages"))
        assert found["messages"] == [sent]
        assert await ada.say(chat["id"], "again", nonce="n") == sent
        await ada.sign_in()


async def test_another_secret_ends_all_sessions(start_server: StartServer, fresh_database: FreshDatabase) -> None:
    database = await fresh_database()
    first = await start_server(DATABASE_URL=database, PARLEY_SECRET="one secret of sixteen")
    async with Person.registered(first.url) as ada:
        await first.stop()
        second = await start_server(DATABASE_URL=database, PARLEY_SECRET="another secret of sixteen")
        response = await ada.request("GET", f"{second.url}/api/v1/me")
        refused(response, 401, "not_authenticated")
