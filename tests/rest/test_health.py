import re
import signal
import time

import httpx
import psutil
import pytest

from tests.conftest import StartServer
from tests.rest.checks import done, refused
from tests.support.person import Person
from tests.support.processes import until
from tests.support.server import ROOT, ParleyServer

TOLD_WITHIN = 2.0
"""Seconds."""


def samples(text: str) -> dict[str, float]:
    """Read what /metrics wrote, by name and labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def counted(parley: ParleyServer) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return samples((await client.get(f"{parley.url}/metrics")).text)


async def test_the_operators_document_names_every_metric_with_its_type(server: ParleyServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{server.url}/metrics")).text
    written = dict(re.findall(r"^# TYPE (parley_\S+) (\w+)$", text, flags=re.MULTILINE))
    document = (ROOT / "docs/operations.md").read_text()
    table = re.findall(r"^\| `(parley_\w+)` \| (\w+) \| .+ \|$", document, flags=re.MULTILINE)
    assert len(table) == len(dict(table))
    assert dict(table) == written


async def test_what_happens_is_counted(start_server: StartServer) -> None:
    settings = {"PARLEY_LIMITS": "on", "PARLEY_SENDS_PER_SECOND": "1", "PARLEY_SENDS_BURST": "2"}
    parley = await start_server(**settings, PARLEY_MAX_CONNECTIONS_PER_PERSON="2", PARLEY_DATABASE_POOL="7")
    async with Person.registered(parley.url) as ada, Person.registered(parley.url) as bob:
        chat = await ada.group_chat(bob)
        async with ada.socket() as own, bob.socket() as other, ada.socket():
            await other.request("message.send", chat_id=chat["id"], nonce="n", body="by socket")
            for _ in range(2):
                await ada.say(chat["id"], "by REST")
            await own.expect("message.created", seq=chat["seq"] + 3)
            refused(await ada.post(f"/chats/{chat['id']}/messages", body="too soon"), 429, "rate_limited")
            with pytest.raises(Exception, match="429"):
                async with ada.socket():
                    pass
            refused(
                await bob.post("/auth/login", username=bob.username, password="wrong one"), 401, "not_authenticated"
            )
            done(await ada.get("/me"))
            during = await counted(parley)
        assert during["parley_connections"] == 3
        assert during["parley_send_commit_seconds_count"] == 3
        assert during["parley_delivery_seconds_count"] == 3
        assert 0 < during["parley_delivery_seconds_sum"] < 30
        assert during["parley_deliveries_total"] >= 9
        assert during['parley_rate_limited_total{limit="send"}'] == 1
        assert during['parley_rate_limited_total{limit="connections"}'] == 1
        assert during["parley_sign_ins_failed_total"] == 1
        assert during['parley_cache_hits_total{kind="session"}'] > 0
        assert during["parley_database_pool_size"] == 7
        assert 0 <= during["parley_database_pool_in_use"] <= 7
        assert during["parley_database_pool_wait_seconds_count"] > 10
        assert not [name for name in during if name.endswith("_created")]

        async def let_go() -> bool:
            return (await counted(parley))["parley_connections"] == 0

        async def lag_measured() -> bool:
            return (await counted(parley))["parley_event_loop_lag_seconds_count"] > 1

        await until(let_go, otherwise=lambda: "connections are still counted")
        await until(lag_measured, otherwise=lambda: "the event loop's lag is not measured")


async def test_a_database_that_hangs_makes_the_node_unready_in_time_until_it_goes_on(
    start_server: StartServer,
) -> None:
    parley = await start_server(embedded=True)
    postgres = [child for child in psutil.Process(parley.pid).children(recursive=True) if child.name() == "postgres"]
    async with httpx.AsyncClient(base_url=parley.url, trust_env=False) as client:
        assert (await client.get("/health/ready")).status_code == 200
        for process in postgres:
            process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(3):
                asked = time.monotonic()
                refused(await client.get("/health/ready"), 503, "unavailable")
                assert time.monotonic() - asked < TOLD_WITHIN
                assert (await client.get("/health/live")).status_code == 200
        finally:
            for process in reversed(postgres):
                process.send_signal(signal.SIGCONT)

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await until(ready, otherwise=lambda: "not ready again")
