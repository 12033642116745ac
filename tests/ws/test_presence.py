import asyncio
import time
from contextlib import AsyncExitStack

from tests.conftest import NewPerson
from tests.support.socket import Socket
from tests.ws.helpers import told

GATHERED = 0.5
GRACE = 2.0


def ever_named(socket: Socket, state: str) -> set[str]:
    """All whom the waiting `presence` frames name as online or offline."""
    return {one for frame in socket.waiting if frame["type"] == "presence" for one in frame[state]}


async def test_coming_and_going_is_told_to_those_who_share_a_chat_and_to_nobody_else(
    new_person: NewPerson,
) -> None:
    alice, bob, stranger = [await new_person() for _ in range(3)]
    await alice.group_chat(bob)
    await stranger.group_chat()
    async with alice.socket() as watching, stranger.socket() as outside:
        async with bob.socket():
            came = await told(watching, online={bob.id}, within=GATHERED + 1)
            assert came["offline"] == []
        left_at = time.monotonic()
        went = await told(watching, offline={bob.id}, within=GRACE + GATHERED + 1)
        assert (went["online"], went["offline"]) == ([], [bob.id])
        assert time.monotonic() - left_at > GRACE - 0.1
        await outside.request("ping")
        assert ever_named(outside, "online") | ever_named(outside, "offline") <= {stranger.id}


async def test_a_reload_and_a_second_device_that_goes_are_not_noticed(new_person: NewPerson) -> None:
    alice, bob, clock = [await new_person() for _ in range(3)]
    await alice.group_chat(bob, clock)
    async with alice.socket() as watching:
        async with bob.socket():
            await told(watching, online={bob.id})
            async with bob.socket():
                pass
        async with bob.socket():
            async with clock.socket():
                pass
            # Whoever goes later is told later: bob's grace is over by then.
            await told(watching, offline={clock.id})
            assert bob.id not in ever_named(watching, "offline")


async def test_many_who_come_at_once_are_few_frames(new_person: NewPerson) -> None:
    alice = await new_person()
    others = [await new_person() for _ in range(8)]
    await alice.group_chat(*others)
    async with alice.socket() as watching, AsyncExitStack() as open_sockets:
        await asyncio.gather(*(open_sockets.enter_async_context(other.socket()) for other in others))
        online: set[str] = set()
        frames = 0
        while not online >= {other.id for other in others}:
            online |= set((await watching.expect("presence"))["online"])
            frames += 1
    assert frames < len(others)


async def test_joining_a_chat_tells_both_sides_who_is_online(new_person: NewPerson) -> None:
    alice, bob, away = [await new_person() for _ in range(3)]
    chat = await alice.group_chat(away)
    async with alice.socket() as member, bob.socket() as joining:
        assert joining.hello["online"] == []
        await alice.post(f"/chats/{chat['id']}/members", user_id=bob.id)
        shown = await told(joining, online={alice.id})
        assert away.id not in shown["online"] + shown["offline"]
        await told(member, online={bob.id})


async def test_a_new_chat_tells_its_members_who_is_online(new_person: NewPerson) -> None:
    alice, bob = await new_person(), await new_person()
    async with alice.socket() as one, bob.socket() as other:
        await alice.private_chat(bob)
        await told(one, online={bob.id})
        await told(other, online={alice.id})


async def test_one_who_is_added_to_a_chat_while_going_offline_goes_offline_there_too(
    new_person: NewPerson,
) -> None:
    alice, bob, carol = [await new_person() for _ in range(3)]
    await alice.group_chat(bob)
    async with carol.socket() as watching, alice.socket() as fellow:
        async with bob.socket():
            await told(fellow, online={bob.id})
        await carol.group_chat(bob)
        await told(watching, online={bob.id})
        await told(watching, offline={bob.id}, within=GRACE + GATHERED + 1)
