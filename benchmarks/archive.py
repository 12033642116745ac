"""A chat of very many messages, and someone in it who has many other chats: what a Parley holds after years.

The rows are copied into the tables as they are migrated, with all their indexes and constraints, and what autovacuum
would do follows. Everything about them is known: an answer is compared with what was written.
"""

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import models
from benchmarks.corpus import Corpus
from benchmarks.stage import Guest, sign_in
from migrations.run import migrate
from models.engine import create_engine
from services import markdown
from services.embedded_postgres import EmbeddedPostgres
from services.sessions import Tokens

AUTHORS = 50
"""People who wrote the messages, besides the one who reads them."""

OTHER_CHATS = 500
OTHERS_SHARE = 101
"""One of so many messages lies in one of the other chats: ten thousand, beside a million in the large one."""

CHANGED_SHARE = 33
"""One of so many messages of the large chat was changed, wherever it stands: deleted, edited or reacted to."""

NEWEST = 200
"""Messages of the large chat that came after these changes."""

UNREAD = 20
"""Messages of a chat that are unread, at most; at least one is."""

STEP = timedelta(seconds=40)
"""From one message to the next."""

TOGETHER = 8
"""One of so many messages was committed together with the one before it, at the same time."""

COPIED_AT_ONCE = 20_000
MAY_TAKE = 300.0
"""Seconds for copying so many rows, and for the vacuum."""


@dataclass(frozen=True, slots=True)
class Room:
    """A chat.

    :param numbers: of its messages in the corpus, oldest first. :param seqs: of its messages, at the same places.
    :param seq: its own. :param unread: messages that the reader has not read.
    """

    id: UUID
    numbers: list[int]
    seqs: list[int]
    seq: int
    unread: int


@dataclass(frozen=True, slots=True)
class Archive:
    """What is in a data folder.

    :param secret: what the server has to sign with. :param reader: is in all chats and wrote nothing.
    :param authors: of the messages; they are in all chats too. :param large: the chat of very many messages.
    :param others: chats of a few messages each. :param begun: when the first message was written.
    :param changes: the number of the message by the version that it was changed with.
    """

    secret: str
    corpus: Corpus
    reader: Guest
    authors: list[Guest]
    large: Room
    others: list[Room]
    begun: datetime
    changes: dict[int, int]
    changed: frozenset[int]

    def time(self, number: int) -> datetime:
        """Tell when a message was written."""
        return self.begun + STEP * (number - (not number % TOGETHER))

    def is_deleted(self, number: int) -> bool:
        """Tell whether a message has no text any more."""
        return not number % 3 and number in self.changed

    def is_edited(self, number: int) -> bool:
        """Tell whether a message had another text before."""
        return number % 3 == 1 and number in self.changed

    def is_reacted_to(self, number: int) -> bool:
        """Tell whether a message has reactions."""
        return number % 3 == 2 and number in self.changed

    def text(self, number: int) -> str | None:
        """Tell a message's text."""
        return None if self.is_deleted(number) else self.corpus.texts[number]


def prepare(data: Path, *, messages: int) -> Archive:
    """Fill a new data folder.

    :param data: where Parley will keep its data. :param messages: in the large chat.
    """
    return asyncio.run(_set_up(data, messages))


async def _set_up(data: Path, messages: int) -> Archive:
    secret = secrets.token_urlsafe(32)
    postgres = EmbeddedPostgres(data)
    url = await postgres.start()
    try:
        await migrate(url)
        engine = create_engine(url, pool_size=1, timeout=MAY_TAKE)
        async with engine.begin() as connection:
            reader, *authors = await sign_in(connection, Tokens(secret), 1 + AUTHORS)
        archive = imagine(secret, reader, authors, messages)
        async with engine.connect() as connection:
            await _copy((await connection.get_raw_connection()).driver_connection, archive)
        await engine.dispose()
    finally:
        await postgres.stop()
    return archive


def imagine(secret: str, reader: Guest, authors: list[Guest], messages: int) -> Archive:
    """Decide what is written, without writing it."""
    count = messages * OTHERS_SHARE // (OTHERS_SHARE - 1)
    numbers = [number for number in range(count) if number % OTHERS_SHARE]
    changed = Random(1).sample(numbers[:-NEWEST], len(numbers) // CHANGED_SHARE)
    first = 2 + len(numbers) - NEWEST
    seqs = [2 + place if place < len(numbers) - NEWEST else 2 + place + len(changed) for place in range(len(numbers))]
    large = Room(models.new_id(), numbers, seqs, seqs[-1], UNREAD)
    others = []
    for place in range(OTHER_CHATS):
        written = list(range(place * OTHERS_SHARE, count, OTHER_CHATS * OTHERS_SHARE))
        last = 1 + len(written)
        room = Room(models.new_id(), written, list(range(2, last + 1)), last, min(1 + place % UNREAD, len(written)))
        others.append(room)
    return Archive(
        secret=secret,
        corpus=Corpus(count),
        reader=reader,
        authors=authors,
        large=large,
        others=others,
        begun=datetime.now(UTC) - STEP * (count + 1),
        changes=dict(enumerate(changed, first)),
        changed=frozenset(changed),
    )


async def _copy(driver: Any, archive: Archive) -> None:
    """Write it all.

    :param driver: an asyncpg connection outside of any transaction.
    """
    await driver.execute("SET gin_pending_list_limit = '64MB'")
    ids: dict[int, UUID] = {}
    await _copy_rows(driver, "chats", "id kind title seq message_count owner_id", _chats(archive))
    await _copy_rows(driver, "members", "chat_id user_id version read_seq read_ordinal", _members(archive))
    columns = "id chat_id seq version ordinal author_id nonce body html created_at edited_at deleted_at"
    await _copy_rows(driver, "messages", columns, _messages(archive, ids))
    await _copy_rows(driver, "reactions", "message_id emoji user_id", _reactions(archive, ids))
    await driver.execute("VACUUM (ANALYZE)", timeout=MAY_TAKE)


async def _copy_rows(driver: Any, table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
    while records := list(islice(rows, COPIED_AT_ONCE)):
        await driver.copy_records_to_table(table, records=records, columns=columns.split(), timeout=MAY_TAKE)


def _chats(archive: Archive) -> Iterator[tuple[Any, ...]]:
    owner = archive.authors[0].id
    for room in (archive.large, *archive.others):
        yield room.id, "group", f"{len(room.numbers):,} messages", room.seq, len(room.numbers), owner


def _members(archive: Archive) -> Iterator[tuple[Any, ...]]:
    for room in (archive.large, *archive.others):
        for guest in archive.authors:
            yield room.id, guest.id, 1, room.seq, len(room.numbers)
        read = len(room.numbers) - room.unread
        yield room.id, archive.reader.id, 1, room.seqs[read - 1] if read else 1, read


def _messages(archive: Archive, ids: dict[int, UUID]) -> Iterator[tuple[Any, ...]]:
    """Make the rows of all messages in the order in which they were written.

    :param ids: where to note those of messages that have reactions.
    """
    versions = {number: version for version, number in archive.changes.items()}
    rooms = [archive.large, *archive.others]
    places = {number: (room, place) for room in rooms for place, number in enumerate(room.numbers)}
    for number in range(len(places)):
        (room, place), body = places[number], archive.text(number)
        at, id_ = archive.time(number), models.new_id()
        if archive.is_reacted_to(number):
            ids[number] = id_
        yield (
            id_,
            room.id,
            room.seqs[place],
            versions.get(number, room.seqs[place]),
            1 + place,
            archive.authors[number * 7 % AUTHORS].id,
            secrets.token_hex(16),
            body,
            None if body is None else markdown.render(body),
            at,
            at + STEP if archive.is_edited(number) else None,
            at + STEP if archive.is_deleted(number) else None,
        )


def _reactions(archive: Archive, ids: dict[int, UUID]) -> Iterator[tuple[Any, ...]]:
    for number, message_id in ids.items():
        for guest in archive.authors[: 1 + number % 4]:
            yield message_id, "👍", guest.id
