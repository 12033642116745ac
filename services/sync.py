"""Catching up: what changed in a chat since a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Select, Uuid, bindparam, func, select, union_all

import models
from models.prepared import Prepared
from services import chats, describe, messages, reads, views
from services.transaction import Transaction

SYNC_PAGE = 100
"""Changes on a page of ``sync``."""


@dataclass(frozen=True, slots=True)
class _Rows:
    messages: Sequence[Sequence[Any]]
    members: Sequence[Sequence[Any]]
    seq: int
    more: bool
    reset: bool


async def changes(
    tx: Transaction, *, actor: UUID, chat_id: UUID, since: int, limit: int = SYNC_PAGE
) -> views.Changes:
    """Return all messages and members whose version is higher than a number, the oldest change first.

    A page never splits a version. Where more than 1,000 changed, or the number is higher than the chat's, the answer
    replaces what the client has: the newest page, all members, the chat's number.

    :param tx: a snapshot. :param since: the number up to which the client knows the chat. :param limit: 1 to 100.
    :raises ParleyError: not a member, or the limit is outside its limits.
    """
    messages.check_limit(tx, limit)
    chat = await chats.get(tx, actor=actor, chat_id=chat_id)
    return await _describe(tx, chat, await _changed_rows(tx, chat, since, limit), actor)


async def gap(tx: Transaction, *, chat_id: UUID, since: int) -> views.Changes | None:
    """Return, for all members alike, everything that changed in a chat since a number.

    :param tx: a snapshot. :return: None when there is no such chat.
    """
    row = await tx.session.get(models.Chat, chat_id)
    if row is None:
        return None
    chat = describe.chat(row)
    return await _describe(tx, chat, await _changed_rows(tx, chat, since, tx.settings.max_sync_changes), None)


async def _changed_rows(tx: Transaction, chat: views.Chat, since: int, limit: int) -> _Rows:
    most = tx.settings.max_sync_changes
    [[count, last]] = await tx.driver.fetch(_EXTENT, chat_id=chat.id, since=since, most=most + 1, limit=limit)
    if since > chat.seq or count > most:
        return await _reset_rows(tx, chat)
    upto = last if count > limit else chat.seq
    asked = {"chat_id": chat.id, "since": since, "upto": upto}
    return _Rows(
        await tx.driver.fetch(_CHANGED_MESSAGES, **asked),
        await tx.driver.fetch(_CHANGED_MEMBERS, **asked),
        upto,
        more=upto < chat.seq,
        reset=False,
    )


async def _reset_rows(tx: Transaction, chat: views.Chat) -> _Rows:
    return _Rows(
        await tx.driver.fetch(_NEWEST_MESSAGES, chat_id=chat.id),
        await tx.driver.fetch(_PRESENT_MEMBERS, chat_id=chat.id),
        chat.seq,
        more=False,
        reset=True,
    )


_CHAT_ID = bindparam("chat_id", type_=Uuid())
_SINCE, _UPTO = bindparam("since", type_=BigInteger()), bindparam("upto", type_=BigInteger())


def _extent() -> Select[int, int]:
    """Build the query for how much changed: how many versions, up to a bound, and the one that completes a page.

    Both kinds of change are limited apart, so that each is the beginning of an index.
    """
    lowest = [
        select(kind.version.label("version"))
        .where(kind.chat_id == _CHAT_ID, kind.version > _SINCE)
        .order_by(kind.version)
        .limit(bindparam("most", type_=Integer()))
        for kind in (models.Message, models.Member)
    ]
    both = union_all(*lowest).subquery()
    place = func.row_number().over(order_by=both.c.version).label("place")
    placed = select(both.c.version, place).subquery()
    completing = func.max(placed.c.version).filter(placed.c.place == bindparam("limit", type_=Integer()))
    return select(func.count(), completing).select_from(placed)


def _members() -> Select[Any]:
    member = models.Member
    return (
        select(*describe.user_columns(), member.joined_at, member.version, member.left_at)
        .join(member, member.user_id == models.User.id)
        .where(member.chat_id == _CHAT_ID)
        .order_by(member.version)
    )


def _messages() -> Select[Any]:
    return select(*describe.message_columns()).where(models.Message.chat_id == _CHAT_ID)


_EXTENT = Prepared(_extent())
_CHANGED_MESSAGES = Prepared(
    _messages()
    .where(models.Message.version > _SINCE, models.Message.version <= _UPTO)
    .order_by(models.Message.version)
)
_CHANGED_MEMBERS = Prepared(_members().where(models.Member.version > _SINCE, models.Member.version <= _UPTO))
_NEWEST_MESSAGES = Prepared(_messages().order_by(models.Message.seq.desc()).limit(messages.PAGE_SIZE))
_PRESENT_MEMBERS = Prepared(_members().where(models.Member.left_at.is_(None)))


async def _describe(tx: Transaction, chat: views.Chat, rows: _Rows, actor: UUID | None) -> views.Changes:
    changed = sorted(
        await describe.read_messages(tx, rows.messages, actor=actor), key=lambda message: message.version
    )
    members = [_member(row, chat.owner_id) for row in rows.members]
    people = {member.user.id: member.user for member in members}
    referred = {message.author_id for message in changed}
    referred.update(*(found.user_ids for message in changed for found in message.reactions.values()))
    people |= {user.id: user for user in await describe.users(tx, referred - people.keys())}
    return views.Changes(
        chat_id=chat.id,
        seq=rows.seq,
        chat=chat,
        messages=changed,
        members=members,
        users=list(people.values()),
        reads=await reads.of_members(tx, chat_id=chat.id),
        more=rows.more,
        reset=rows.reset,
    )


def _member(row: Sequence[Any], owner_id: UUID | None) -> views.Member:
    user, (joined_at, version, left_at) = views.User(*row[:4]), row[4:]
    role: views.Role = "owner" if user.id == owner_id else "member"
    return views.Member(user=user, role=role, joined_at=joined_at, version=version, left_at=left_at)
