import time

from tests.conftest import NewPerson, StartServer
from tests.faults.conftest import Pair, Trio, metrics, shows
from tests.support.person import Person
from tests.support.processes import until
from tests.support.redis_server import RedisServer
from tests.ws.helpers import hears

SOON = 1.0
SLACK = 1.0
"""Seconds that a busy machine may take longer than what is promised."""


async def test_without_redis_chats_go_on_sessions_hold_and_end_everywhere_and_nodes_catch_up(
    pair: Pair, trio: Trio
) -> None:
    alice, elsewhere, bob = trio
    chat = await alice.group_chat(bob)
    before = [await metrics(node.server) for node in (pair.east, pair.west)]
    async with alice.socket() as own, alice.socket() as near, bob.socket() as far, elsewhere.socket() as ended:
        await pair.redis.stop()
        try:
            for number in range(1, 11):
                began = time.monotonic()
                answer = await own.request("message.send", chat_id=chat["id"], nonce=f"{number}", body="Hello")
                assert (answer["type"], answer["message"]["seq"]) == ("ack", chat["seq"] + number)
                assert time.monotonic() - began < SOON + SLACK
            await hears([own, near], chat["id"], after=chat["seq"], upto=chat["seq"] + 10, within=SOON + SLACK)
            await far.expect("sync", within=8, chat_id=chat["id"])
            for person in trio:
                assert (await person.get("/me")).status_code == 200
            async with bob.socket() as late:
                assert late.hello["user"]["id"] == bob.id
            await alice.delete(f"/sessions/{elsewhere.session_id}")
            assert (await elsewhere.get("/me")).status_code == 401
            assert await ended.closed(within=SOON + SLACK) == 4401
            for node in (pair.east, pair.west):
                await shows(node.server, {"parley_redis_up": 0, "parley_bus_connected": 0})
        finally:
            await pair.redis.start()
        await pair.whole()
        missed = (await bob.get(f"/chats/{chat['id']}/messages")).json()["messages"]
        assert [message["nonce"] for message in missed] == [str(number) for number in range(10, 0, -1)]
        answer = await own.request("message.send", chat_id=chat["id"], nonce="after", body="Hello")
        await far.expect("message.created", within=SOON + SLACK, seq=answer["message"]["seq"])
    for node, counted in zip((pair.east, pair.west), before, strict=True):
        now = await metrics(node.server)
        for name in ("parley_redis_lost_total", "parley_bus_reconnects_total"):
            assert now[name] > counted[name], name


async def test_without_redis_each_node_limits_failed_sign_ins_by_itself(
    redis: RedisServer, start_server: StartServer, new_person: NewPerson
) -> None:
    limits = {"PARLEY_LIMITS": "on", "PARLEY_FAILED_SIGN_INS_PER_ACCOUNT": "4"}
    server = await start_server(REDIS_URL=redis.url, **limits)
    alice = await new_person(url=server.url)
    fallbacks = (await metrics(server))["parley_rate_limit_fallbacks_total"]
    async with Person(server.url, username=alice.username, password="not hers at all") as stranger:
        credentials = {"username": stranger.username, "password": stranger.password}
        # What another node counted goes with Redis; what this one counted stays.
        tried = [(await stranger.post("/auth/login", **credentials)).status_code for _ in range(2)]
        await redis.stop()
        tried += [(await stranger.post("/auth/login", **credentials)).status_code for _ in range(3)]
        assert tried == [401] * 4 + [429]
        assert (await metrics(server))["parley_rate_limit_fallbacks_total"] > fallbacks
        await redis.start()
        await shows(server, {"parley_redis_up": 1})
        assert (await stranger.post("/auth/login", **credentials)).status_code == 429

    async def signed_in() -> bool:
        return (await alice.get("/me")).is_success

    await until(signed_in, otherwise=server.output)
