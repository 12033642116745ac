"""The one gate to a chat: nobody reads or changes one without passing it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select

import models
from models.prepared import Prepared
from services.errors import ChatClosed, Forbidden, NotFound
from services.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """A chat that someone may enter, and their membership of it."""

    chat: models.Chat
    member: models.Member


async def enter(tx: Transaction, *, actor: UUID, chat_id: UUID) -> Entry:
    """Let a member in to read.

    :raises NotFound: there is no such chat, or the actor is not in it.
    """
    return await _admit(tx, actor, chat_id, lock=False)


async def enter_to_look(tx: Transaction, *, actor: UUID, chat_id: UUID) -> int:
    """Let a member in who needs no more of the chat than its number.

    :return: the chat's ``seq``. :raises NotFound: there is no such chat, or the actor is not in it.
    """
    for (seq,) in await tx.driver.fetch(_LOOK, actor=actor, chat_id=chat_id):
        return int(seq)
    raise NotFound("There is no such chat.")


async def enter_to_change(tx: Transaction, *, actor: UUID, chat_id: UUID) -> Entry:
    """Let a member in to change something: the chat and the membership stay as they are until the commit.

    Both rows are locked by the one statement, so that PostgreSQL checks the newest version of both when it had to
    wait (its documentation, 13.2.1 Read Committed): a membership that ended meanwhile does not pass.

    :raises NotFound: there is no such chat, or the actor is not in it.
    """
    return await _admit(tx, actor, chat_id, lock=True)


async def enter_to_write(tx: Transaction, *, actor: UUID, chat_id: UUID) -> Entry:
    """Let a member in to change something of an open chat.

    :raises NotFound: there is no such chat, or the actor is not in it. :raises ChatClosed: it is closed.
    """
    entry = await enter_to_change(tx, actor=actor, chat_id=chat_id)
    refuse_closed(entry.chat)
    return entry


async def enter_as_owner(tx: Transaction, *, actor: UUID, chat_id: UUID) -> Entry:
    """Let the owner of a group in to change it.

    :raises NotFound: the actor is not in it. :raises Forbidden: it is private, or the actor does not own it.
    """
    entry = await enter_to_change(tx, actor=actor, chat_id=chat_id)
    if entry.chat.kind == "private":
        raise Forbidden("A private chat cannot be changed.")
    if entry.chat.owner_id != actor:
        raise Forbidden("Only the owner of the chat may do this.")
    return entry


def refuse_closed(chat: models.Chat) -> None:
    """Let only an open chat pass; the chat must be locked.

    :raises ChatClosed: it is closed.
    """
    if chat.closed_at is not None:
        raise ChatClosed


def next_seq(chat: models.Chat) -> int:
    """Take the chat's next number; the chat must be locked."""
    chat.seq += 1
    return chat.seq


_ADMISSION = (
    select(models.Chat, models.Member)
    .join(models.Member, models.Member.chat_id == models.Chat.id)
    .where(
        models.Chat.id == bindparam("chat_id", type_=Uuid()),
        models.Member.user_id == bindparam("actor", type_=Uuid()),
        models.Member.left_at.is_(None),
    )
)
_LOOK = Prepared(_ADMISSION.with_only_columns(models.Chat.seq))
_LOCKED = _ADMISSION.with_for_update(key_share=True).execution_options(populate_existing=True)


async def _admit(tx: Transaction, actor: UUID, chat_id: UUID, *, lock: bool) -> Entry:
    query = _LOCKED if lock else _ADMISSION
    row = (await tx.session.execute(query, {"actor": actor, "chat_id": chat_id})).one_or_none()
    if row is None:
        raise NotFound("There is no such chat.")
    return Entry(row[0], row[1])
