"""Chats: making, listing, renaming, handing over, closing and reopening them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Select, Uuid, bindparam, column, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

import models
from models.prepared import Prepared
from services import describe, events, views
from services.errors import NotFound, ValidationFailed
from services.gate import enter_as_owner, next_seq, refuse_closed
from services.members import find as find_member
from services.members import member_key, refuse_deactivated
from services.texts import clean_line
from services.transaction import Transaction


async def create(
    tx: Transaction, *, actor: UUID, kind: views.ChatKind, title: str | None, member_ids: Sequence[UUID]
) -> tuple[views.MyChat, bool]:
    """Start a chat.

    :param title: 1 to 80 characters after trimming for a group, none for a private chat.
    :param member_ids: the others; exactly one for a private chat.
    :return: the chat, and whether it is new (a pair has one private chat for ever).
    :raises ValidationFailed: a field is outside its limits, or names someone who does not exist or is not active.
    """
    others = list(dict.fromkeys(user_id for user_id in member_ids if user_id != actor))
    people = await _people(tx, actor, others)
    if kind == "private":
        if title is not None and title.strip():
            raise ValidationFailed("title", "a private chat has no title")
        if len(others) != 1:
            raise ValidationFailed("member_ids", "a private chat has exactly one other member")
        return await _create_private(tx, actor=actor, people=people)
    chat = models.Chat(
        id=models.new_id(),
        kind=kind,
        title=clean_line("title", title or "", longest=tx.settings.max_title_length),
        seq=1,
        owner_id=actor,
    )
    tx.session.add(chat)
    await tx.session.flush()
    return await _settle(tx, actor=actor, chat=chat, people=people), True


async def list_for(tx: Transaction, *, actor: UUID) -> list[views.MyChat]:
    """Return all chats of a person, the one with the newest message first."""
    return newest_first(await _described(tx, actor, None))


def newest_first(chats: list[views.MyChat]) -> list[views.MyChat]:
    """Return chats in the order in which they are shown: the one with the newest message first."""
    return sorted(chats, key=_last_active, reverse=True)


async def get(tx: Transaction, *, actor: UUID, chat_id: UUID) -> views.MyChat:
    """Return one chat.

    :raises NotFound: the actor is not a member.
    """
    for chat in await _described(tx, actor, chat_id):
        return chat
    raise NotFound("There is no such chat.")


async def rename(tx: Transaction, *, actor: UUID, chat_id: UUID, title: str) -> views.MyChat:
    """Give a group another title.

    :param title: 1 to 80 characters after trimming.
    :raises ParleyError: not a member, not the owner, closed, private, or the title is outside its limits.
    """
    chat = (await enter_as_owner(tx, actor=actor, chat_id=chat_id)).chat
    refuse_closed(chat)
    cleaned = clean_line("title", title, longest=tx.settings.max_title_length)
    if cleaned != chat.title:
        chat.title = cleaned
        await _changed(tx, chat)
    return await get(tx, actor=actor, chat_id=chat_id)


async def close(tx: Transaction, *, actor: UUID, chat_id: UUID) -> views.MyChat:
    """Close a group: it can be read, not written.

    :raises ParleyError: not a member, not the owner, private, or closed already.
    """
    chat = (await enter_as_owner(tx, actor=actor, chat_id=chat_id)).chat
    refuse_closed(chat)
    chat.closed_at = datetime.now(UTC)
    await _changed(tx, chat)
    return await get(tx, actor=actor, chat_id=chat_id)


async def reopen(tx: Transaction, *, actor: UUID, chat_id: UUID) -> views.MyChat:
    """Open a closed group again; changes nothing when it is open.

    :raises ParleyError: not a member, not the owner, or private.
    """
    chat = (await enter_as_owner(tx, actor=actor, chat_id=chat_id)).chat
    if chat.closed_at is not None:
        chat.closed_at = None
        await _changed(tx, chat)
    return await get(tx, actor=actor, chat_id=chat_id)


async def transfer(tx: Transaction, *, actor: UUID, chat_id: UUID, user_id: UUID) -> views.MyChat:
    """Make another member the owner of a group.

    :raises ParleyError: not a member, not the owner, closed, private, or ``user_id`` is no active member.
    """
    entry = await enter_as_owner(tx, actor=actor, chat_id=chat_id)
    refuse_closed(entry.chat)
    heir = await find_member(tx, chat_id=chat_id, user_id=user_id)
    if heir is None:
        raise ValidationFailed("user_id", "must be a member of the chat")
    refuse_deactivated("user_id", await tx.session.get_one(models.User, user_id))
    if user_id != actor:
        entry.chat.owner_id = user_id
        await _changed(tx, entry.chat)
        entry.member.version = heir.version = entry.chat.seq
    return await get(tx, actor=actor, chat_id=chat_id)


async def ids_of_each(tx: Transaction, *, user_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Return for each of these people the ids of their chats."""
    found: dict[UUID, list[UUID]] = {user_id: [] for user_id in user_ids}
    member = models.Member
    rows = await tx.session.execute(
        select(member.user_id, member.chat_id).where(models.among(member.user_id, user_ids), member.left_at.is_(None))
    )
    for user_id, chat_id in rows:
        found[user_id].append(chat_id)
    return found


async def moved(tx: Transaction, *, known: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return the current numbers of those chats whose number is higher than the known one."""
    rows = await tx.session.execute(_MOVED, {"ids": list(known), "seqs": list(known.values())})
    return dict(rows.all())


def _moved() -> Select[UUID, int]:
    known = (
        func.unnest(bindparam("ids", type_=ARRAY(Uuid())), bindparam("seqs", type_=ARRAY(BigInteger())))
        .table_valued(column("id", Uuid()), column("seq", BigInteger()))
        .render_derived("known")
    )
    chat = models.Chat
    return select(chat.id, chat.seq).join(known, known.c.id == chat.id).where(chat.seq > known.c.seq)


# Only what differs comes back: a node asks for all the chats of its people, and hardly any has moved unheard.
_MOVED = _moved()


async def _changed(tx: Transaction, chat: models.Chat) -> None:
    next_seq(chat)
    await tx.session.flush()
    tx.announce(events.chat_updated(describe.chat(chat)))


async def _people(tx: Transaction, actor: UUID, others: list[UUID]) -> list[models.User]:
    most = tx.settings.max_chat_members
    if len(others) + 1 > most:
        raise ValidationFailed("member_ids", f"a chat has at most {most} members")
    found = list(await tx.session.scalars(select(models.User).where(models.among(models.User.id, [actor, *others]))))
    if len(found) != len(others) + 1:
        raise ValidationFailed("member_ids", "names someone who does not exist")
    return found


async def _create_private(tx: Transaction, *, actor: UUID, people: list[models.User]) -> tuple[views.MyChat, bool]:
    low, high = sorted(person.id for person in people)
    pair = (models.Chat.low_user_id == low) & (models.Chat.high_user_id == high)
    created = await tx.session.scalar(
        insert(models.Chat)
        .values(id=models.new_id(), kind="private", seq=1, message_count=0, low_user_id=low, high_user_id=high)
        .on_conflict_do_nothing(constraint="uq_chats_pair")
        .returning(models.Chat)
    )
    if created is not None:
        return await _settle(tx, actor=actor, chat=created, people=people), True
    existing = (await tx.session.scalars(select(models.Chat).where(pair))).one()
    return await get(tx, actor=actor, chat_id=existing.id), False


async def _settle(tx: Transaction, *, actor: UUID, chat: models.Chat, people: list[models.User]) -> views.MyChat:
    refuse_deactivated("member_ids", *people)
    tx.session.add_all(
        models.Member(chat_id=chat.id, user_id=person.id, version=chat.seq, read_seq=chat.seq) for person in people
    )
    await tx.session.flush()
    tx.announce(events.chat_created(describe.chat(chat), [describe.user(person) for person in people]))
    tx.outdate(*(member_key(chat.id, person.id) for person in people))
    return await get(tx, actor=actor, chat_id=chat.id)


def _last_active(chat: views.MyChat) -> datetime:
    return chat.last_message.created_at if chat.last_message else chat.created_at


async def _described(tx: Transaction, actor: UUID, chat_id: UUID | None) -> list[views.MyChat]:
    rows = await tx.driver.fetch(_OWN_CHATS if chat_id is None else _OWN_CHAT, actor=actor, chat_id=chat_id)
    written = [row[_LAST] for row in rows if row[_LAST.start] is not None]
    last_messages = {message.chat_id: message for message in await describe.read_messages(tx, written, actor=actor)}
    return [_own_view(row, last_messages.get(row[0])) for row in rows]


_CHAT, _LAST, _PEER = slice(0, 9), slice(9, 21), slice(21, 25)
"""Where a row has the chat and what is one's own of it, its newest message, and the other person of a private one."""


def _own_view(row: Sequence[Any], last: views.Message | None) -> views.MyChat:
    peer = views.User(*row[_PEER]) if row[_PEER.start] else None
    return views.MyChat(*(*row[_CHAT], last, peer))


def _own_chats() -> Select[Any]:
    """Build the query for someone's chats: each with the membership, the newest message and the other person."""
    chat, member, peer, actor = models.Chat, models.Member, aliased(models.User), bindparam("actor", type_=Uuid())
    newest = (
        select(models.Message)
        .where(models.Message.chat_id == chat.id)
        .order_by(models.Message.seq.desc())
        .limit(1)
        .lateral()
    )
    last = aliased(models.Message, newest)
    return (
        select(
            *describe.chat_columns(),
            member.read_seq,
            (chat.message_count - member.read_ordinal).label("unread"),
            *describe.message_columns(last),
            *describe.user_columns(peer),
        )
        .join(member, member.chat_id == chat.id)
        .outerjoin(last, true())
        .outerjoin(peer, (peer.id != actor) & or_(peer.id == chat.low_user_id, peer.id == chat.high_user_id))
        .where(member.user_id == actor, member.left_at.is_(None))
    )


_OWN_CHATS = Prepared(_own_chats())
_OWN_CHAT = Prepared(_own_chats().where(models.Chat.id == bindparam("chat_id", type_=Uuid())))
