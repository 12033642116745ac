"""What the tests of `/ws` look for in frames."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from tests.support.eventually import eventually
from tests.support.socket import Frame, Socket

NUMBERED = {"message.created", "message.updated", "chat.updated", "member.added", "member.removed"}


def numbered(socket: Socket, chat_id: str) -> list[Frame]:
    """The numbered events of a chat that a connection got so far and nobody took."""
    return [frame for frame in socket.waiting if frame["type"] in NUMBERED and frame["chat_id"] == chat_id]


def numbers(socket: Socket, chat_id: str) -> list[int]:
    """Their numbers."""
    return [frame["seq"] for frame in numbered(socket, chat_id)]


async def hears(sockets: Iterable[Socket], chat_id: str, *, after: int, upto: int, within: float = 10.0) -> None:
    """Wait until each of these connections has got every number of a chat, strictly in order and once.

    :param after: the number that they knew before.
    :param upto: the last one.
    """
    for socket in sockets:
        await eventually(lambda socket=socket: numbers(socket, chat_id)[-1:] == [upto], within=within)  # type: ignore[misc]
        assert numbers(socket, chat_id) == list(range(after + 1, upto + 1))


async def told(
    socket: Socket, *, online: Collection[str] = (), offline: Collection[str] = (), within: float = 5.0
) -> Frame:
    """Wait until `presence` frames have named all these people, and take those frames.

    :param online: ids of those who must be named as online. :param offline: or as offline.
    :return: the last of the frames.
    """
    named: dict[str, set[str]] = {"online": set(), "offline": set()}
    async with asyncio.timeout(within):
        while True:
            frame = await socket.expect("presence", within=within)
            for state, ids in named.items():
                ids.update(frame[state])
            if named["online"].issuperset(online) and named["offline"].issuperset(offline):
                return frame


def own_chat(socket: Socket, chat_id: str) -> dict[str, Any]:
    """A chat as the connection's `hello` shows it."""
    found: dict[str, Any] = next(chat for chat in socket.hello["chats"] if chat["id"] == chat_id)
    return found
