"""Reading in a chat of very many messages: pages at any depth, catching up, and the list of many chats."""

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import closing
from random import Random
from typing import Any

from benchmarks.archive import NEWEST, Archive, Room
from benchmarks.asking import Inquiry, Rest, Talk, expect, inquire
from benchmarks.figures import Figure
from benchmarks.servers import Running

PAGE, CHANGES = 50, 100
"""Messages of a page, and of a page of ``sync``, when the client does not say."""

WARMED_BY = 20
"""Questions of each kind before any is measured."""

PAGE_GOAL, SYNC_GOAL, LIST_GOAL = 3.0, 5.0, 10.0
"""Milliseconds of the median."""

EDITS = 700
"""Changes of old messages before the newest ones, so many that a client may still catch up on all of them."""


class Reader:
    """The person of an archive, who reads; each answer is compared with what the archive says.

    :param count: questions of each kind.
    """

    def __init__(self, server: Running, archive: Archive, *, count: int) -> None:
        self._server = server
        self._archive = archive
        self._count = count
        self._chance = Random(2)

    def pages(self, rest: Rest) -> list[Figure]:
        """Read pages of the large chat.

        :raises WrongAnswer: other messages came, or in another order.
        """
        last = len(self._archive.large.numbers)
        depths: dict[str, tuple[int, int]] = {
            "newest": (last, last),
            "in the middle": (last // 2 - last // 20, last // 2),
            "oldest": (PAGE, PAGE + 1),
            "anywhere": (PAGE, last - 1),
        }
        path = f"/chats/{self._archive.large.id}/messages"

        def ask(place: int) -> bytes:
            return rest.get(path if place == last else f"{path}?before={self._archive.large.seqs[place]}")

        def check(place: int, page: Any) -> None:
            places = range(place - 1, max(place - PAGE, 0) - 1, -1)
            check_messages(self._archive, self._archive.large, places, page["messages"])
            expect("whether older ones follow", page["more"], place > PAGE)

        figures = []
        for name, (low, high) in depths.items():
            inquiry = self._inquire(f"page of {PAGE} of {last:,}, {name}", self._places(low, high), ask, check)
            figures += inquiry.figures(goal=PAGE_GOAL)
        return figures

    def catch_up(self, talk: Talk) -> list[Figure]:
        """Catch up on the newest messages, and on changes of messages that stand anywhere.

        :raises WrongAnswer: other changes came, or in another order.
        """
        room = self._archive.large
        before_newest = room.seq - NEWEST
        kinds = {
            "new messages": (room.seq - CHANGES, room.seq - CHANGES),
            "changes of old messages": (before_newest - EDITS, before_newest - CHANGES),
        }

        def ask(since: int) -> bytes:
            return talk.ask("sync", f'"chats":{{"{room.id}":{since}}}')

        def check(since: int, answer: Any) -> None:
            versions = range(since + 1, since + CHANGES + 1)
            places = [self._place_of(version) for version in versions]
            check_messages(self._archive, room, places, answer["messages"])
            expect("versions", [message["version"] for message in answer["messages"]], list(versions))
            expect("how far it goes", answer["seq"], since + CHANGES)
            expect("whether more follow", answer["more"], since + CHANGES < room.seq)
            expect("whether it replaces everything", answer["reset"], False)

        figures = []
        for name, (low, high) in kinds.items():
            inquiry = self._inquire(f"catch-up of {CHANGES} {name}", self._places(low, high), ask, check)
            figures += inquiry.figures(goal=SYNC_GOAL)
        return figures

    def chats(self, rest: Rest) -> list[Figure]:
        """List all chats.

        :raises WrongAnswer: one is missing or in the wrong place, or its newest message or unread count is wrong.
        """
        rooms = [room for room in (self._archive.large, *self._archive.others) if room.numbers]
        rooms.sort(key=lambda room: self._archive.time(room.numbers[-1]), reverse=True)

        def check(_question: int, answer: Any) -> None:
            listed = answer["chats"]
            expect("chats", [chat["id"] for chat in listed], [str(room.id) for room in rooms])
            expect("unread", [chat["unread"] for chat in listed], [room.unread for room in rooms])
            for chat, room in zip(listed, rooms, strict=True):
                check_messages(self._archive, room, [len(room.numbers) - 1], [chat["last_message"]])

        subject = f"list of {len(rooms)} chats with unread messages"
        return self._inquire(subject, range(self._count), lambda _: rest.get("/chats"), check).figures(goal=LIST_GOAL)

    def _inquire(self, subject: str, questions: Sequence[int], ask: Any, check: Any) -> Inquiry:
        inquire(subject, self._server, questions[:WARMED_BY], ask, check)
        return inquire(subject, self._server, questions, ask, check)

    def _places(self, low: int, high: int) -> list[int]:
        return [self._chance.randint(low, high) for _ in range(self._count)]

    def _place_of(self, version: int) -> int:
        """Find which message of the large chat has a version."""
        room = self._archive.large
        if version in self._archive.changes:
            return bisect_left(room.numbers, self._archive.changes[version])
        return bisect_left(room.seqs, version)


def measure(server: Running, archive: Archive, *, count: int) -> list[Figure]:
    """Read as someone does who is in many chats, one of them very large.

    :param count: questions of each kind.
    """
    reader = Reader(server, archive, count=count)
    token = archive.reader.token
    with closing(Rest(server.url, token)) as rest:
        figures = reader.pages(rest)
    with closing(Talk(server.ws_url, token)) as talk:
        figures += reader.catch_up(talk)
    with closing(Rest(server.url, token)) as rest:
        figures += reader.chats(rest)
    return figures


def check_messages(archive: Archive, room: Room, places: Sequence[int], found: Sequence[Any]) -> None:
    """Compare messages of a chat with what was written.

    :param places: of the messages that had to come, in their order.
    :raises WrongAnswer: one is missing, double, out of order or another than was written.
    """
    expect("messages", [message["seq"] for message in found], [room.seqs[place] for place in places])
    for message, place in zip(found, places, strict=True):
        number = room.numbers[place]
        expect("chat", message["chat_id"], str(room.id))
        expect("text", message["body"], archive.text(number))
        expect("deleted", message["deleted"], archive.is_deleted(number))
        expect("edited", message["edited_at"] is not None, archive.is_edited(number))
        reacted = {"👍": 1 + number % 4} if archive.is_reacted_to(number) else {}
        expect("reactions", {emoji: one["count"] for emoji, one in message["reactions"].items()}, reacted)
