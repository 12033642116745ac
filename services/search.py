"""Full-text search over what the caller may read."""

import re
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text

import models
from services import describe, views
from services.errors import ValidationFailed
from services.gate import enter
from services.messages import check_limit
from services.texts import clean_line
from services.transaction import Transaction

_WORD = re.compile(r"\w+")


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

    :param query: 1 to 200 characters after trimming. :param chat_id: only in this chat.
    :param before: only older messages: a time, or with ``chat_id`` a ``seq``. :param limit: 1 to 100.
    :return: the hits, and whether older ones follow.
    :raises ParleyError: an argument is outside its limits, or not a member of ``chat_id``.
    """
    check_limit(tx, limit)
    wanted_text = _tsquery(clean_line("q", query, longest=tx.settings.max_search_length))
    if chat_id is not None:
        await enter(tx, actor=actor, chat_id=chat_id)
    if isinstance(before, int) and chat_id is None:
        raise ValidationFailed("before", "a number needs a chat_id; without one, give a time")
    if not wanted_text:
        return [], False
    message, member = models.Message, models.Member
    wanted = func.to_tsquery(text("'simple'"), wanted_text)
    headline = func.ts_headline(
        text("'simple'"), message.body, wanted, text('\'StartSel="", StopSel="", MaxWords=30, MinWords=12\'')
    )
    found = (
        select(message, headline)
        .join(member, (member.chat_id == message.chat_id) & (member.user_id == actor) & member.left_at.is_(None))
        .where(func.to_tsvector(text("'simple'"), message.body).op("@@")(wanted))
        .order_by(message.created_at.desc(), message.seq.desc())
        .limit(limit + 1)
    )
    if chat_id is not None:
        found = found.where(message.chat_id == chat_id)
    if before is not None:
        found = found.where(message.seq < before if isinstance(before, int) else message.created_at < before)
    rows = (await tx.session.execute(found)).all()
    described = await describe.messages(tx, [row[0] for row in rows[:limit]], actor=actor)
    hits = [views.extended(views.Hit, seen, snippet=row[1]) for seen, row in zip(described, rows, strict=False)]
    return hits, len(rows) > limit


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
