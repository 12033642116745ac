"""Catching up: what changed in a chat since a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select, union_all

import models
from services import chats, describe, messages, reads, views
from services.transaction import Transaction

SYNC_PAGE = 100
"""Changes on a page of ``sync``."""


@dataclass(frozen=True, slots=True)
class _Rows:
    messages: Sequence[models.Message]
    members: Sequence[tuple[models.Member, models.User]]
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
    if since > chat.seq or await _count_changes(tx, chat.id, since) > tx.settings.max_sync_changes:
        return await _reset_rows(tx, chat)
    last = await _last_version(tx, chat.id, since, limit)
    upto = chat.seq if last is None else last
    message, member = models.Message, models.Member
    changed_messages = await tx.session.scalars(
        select(message)
        .where(message.chat_id == chat.id, message.version > since, message.version <= upto)
        .order_by(message.version)
    )
    changed_members = await tx.session.execute(
        select(member, models.User)
        .join(models.User, models.User.id == member.user_id)
        .where(member.chat_id == chat.id, member.version > since, member.version <= upto)
        .order_by(member.version)
    )
    return _Rows(
        changed_messages.all(), [(m, u) for m, u in changed_members], upto, more=upto < chat.seq, reset=False
    )


async def _reset_rows(tx: Transaction, chat: views.Chat) -> _Rows:
    message, member = models.Message, models.Member
    newest = await tx.session.scalars(
        select(message).where(message.chat_id == chat.id).order_by(message.seq.desc()).limit(messages.PAGE_SIZE)
    )
    present = await tx.session.execute(
        select(member, models.User)
        .join(models.User, models.User.id == member.user_id)
        .where(member.chat_id == chat.id, member.left_at.is_(None))
        .order_by(member.version)
    )
    rows = sorted(newest, key=lambda row: row.version)
    return _Rows(rows, [(m, u) for m, u in present], chat.seq, more=False, reset=True)


async def _count_changes(tx: Transaction, chat_id: UUID, since: int) -> int:
    versions = _versions(chat_id, since, tx.settings.max_sync_changes + 1).subquery()
    return await tx.session.scalar(select(func.count()).select_from(versions)) or 0


async def _last_version(tx: Transaction, chat_id: UUID, since: int, limit: int) -> int | None:
    """Find the version that completes a page, or None when everything fits."""
    found = list(await tx.session.scalars(_versions(chat_id, since, limit + 1)))
    return found[limit - 1] if len(found) > limit else None


def _versions(chat_id: UUID, since: int, limit: int) -> Select[int]:
    """The lowest versions after one; both kinds are limited apart, so that each is the beginning of an index."""
    lowest = [
        select(kind.version.label("version"))
        .where(kind.chat_id == chat_id, kind.version > since)
        .order_by(kind.version)
        .limit(limit)
        for kind in (models.Message, models.Member)
    ]
    both = union_all(*lowest).subquery()
    return select(both.c.version).order_by(both.c.version).limit(limit)


async def _describe(tx: Transaction, chat: views.Chat, rows: _Rows, actor: UUID | None) -> views.Changes:
    people = {user.id: describe.user(user) for _, user in rows.members}
    reacted = await describe.messages(tx, rows.messages, actor=actor)
    referred = {message.author_id for message in reacted}
    referred.update(*(found.user_ids for message in reacted for found in message.reactions.values()))
    people |= {user.id: user for user in await describe.users(tx, referred - people.keys())}
    return views.Changes(
        chat_id=chat.id,
        seq=rows.seq,
        chat=chat,
        messages=reacted,
        members=[describe.member(member, user, chat.owner_id) for member, user in rows.members],
        users=list(people.values()),
        reads=await reads.of_members(tx, chat_id=chat.id),
        more=rows.more,
        reset=rows.reset,
    )
