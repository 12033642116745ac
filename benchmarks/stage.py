"""What is in Parley before a measurement begins: people, their sessions, their chats, and a page of messages.

It is written with the models into the data folder while Parley does not run: signing up a thousand people through the
door would take minutes, because passwords are made slow to check.
"""

import asyncio
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

import models
from migrations.run import migrate
from models.engine import create_engine
from services import markdown
from services.embedded_postgres import EmbeddedPostgres
from services.sessions import Tokens

PAGE = 50
"""Messages in the chat of the page that is measured."""

TEXTS = (
    "Good morning! Did the deploy go through?",
    "Yes, at **08:40**, and it looks fine so far.",
    "The numbers are in `docs/performance.md`, see https://example.org/report for the long version.",
    "Three things are left:\n\n- the cache\n- the second node\n- telling everybody",
    "ok",
    "```python\ndef answer() -> int:\n    return 42\n```",
    (
        "Could somebody who knows the import job have a look at this? It has been slow since Tuesday, and I am not "
        "sure whether the new index helps or whether we only measure a warm cache."
    ),
)


@dataclass(frozen=True, slots=True)
class Guest:
    """Someone who is signed in."""

    id: UUID
    token: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The people and chats of a data folder.

    :param secret: what the server has to sign with. :param crowd: members of ``room``, all of them; those in
        ``corner`` come first. :param loners: each alone in the chat of the same place in ``cells``.
    :param reader: who opens the page of the chat ``page``.
    """

    secret: str
    crowd: list[Guest]
    room: UUID
    corner: UUID
    loners: list[Guest]
    cells: list[UUID]
    reader: Guest
    page: UUID


async def set_up(data: Path, *, crowd: int, corner: int, loners: int) -> Stage:
    """Fill a new data folder.

    :param data: where Parley will keep its data. :param crowd: people in the large chat. :param corner: how many of
        them are in the smaller one too. :param loners: people who have a chat of their own.
    """
    postgres = EmbeddedPostgres(data)
    url = await postgres.start()
    try:
        return await fill(url, crowd=crowd, corner=corner, loners=loners)
    finally:
        await postgres.stop()


async def fill(url: str, *, crowd: int, corner: int, loners: int) -> Stage:
    """Fill an empty database; see :func:`set_up`.

    :param url: a ``postgresql+asyncpg`` URL.
    """
    secret = secrets.token_urlsafe(32)
    await migrate(url)
    engine = create_engine(url, pool_size=1, timeout=60.0)
    async with engine.begin() as connection:
        guests = await sign_in(connection, Tokens(secret), crowd + loners + 1)
        people, alone, reader = guests[:crowd], guests[crowd:-1], guests[-1]
        stage = Stage(
            secret=secret,
            crowd=people,
            room=await group(connection, people),
            corner=await group(connection, people[:corner]),
            loners=alone,
            cells=[await group(connection, [guest]) for guest in alone],
            reader=reader,
            page=await group(connection, [reader, *alone[:6]], messages=PAGE),
        )
    await engine.dispose()
    return stage


def prepare(data: Path, **sizes: int) -> Stage:
    """Do the same from code that does not run in an event loop."""
    return asyncio.run(set_up(data, **sizes))


async def sign_in(connection: AsyncConnection, tokens: Tokens, count: int) -> list[Guest]:
    """Write people who are signed in; the first is the administrator."""
    users: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    guests = []
    expires_at = datetime.now(UTC) + timedelta(hours=7)
    for number in range(count):
        token, secret_hash = tokens.issue()
        guest = Guest(models.new_id(), token)
        guests.append(guest)
        name = f"guest-{number}"
        users.append(
            {"id": guest.id, "username": name, "display_name": name, "password_hash": "", "is_admin": number == 0}
        )
        sessions.append(
            {
                "id": models.new_id(),
                "user_id": guest.id,
                "secret_hash": secret_hash,
                "expires_at": expires_at,
                "device": "benchmark",
                "address": "127.0.0.1",
            }
        )
    await connection.execute(insert(models.User), users)
    await connection.execute(insert(models.Session), sessions)
    return guests


async def group(connection: AsyncConnection, people: list[Guest], messages: int = 0) -> UUID:
    """Make a group owned by the first of these people, with some messages of theirs."""
    chat_id = models.new_id()
    seq = 1 + messages
    chat = {
        "id": chat_id,
        "kind": "group",
        "title": f"{len(people)} people",
        "seq": seq,
        "message_count": messages,
        "owner_id": people[0].id,
    }
    await connection.execute(insert(models.Chat), [chat])
    members = [
        {"chat_id": chat_id, "user_id": guest.id, "version": 1, "read_seq": seq, "read_ordinal": messages}
        for guest in people
    ]
    await connection.execute(insert(models.Member), members)
    if messages:
        await connection.execute(insert(models.Message), list(_messages(chat_id, people, messages)))
    return chat_id


def _messages(chat_id: UUID, people: Iterable[Guest], count: int) -> Iterator[dict[str, Any]]:
    begun = datetime.now(UTC) - timedelta(minutes=3 * count)
    for number, guest, text in zip(range(count), cycle(people), cycle(TEXTS), strict=False):
        yield {
            "id": models.new_id(),
            "chat_id": chat_id,
            "seq": 2 + number,
            "version": 2 + number,
            "ordinal": 1 + number,
            "author_id": guest.id,
            "nonce": None,
            "body": text,
            "html": markdown.render(text),
            "created_at": begun + timedelta(minutes=3 * number),
        }
