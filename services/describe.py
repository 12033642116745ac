"""From rows to what the outside sees of them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Select, Uuid, any_, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

import models
from models.prepared import Prepared
from services import views
from services.transaction import Transaction

REACTING_IDS_SHOWN = 100
"""User ids named per emoji and message; the count tells of all."""


def user(row: models.User) -> views.User:
    """Describe a person to anyone."""
    return views.User(row.id, row.username, row.display_name, row.created_at)


def own_user(row: models.User) -> views.OwnUser:
    """Describe a person to themselves."""
    active = row.deactivated_at is None
    return views.OwnUser(row.id, row.username, row.display_name, row.created_at, row.is_admin, active)


def chat(row: models.Chat) -> views.Chat:
    """Describe a chat to all its members."""
    return views.Chat(
        id=row.id,
        kind="private" if row.kind == "private" else "group",
        title=row.title,
        seq=row.seq,
        owner_id=row.owner_id,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )


def member(row: models.Member, person: models.User, owner_id: UUID | None) -> views.Member:
    """Describe a membership."""
    return views.Member(
        user=user(person),
        role="owner" if person.id == owner_id else "member",
        joined_at=row.joined_at,
        version=row.version,
        left_at=row.left_at,
    )


def message_columns(row: Any = models.Message) -> list[Any]:
    """List what a query reads of messages for :func:`read_messages`, in the order of the view's fields.

    :param row: the model, or an alias of it.
    """
    own = ("id", "chat_id", "seq", "version", "author_id", "body", "html", "nonce", "reply_to", "created_at")
    return [*(getattr(row, name) for name in own), row.edited_at, row.deleted_at.is_not(None).label("deleted")]


def chat_columns() -> list[Any]:
    """List what a query reads of chats, in the order of the view's fields."""
    row = models.Chat
    return [row.id, row.kind, row.title, row.seq, row.owner_id, row.created_at, row.closed_at]


def user_columns(row: Any = models.User) -> list[Any]:
    """List what a query reads of people, in the order of the view's fields."""
    return [row.id, row.username, row.display_name, row.created_at]


def message(row: models.Message, reactions: dict[str, views.Reactions] | None = None) -> views.Message:
    """Describe a message."""
    return views.Message(
        id=row.id,
        chat_id=row.chat_id,
        seq=row.seq,
        version=row.version,
        author_id=row.author_id,
        body=row.body,
        html=row.html,
        nonce=row.nonce,
        reply_to=row.reply_to,
        created_at=row.created_at,
        edited_at=row.edited_at,
        deleted=row.deleted_at is not None,
        reactions=reactions or {},
    )


async def users(tx: Transaction, ids: Iterable[UUID]) -> list[views.User]:
    """Describe the people with these ids."""
    wanted = list(set(ids))
    return [views.User(*row) for row in await tx.driver.fetch(_USERS, ids=wanted)] if wanted else []


_USERS = Prepared(select(*user_columns()).where(models.User.id == any_(bindparam("ids", type_=ARRAY(Uuid())))))


async def messages(
    tx: Transaction, rows: Sequence[models.Message], *, actor: UUID | None = None
) -> list[views.Message]:
    """Describe messages with their reactions, in the order given.

    :param actor: who asks; their own id stands first among those who reacted.
    """
    found = await reactions(tx, [row.id for row in rows], actor=actor)
    return [message(row, found.get(row.id)) for row in rows]


async def read_messages(
    tx: Transaction, rows: Sequence[Sequence[Any]], *, actor: UUID | None = None
) -> list[views.Message]:
    """Describe messages of which a query read the :func:`message_columns`; see :func:`messages`."""
    found = await reactions(tx, [row[0] for row in rows], actor=actor)
    return [views.Message(*(*row, found.get(row[0], {}))) for row in rows]


async def message_for(tx: Transaction, row: models.Message, *, actor: UUID | None = None) -> views.Message:
    """Describe one message with its reactions; see :func:`messages`."""
    (described,) = await messages(tx, [row], actor=actor)
    return described


async def reactions(
    tx: Transaction, message_ids: Sequence[UUID], *, actor: UUID | None = None
) -> dict[UUID, dict[str, views.Reactions]]:
    """Describe the reactions to each message, the emoji used first first."""
    if not message_ids:
        return {}
    rows = await tx.driver.fetch(_REACTIONS, message_ids=message_ids, actor=actor)
    return reactions_by_message(rows, actor=actor)


def reactions_by_message(
    rows: Iterable[Sequence[Any]], *, actor: UUID | None
) -> dict[UUID, dict[str, views.Reactions]]:
    """Describe reactions as they are read for many messages.

    :param rows: the message's id, the emoji, how many reacted, the ids to show, whether one's own is among all.
    :param actor: who asks; their own id stands first among those who reacted.
    """
    found: dict[UUID, dict[str, views.Reactions]] = {}
    for message_id, emoji, count, ids, own in rows:
        shown = _own_first(ids, actor) if own and actor else ids
        found.setdefault(message_id, {})[emoji] = views.Reactions(count, shown)
    return found


def _reactions() -> Select[Any]:
    reaction = models.Reaction
    return (
        select(
            reaction.message_id,
            reaction.emoji,
            func.count(),
            func.trim_array(
                func.array_agg(aggregate_order_by(reaction.user_id, reaction.created_at)),
                cast(func.greatest(func.count() - REACTING_IDS_SHOWN, 0), Integer),
            ),
            func.coalesce(func.bool_or(reaction.user_id == bindparam("actor", type_=Uuid())), False),
        )
        .where(reaction.message_id == any_(bindparam("message_ids", type_=ARRAY(Uuid()))))
        .group_by(reaction.message_id, reaction.emoji)
        .order_by(func.min(reaction.created_at), reaction.emoji)
    )


_REACTIONS = Prepared(_reactions())


def _own_first(ids: Sequence[UUID], own: UUID) -> list[UUID]:
    """Put one's own id first, keeping at most as many as are shown."""
    return [own, *(other for other in ids if other != own)][:REACTING_IDS_SHOWN]
