"""The two statements that greet a connection: they find its person's chats, and all that its ``hello`` tells.

They go to asyncpg directly, see :mod:`services.single_reads`: through SQLAlchemy's layers a ``hello`` took seven
statements and several times the processor time.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services import chats, describe, views
from services.members import MOST_FELLOWS
from services.single_reads import SingleReads

CHAT_IDS = "SELECT chat_id FROM members WHERE user_id = $1 AND left_at IS NULL"

# A chat is found by one's membership, its newest message by the chat's numbers, everybody else by the chats.
HELLO = """
WITH own AS MATERIALIZED (
    SELECT
        chat.*,
        member.read_seq,
        member.read_ordinal,
        CASE WHEN chat.low_user_id = $1 THEN chat.high_user_id ELSE chat.low_user_id END AS peer_id
    FROM members AS member
    JOIN chats AS chat ON chat.id = member.chat_id
    WHERE member.user_id = $1 AND member.left_at IS NULL
), last AS MATERIALIZED (
    SELECT message.*
    FROM own
    CROSS JOIN LATERAL (SELECT * FROM messages WHERE chat_id = own.id ORDER BY seq DESC LIMIT 1) AS message
), fellow AS MATERIALIZED (
    SELECT other.user_id
    FROM own
    JOIN members AS other ON other.chat_id = own.id
    WHERE other.user_id <> $1 AND other.left_at IS NULL
    LIMIT $3
)
SELECT
    (
        SELECT array_agg(ROW(
            id, kind, title, seq, owner_id, created_at, closed_at, read_seq, message_count - read_ordinal, peer_id
        ))
        FROM own
    ),
    (
        SELECT array_agg(ROW(
            id, chat_id, seq, version, author_id, body, html, nonce, reply_to, created_at, edited_at,
            deleted_at IS NOT NULL
        ))
        FROM last
    ),
    (
        SELECT array_agg(ROW(message_id, emoji, number, ids, own) ORDER BY begun_at, emoji)
        FROM (
            SELECT
                reaction.message_id,
                reaction.emoji,
                count(*) AS number,
                trim_array(
                    array_agg(reaction.user_id ORDER BY reaction.created_at),
                    greatest(count(*) - $4, 0)::int
                ) AS ids,
                bool_or(reaction.user_id = $1) AS own,
                min(reaction.created_at) AS begun_at
            FROM last
            JOIN reactions AS reaction ON reaction.message_id = last.id
            GROUP BY reaction.message_id, reaction.emoji
        ) AS reacted
    ),
    (
        SELECT array_agg(ROW(person.id, username, display_name, created_at, is_admin, deactivated_at IS NULL))
        FROM (
            SELECT $1::uuid AS id
            UNION SELECT user_id FROM fellow
            UNION SELECT owner_id FROM own
            UNION SELECT peer_id FROM own
            UNION SELECT author_id FROM last
        ) AS named
        JOIN users AS person ON person.id = named.id
    ),
    (
        SELECT array_agg(DISTINCT other.user_id)
        FROM own
        JOIN members AS other ON other.chat_id = own.id AND other.user_id = ANY($2::uuid[])
        WHERE other.left_at IS NULL
    )
"""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is told to a new connection, as of one moment.

    :param user: whose it is. :param chats: theirs. :param users: the people whom these refer to, and others in them.
    :param fellows: those of the people asked about who share a chat with them.
    """

    user: views.OwnUser
    chats: list[views.MyChat]
    users: list[views.User]
    fellows: list[UUID]


async def chat_ids(reads: SingleReads, *, user_id: UUID) -> list[UUID]:
    """Return the ids of a person's chats.

    :raises Unavailable: the database cannot be reached or does not answer in time.
    """
    return [row[0] for row in await reads.fetch(CHAT_IDS, user_id)]


async def greeting(reads: SingleReads, *, user_id: UUID, among: Collection[UUID]) -> Greeting:
    """Read what is told to a new connection of a person.

    :param among: people of whom it is asked whether they share a chat with this one.
    :raises Unavailable: the database cannot be reached or does not answer in time.
    """
    ((own, last, reacted, people, fellows),) = await reads.fetch(
        HELLO, user_id, list(among), MOST_FELLOWS, describe.REACTING_IDS_SHOWN
    )
    users = {row[0]: views.User(*row[:4]) for row in people}
    user = next(views.OwnUser(*row) for row in people if row[0] == user_id)
    reactions = describe.reactions_by_message(reacted or (), actor=user_id)
    messages = {row[1]: views.Message(*(*row, reactions.get(row[0], {}))) for row in last or ()}
    found = [_chat(row, messages.get(row[0]), users) for row in own or ()]
    referred = {message.author_id for message in messages.values()} | {chat.owner_id for chat in found}
    if user_id not in referred:
        del users[user_id]
    return Greeting(user, chats.newest_first(found), list(users.values()), fellows or [])


def _chat(row: Any, last: views.Message | None, users: dict[UUID, views.User]) -> views.MyChat:
    *told, peer_id = row
    return views.MyChat(*(*told, last, users.get(peer_id)))
