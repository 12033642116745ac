import asyncio
from typing import Any
from uuid import UUID

import pytest

from services import members
from services.parley import Parley
from tests.services.conftest import Connect, NewActor, NewParley
from tests.support.actor import Actor
from tests.support.chat_client import ChatClient
from tests.support.eventually import eventually

FLUSHED_WITHIN = 2.0


def told(client: ChatClient, kind: str) -> list[str]:
    """Everyone whom a client was told to be online or offline, in order, itself aside."""
    ids = [user_id for frame in client.of_type("presence") for user_id in frame[kind]]
    return [user_id for user_id in ids if user_id != str(client.actor.id)]


def leave(client: ChatClient) -> None:
    assert client.seat is not None
    client.actor.parley.leave(client.seat)


async def test_those_who_share_a_chat_hear_who_comes_and_hello_tells_who_is_there(
    ann: Actor, ben: Actor, cat: Actor, connect: Connect
) -> None:
    await ann.private(ben)
    anns, cats = await connect(ann), await connect(cat)
    bens = await connect(ben)
    assert set(bens.frames[0]["online"]) - {str(ben.id)} == {str(ann.id)}
    await eventually(lambda: told(anns, "online") == [str(ben.id)], within=FLUSHED_WITHIN)
    assert told(cats, "online") == []


async def test_changes_are_gathered_into_one_frame(ann: Actor, new_actor: NewActor, connect: Connect) -> None:
    others = [await new_actor() for _ in range(4)]
    await ann.group(*others)
    anns = await connect(ann)
    for other in others:
        await connect(other)
    await eventually(lambda: len(told(anns, "online")) == 4, within=FLUSHED_WITHIN)
    assert len([frame for frame in anns.of_type("presence") if set(frame["online"]) - {str(ann.id)}]) <= 2


async def test_someone_is_offline_a_while_after_their_last_connection_ends(
    ann: Actor, ben: Actor, connect: Connect
) -> None:
    await ann.group(ben)
    anns, first, second = await connect(ann), await connect(ben), await connect(ben)
    await eventually(lambda: told(anns, "online"), within=FLUSHED_WITHIN)
    leave(first)
    leave(second)
    third = await connect(ben)
    await asyncio.sleep(0)
    leave(third)
    assert told(anns, "offline") == []
    left_at = asyncio.get_running_loop().time()
    await eventually(lambda: told(anns, "offline") == [str(ben.id)], within=5)
    assert asyncio.get_running_loop().time() - left_at > 1.9
    assert told(anns, "online") == [str(ben.id)]
    assert ben.id not in ann.parley.presence.online()


async def test_those_who_meet_in_a_chat_hear_of_each_other(
    ann: Actor, ben: Actor, new_actor: NewActor, connect: Connect
) -> None:
    away = await new_actor()
    chat_id = await ann.group(away)
    anns, bens = await connect(ann), await connect(ben)
    await ann.do(members.add, chat_id=chat_id, user_id=ben.id)
    await eventually(lambda: str(ben.id) in told(anns, "online"), within=FLUSHED_WITHIN)
    await eventually(lambda: set(told(bens, "online")) == {str(ann.id)}, within=FLUSHED_WITHIN)


@pytest.fixture
async def nodes(new_parley: NewParley, redis_url: str) -> list[Parley]:
    """Two nodes that share a database and a Redis, and know of each other."""
    first = await new_parley(REDIS_URL=redis_url)
    url = first.engine.url.render_as_string(hide_password=False)
    second = await new_parley(database_url=url, REDIS_URL=redis_url)
    await eventually(lambda: first.bus.nodes() and second.bus.nodes(), within=10)
    return [first, second]


async def apart(here: Parley, there: Parley) -> tuple[Actor, Actor, UUID]:
    """Two people in one chat, each at a node of their own."""
    ann, ben = await Actor.create(here), await Actor.create(here)
    ben.parley = there
    return ann, ben, await ann.group(ben)


async def test_two_nodes_share_events_presence_typing_reads_and_ends_of_sessions(
    nodes: list[Parley], connect: Connect
) -> None:
    here, there = nodes
    ann, ben, chat_id = await apart(here, there)
    anns, bens = await connect(ann), await connect(ben)
    await eventually(lambda: told(anns, "online") == [str(ben.id)], within=5)
    sent = await ann.say(chat_id, "over there")
    await eventually(lambda: bens.of_type("message.created"), within=5)
    assert bens.of_type("message.created")[0]["message"]["id"] == str(sent.id)
    await here.typed(actor=ann.id, chat_id=chat_id)
    await eventually(lambda: bens.of_type("typing"), within=5)
    await eventually(lambda: read_of(bens, ann), within=5)
    ended: list[Any] = []
    there.session_ends.watch(chat_id, bens_expiry(bens), lambda: ended.append(True))
    here.session_ends.end(chat_id)
    await eventually(lambda: ended, within=5)
    await there.stop()
    await eventually(lambda: told(anns, "offline") == [str(ben.id)], within=10)


async def test_what_was_read_just_before_a_node_stops_is_told_at_the_others(
    nodes: list[Parley], connect: Connect
) -> None:
    here, there = nodes
    ann, ben, chat_id = await apart(here, there)
    bens = await connect(ben)
    sent = await ann.say(chat_id)
    await here.stop()
    await eventually(lambda: read_of(bens, ann), within=5)
    assert read_of(bens, ann)[-1]["seq"] == sent.seq


async def test_who_moves_to_another_node_is_online_all_the_time(nodes: list[Parley], connect: Connect) -> None:
    here, there = nodes
    ann, ben, cat = [await Actor.create(here) for _ in range(3)]
    await ann.group(ben, cat)
    ben.parley = there
    anns, bens = await connect(ann), await connect(ben)
    await eventually(lambda: told(anns, "online") == [str(ben.id)], within=5)
    leave(bens)
    ben.parley = here
    bens = await connect(ben)
    # A clock: who leaves the other node after that is offline after a grace as long as the one that is watched.
    cat.parley = there
    leave(await connect(cat))
    await eventually(lambda: told(anns, "offline"), within=8)
    assert (told(anns, "offline"), told(anns, "online").count(str(ben.id))) == ([str(cat.id)], 1)


async def test_who_was_at_a_node_that_stops_is_online_all_the_time_at_the_next_one(
    nodes: list[Parley], connect: Connect
) -> None:
    here, there = nodes
    ann, ben, cat = [await Actor.create(here) for _ in range(3)]
    await ann.group(ben, cat)
    ben.parley = cat.parley = there
    anns = await connect(ann)
    await connect(ben)
    await connect(cat)
    await eventually(lambda: set(told(anns, "online")) == {str(ben.id), str(cat.id)}, within=5)
    await there.stop()
    ben.parley = here
    await connect(ben)
    await eventually(lambda: told(anns, "offline"), within=8)
    assert (told(anns, "offline"), told(anns, "online").count(str(ben.id))) == ([str(cat.id)], 1)


def read_of(client: ChatClient, actor: Actor) -> list[Any]:
    return [frame for frame in client.of_type("read") if frame["user_id"] == str(actor.id)]


def bens_expiry(client: ChatClient) -> Any:
    assert client.seat is not None
    return client.seat.expires_at
