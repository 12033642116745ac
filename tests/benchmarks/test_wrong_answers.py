"""An answer counts only when it is just what was written before: a server that answers otherwise has no figure."""

import asyncio
import json
import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.archive import Archive, Room, imagine
from benchmarks.asking import Rest, Talk, WrongAnswer
from benchmarks.figures import Figure
from benchmarks.reading import CHANGES, PAGE, Reader
from benchmarks.searching import Searcher
from benchmarks.servers import Running
from benchmarks.stage import Guest

READ, SEARCHED = 25_000, 1_500
"""Messages: of the first, enough were changed for pages of changes; the second are all looked at for each query."""

COUNT = 5
SPOILT = 3
"""The answer that is not an honest one."""

Rows = list[dict[str, Any]]
Cheat = Callable[[Rows], Rows]


def honest(rows: Rows) -> Rows:
    return rows


def drops(rows: Rows) -> Rows:
    return rows[:1] + rows[2:]


def doubles(rows: Rows) -> Rows:
    return rows[:1] + rows


def swaps(rows: Rows) -> Rows:
    return [*rows[1::-1], *rows[2:]]


def invents(rows: Rows) -> Rows:
    return [rows[0] | {"body": "never written"}, *rows[1:]]


def forgets_reactions(rows: Rows) -> Rows:
    return [row | {"reactions": {}} for row in rows]


def revives(rows: Rows) -> Rows:
    return [row | {"deleted": False} for row in rows]


def miscounts(rows: Rows) -> Rows:
    return [rows[0] | {"unread": rows[0]["unread"] + 1}, *rows[1:]]


class FakeParley:
    """Answers from an archive as Parley does, except that one list passes through a cheat."""

    def __init__(self, archive: Archive, cheat: Cheat) -> None:
        self._archive = archive
        self._cheat = cheat
        self._asked = 0
        self._versions = {number: version for version, number in archive.changes.items()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        rest = await asyncio.start_server(self._serve_rest, "127.0.0.1", 0)
        async with serve(self._talk, "127.0.0.1", 0) as socket, rest:
            ports = [next(iter(server.sockets)).getsockname()[1] for server in (rest, socket)]
            yield Running(f"http://127.0.0.1:{ports[0]}", f"ws://127.0.0.1:{ports[1]}/", os.getpid())

    async def _serve_rest(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            url = urlsplit(head.split()[1].decode())
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = json.dumps(self._answer(url.path.rpartition("/")[2], asked)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    def _answer(self, what: str, asked: dict[str, str]) -> dict[str, Any]:
        if what == "chats":
            return {"chats": self._cheated(self._chats())}
        found, more = self._search(asked) if what == "search" else self._page(asked)
        return {"messages": self._cheated(found), "more": more}

    async def _talk(self, client: ServerConnection) -> None:
        await client.send('{"type":"hello"}')
        async for text in client:
            asked = json.loads(text)
            ((_, since),) = asked["chats"].items()
            room = self._archive.large
            rows = [self._message(room, self._changed(since + 1 + place)) for place in range(CHANGES)]
            answer = {"type": "sync", "re": asked["id"], "seq": since + CHANGES, "messages": self._cheated(rows)}
            answer |= {"more": since + CHANGES < room.seq, "reset": False}
            await client.send(json.dumps(answer, separators=(",", ":")))

    def _cheated(self, rows: Rows) -> Rows:
        self._asked += 1
        return self._cheat(rows) if self._asked >= SPOILT and len(rows) > 1 else rows

    def _page(self, asked: dict[str, str]) -> tuple[Rows, bool]:
        room = self._archive.large
        end = bisect_left(room.seqs, int(asked["before"])) if "before" in asked else len(room.seqs)
        return [self._message(room, place) for place in range(end - 1, max(end - PAGE, 0) - 1, -1)], end > PAGE

    def _chats(self) -> Rows:
        rooms = [room for room in (self._archive.large, *self._archive.others) if room.numbers]
        rooms.sort(key=lambda room: self._archive.time(room.numbers[-1]), reverse=True)
        return [
            {"id": str(room.id), "unread": room.unread, "last_message": self._message(room, len(room.numbers) - 1)}
            for room in rooms
        ]

    def _search(self, asked: dict[str, str]) -> tuple[Rows, bool]:
        """Look at every text, so that this is not what the searcher does itself."""
        before = datetime.fromisoformat(asked["before"]) if "before" in asked else None
        found = []
        for room in (self._archive.large, *self._archive.others):
            for place, number in enumerate(room.numbers):
                time = self._archive.time(number)
                words = (self._archive.text(number) or "").lower().replace("*", "").split()
                wanted = all(any(word.startswith(prefix) for word in words) for prefix in asked["q"].split())
                if wanted and (before is None or time < before):
                    found.append((time, room.seqs[place], room, place))
        found.sort(key=lambda one: one[:2], reverse=True)
        whole = [one for one in found[:PAGE] if len(found) <= PAGE or one[0] != found[PAGE][0]]
        return [self._message(room, place) for _, _, room, place in whole], len(found) > PAGE

    def _changed(self, version: int) -> int:
        room = self._archive.large
        number = self._archive.changes.get(version)
        return bisect_left(room.seqs, version) if number is None else bisect_left(room.numbers, number)

    def _message(self, room: Room, place: int) -> dict[str, Any]:
        archive, number = self._archive, room.numbers[place]
        return {
            "chat_id": str(room.id),
            "seq": room.seqs[place],
            "version": self._versions.get(number, room.seqs[place]),
            "body": archive.text(number),
            "snippet": archive.text(number),
            "deleted": archive.is_deleted(number),
            "edited_at": "2026-01-01T00:00:00Z" if archive.is_edited(number) else None,
            "created_at": archive.time(number).isoformat(),
            "reactions": {"👍": {"count": 1 + number % 4}} if archive.is_reacted_to(number) else {},
        }


def archive_of(messages: int) -> Archive:
    guests = [Guest(uuid4(), "") for _ in range(51)]
    return imagine("", guests[0], guests[1:], messages)


@pytest.fixture(scope="module")
def read() -> Archive:
    return archive_of(READ)


@pytest.fixture(scope="module")
def searched() -> Archive:
    return archive_of(SEARCHED)


async def over_rest(archive: Archive, cheat: Cheat, measure: Callable[[Running, Rest], list[Figure]]) -> int:
    async with FakeParley(archive, cheat).running() as server:
        with closing(await asyncio.to_thread(Rest, server.url, "")) as rest:
            return len(await asyncio.to_thread(measure, server, rest))


async def read_pages(archive: Archive, cheat: Cheat = honest) -> int:
    return await over_rest(archive, cheat, lambda server, rest: Reader(server, archive, count=COUNT).pages(rest))


async def catch_up(archive: Archive, cheat: Cheat = honest) -> int:
    async with FakeParley(archive, cheat).running() as server:
        with closing(await asyncio.to_thread(Talk, server.ws_url, "")) as talk:
            return len(await asyncio.to_thread(Reader(server, archive, count=COUNT).catch_up, talk))


async def list_chats(archive: Archive, cheat: Cheat = honest) -> int:
    return await over_rest(archive, cheat, lambda server, rest: Reader(server, archive, count=COUNT).chats(rest))


async def search(archive: Archive, cheat: Cheat = honest) -> int:
    return await over_rest(archive, cheat, lambda server, rest: Searcher(server, archive, count=COUNT).measure(rest))


async def test_honest_answers_are_measured(read: Archive, searched: Archive) -> None:
    assert await read_pages(read)
    assert await catch_up(read)
    assert await list_chats(read)
    assert await search(searched)


@pytest.mark.parametrize("cheat", [drops, doubles, swaps, invents])
async def test_a_page_with_other_messages_has_no_figure(read: Archive, cheat: Cheat) -> None:
    with pytest.raises(WrongAnswer):
        await read_pages(read, cheat)


@pytest.mark.parametrize("cheat", [drops, doubles, swaps, invents, forgets_reactions, revives])
async def test_a_catch_up_with_other_changes_has_no_figure(read: Archive, cheat: Cheat) -> None:
    with pytest.raises(WrongAnswer):
        await catch_up(read, cheat)


@pytest.mark.parametrize("cheat", [drops, doubles, swaps, miscounts])
async def test_a_list_with_other_chats_has_no_figure(read: Archive, cheat: Cheat) -> None:
    with pytest.raises(WrongAnswer):
        await list_chats(read, cheat)


@pytest.mark.parametrize("cheat", [drops, doubles, swaps, invents])
async def test_a_search_with_other_hits_has_no_figure(searched: Archive, cheat: Cheat) -> None:
    with pytest.raises(WrongAnswer):
        await search(searched, cheat)
