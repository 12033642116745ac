"""Full-text search over what the caller may read.

PostgreSQL's index gives all matches of a word before the first one: half a million of them for a word that stands in
every other of a million messages. So the newest messages are looked through first, which finds a page of any frequent
word; only when they do not hold one does the index find it, among matches that are few then.
"""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from asyncpg import Record
from sqlalchemy import Uuid, bindparam, select

import models
from models.prepared import Prepared
from services import describe, views
from services.errors import ValidationFailed
from services.gate import enter_to_look
from services.messages import LARGEST_SEQ, check_limit
from services.search_statement import BY_NUMBER, BY_TIME, CREATED_AT, SNIPPET, Statements
from services.texts import clean_line
from services.transaction import Transaction

LOOKED_THROUGH = 10_000
"""Newest messages that are looked through where a glance at the text rules most of them out, in 0.4 µs each."""

TAKEN_APART = 1_000
"""The same where PostgreSQL has to take each apart into words, which takes 5 µs for a short one."""

LONGEST_MOMENT = 1_000
"""Hits of one time on a page; no more messages than that are committed together."""

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[A-Za-z]+")
_AMBIGUOUS = str.maketrans("ik", "__")
_LATEST = datetime.max.replace(tzinfo=UTC)


async def search(
    tx: Transaction,
    *,
    actor: UUID,
    query: str,
    chat_id: UUID | None = None,
    before: datetime | int | None = None,
    limit: int = 50,
) -> tuple[list[views.Hit], bool]:
    """Find messages that contain words beginning with all the words given, newest first.

    Who goes on from a time misses those of the same time, as messages have that were committed together. So a page by
    time ends before a moment that it cannot hold, and exceeds the limit only where that moment alone does.

    :param tx: a snapshot. :param query: 1 to 200 characters after trimming. :param chat_id: only in this chat.
    :param before: only older messages: a time, or with ``chat_id`` a ``seq``. :param limit: 1 to 100.
    :return: the hits, and whether older ones follow.
    :raises ParleyError: an argument is outside its limits, or not a member of ``chat_id``.
    """
    check_limit(tx, limit)
    line = clean_line("q", query, longest=tx.settings.max_search_length)
    if chat_id is not None:
        await enter_to_look(tx, actor=actor, chat_id=chat_id)
    if isinstance(before, int) and chat_id is None:
        raise ValidationFailed("before", "a number needs a chat_id; without one, give a time")
    wanted, patterns = _tsquery(line), _patterns(line)
    if not wanted:
        return [], False
    await tx.driver.plan_anew()
    if chat_id is None or isinstance(before, datetime):
        chat_ids = await _own_chats(tx, actor) if chat_id is None else [chat_id]
        rows, more = await _page_by_time(tx, patterns, limit, (wanted, chat_ids, before or _LATEST))
    else:
        asked = wanted, chat_id, LARGEST_SEQ if before is None else before
        rows = await _find(tx, BY_NUMBER, patterns, limit + 1, asked)
        rows, more = rows[:limit], len(rows) > limit
    described = await describe.read_messages(tx, [row[:SNIPPET] for row in rows], actor=actor)
    hits = [views.extended(views.Hit, seen, snippet=row[SNIPPET]) for seen, row in zip(described, rows, strict=True)]
    return hits, more


async def _own_chats(tx: Transaction, actor: UUID) -> list[UUID]:
    return [chat_id for (chat_id,) in await tx.driver.fetch(_OWN, actor=actor)]


_OWN = Prepared(
    select(models.Member.chat_id).where(
        models.Member.user_id == bindparam("actor", type_=Uuid()), models.Member.left_at.is_(None)
    )
)


async def _page_by_time(
    tx: Transaction, patterns: list[str], limit: int, asked: tuple[Any, ...]
) -> tuple[list[Record], bool]:
    rows = await _find(tx, BY_TIME, patterns, limit + 1, asked)
    if len(rows) <= limit:
        return rows, False
    moment = rows[limit][CREATED_AT]
    earlier = [row for row in rows if row[CREATED_AT] != moment]
    return earlier or await tx.driver.ask(BY_TIME.moment, *asked, moment, LONGEST_MOMENT), True


async def _find(
    tx: Transaction, statements: Statements, patterns: list[str], limit: int, asked: tuple[Any, ...]
) -> list[Record]:
    depth = LOOKED_THROUGH if patterns else TAKEN_APART
    rows = await tx.driver.ask(statements.newest, *asked, limit, patterns, depth)
    return rows if len(rows) == limit else await tx.driver.ask(statements.indexed, *asked, limit)


def _patterns(query: str) -> list[str]:
    """Make patterns for `LIKE` that any text matches, in lower case, which has words beginning with those of a query.

    Only of words that are letters of ASCII: PostgreSQL's parser keeps them whole. Two letters may come of another
    character, the dotted capital I and the sign of the Kelvin, so any character may stand in their place.
    """
    return [f"%{part.lower().translate(_AMBIGUOUS)}%" for part in query.split() if _LETTERS.fullmatch(part)]


def _tsquery(query: str) -> str:
    """Ask for all that stands between spaces, as it was written or word by word.

    PostgreSQL's parser takes an address, a path or a number as one lexeme, which its words alone would not find
    (PostgreSQL's documentation, 12.5 Parsers).
    """
    parts = []
    for part in query.split():
        words = _WORD.findall(part)
        separate = " & ".join(f"'{word}':*" for word in words)
        if words == [part]:
            parts.append(separate)
        elif words:
            quoted = part.replace("\\", "\\\\").replace("'", "''")
            parts.append(f"('{quoted}':* | ({separate}))")
    return " & ".join(parts)
