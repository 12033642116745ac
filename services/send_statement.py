"""The one statement that writes many messages: it checks, numbers, inserts and moves the senders' marks.

It goes to asyncpg directly: on this one path SQLAlchemy's layers would cost more than all the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from asyncpg import Connection

from models import new_id
from services.errors import ParleyError


class Verdict(StrEnum):
    """What became of a draft."""

    SENT = "sent"
    KNOWN = "known"
    """The nonce exists, and with it a message."""
    CLOSED = "closed"
    REFUSED = "refused"
    """The draft came without a text; it would have been written otherwise."""
    STRAY = "stray"
    """``reply_to`` names no message of the chat."""
    STRANGER = "stranger"
    BUSY = "busy"
    """Someone else holds the chat or the membership; only without waiting."""


_VERDICTS = {verdict.value: verdict for verdict in Verdict}


@dataclass(slots=True)
class Draft:
    """A message that is to be written.

    :param text: None where it may not be written, for which ``refusal`` gives the reason: whether its nonce is known
        is to be looked up all the same.
    """

    actor: UUID
    chat_id: UUID
    nonce: str | None
    reply_to: UUID | None
    text: str | None
    html: str | None
    refusal: ParleyError | None = None
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one draft, in the order in which they were given.

    :param known_id: the message of a known nonce. :param seq: the number of the message written.
    """

    verdict: Verdict
    known_id: UUID | None
    seq: int | None


PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
}
"""Settings of PostgreSQL for connections that :func:`write`: planning the statement takes longer than running it, and
each of its look-ups is one in an index for one key, whatever the statistics said when it was planned."""

_STATEMENT = """
WITH asked AS MATERIALIZED (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[])
        WITH ORDINALITY AS draft (id, chat_id, author_id, nonce, reply_to, body, html, place)
), entered AS MATERIALIZED (
    SELECT pair.chat_id, pair.author_id AS user_id, member.left_at, chat.seq, chat.message_count, chat.closed_at
    FROM (SELECT DISTINCT chat_id, author_id FROM asked ORDER BY chat_id, author_id) AS pair
    CROSS JOIN LATERAL (
        SELECT seq, message_count, closed_at FROM chats WHERE id = pair.chat_id FOR NO KEY UPDATE {waiting}
    ) AS chat
    CROSS JOIN LATERAL (
        SELECT left_at FROM members WHERE chat_id = pair.chat_id AND user_id = pair.author_id
        FOR NO KEY UPDATE {waiting}
    ) AS member
), judged AS MATERIALIZED (
    SELECT
        asked.*,
        entered.seq,
        entered.message_count,
        known.id AS known_id,
        CASE
            WHEN entered.user_id IS NULL AND member.user_id IS NOT NULL AND member.left_at IS NULL THEN '{held}'
            WHEN entered.user_id IS NULL OR entered.left_at IS NOT NULL THEN 'stranger'
            WHEN known.id IS NOT NULL THEN 'known'
            WHEN entered.closed_at IS NOT NULL THEN 'closed'
            WHEN asked.body IS NULL THEN 'refused'
            WHEN asked.reply_to IS NOT NULL AND replied.id IS NULL THEN 'stray'
            ELSE 'sent'
        END AS verdict
    FROM asked
    LEFT JOIN entered ON entered.chat_id = asked.chat_id AND entered.user_id = asked.author_id
    LEFT JOIN members AS member
        ON member.chat_id = asked.chat_id AND member.user_id = asked.author_id AND entered.user_id IS NULL
    LEFT JOIN messages AS known
        ON known.chat_id = asked.chat_id AND known.author_id = asked.author_id AND known.nonce = asked.nonce
    LEFT JOIN messages AS replied ON replied.id = asked.reply_to AND replied.chat_id = asked.chat_id
), numbered AS MATERIALIZED (
    SELECT
        *,
        seq + row_number() OVER together AS new_seq,
        message_count + row_number() OVER together AS new_ordinal
    FROM judged
    WINDOW together AS (PARTITION BY chat_id, verdict ORDER BY place)
), sent AS MATERIALIZED (
    SELECT * FROM numbered WHERE verdict = 'sent'
), written AS (
    INSERT INTO messages (id, chat_id, seq, version, ordinal, author_id, nonce, body, html, reply_to, created_at)
    SELECT id, chat_id, new_seq, new_seq, new_ordinal, author_id, nonce, body, html, reply_to, $8 FROM sent
), counted AS (
    UPDATE chats AS chat
    SET seq = newest.seq, message_count = newest.ordinal
    FROM (SELECT chat_id, max(new_seq) AS seq, max(new_ordinal) AS ordinal FROM sent GROUP BY chat_id) AS newest
    WHERE chat.id = newest.chat_id
), marked AS (
    UPDATE members AS member
    SET read_seq = own.seq, read_ordinal = own.ordinal
    FROM (
        SELECT chat_id, author_id, max(new_seq) AS seq, max(new_ordinal) AS ordinal
        FROM sent
        GROUP BY chat_id, author_id
    ) AS own
    WHERE member.chat_id = own.chat_id AND member.user_id = own.author_id
)
SELECT verdict, known_id, CASE WHEN verdict = 'sent' THEN new_seq END AS seq
FROM numbered
ORDER BY place
"""

_AT_ONCE = _STATEMENT.format(waiting="SKIP LOCKED", held=Verdict.BUSY)
# Who was a member before the wait and is not let in after it has been removed meanwhile.
_PATIENT = _STATEMENT.format(waiting="", held=Verdict.STRANGER)


async def write(
    connection: Connection, drafts: Sequence[Draft], *, created_at: datetime, patient: bool
) -> list[Outcome]:
    """Write drafts in their order and commit; either all that are allowed are written, or none.

    Chat and membership are locked, so that PostgreSQL reads the newest version of both when it had to wait (its
    documentation, 13.2.1 Read Committed): a membership that ended meanwhile does not pass.

    :param connection: outside of any transaction.
    :param drafts: no two of them with the same chat, author and nonce.
    :param patient: wait for what others hold; all drafts must then be for one chat, so that nobody waits in a circle.
        Otherwise drafts for chats that are held come back as busy.
    :return: one outcome a draft.
    :raises asyncpg.UniqueViolationError: a nonce has become known meanwhile; a second attempt finds it.
    :raises asyncpg.PostgresError, OSError, TimeoutError: the database refused or did not answer.
    """
    rows = await connection.fetch(
        _PATIENT if patient else _AT_ONCE,
        [draft.id for draft in drafts],
        [draft.chat_id for draft in drafts],
        [draft.actor for draft in drafts],
        [draft.nonce for draft in drafts],
        [draft.reply_to for draft in drafts],
        [draft.text for draft in drafts],
        [draft.html for draft in drafts],
        created_at,
    )
    return [Outcome(_VERDICTS[verdict], known_id, seq) for verdict, known_id, seq in rows]


async def wait_for_chat(connection: Connection, chat_id: UUID) -> None:
    """Return once nobody holds a chat, which somebody may again a moment later.

    :param connection: outside of any transaction.
    :raises asyncpg.PostgresError, OSError, TimeoutError: the database did not answer, or the wait took too long.
    """
    await connection.execute("SELECT FROM chats WHERE id = $1 FOR NO KEY UPDATE", chat_id)
