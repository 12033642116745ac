"""Who is in a chat: listing, adding, removing, leaving."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

import models
from services import describe, events, views
from services.errors import Conflict, Forbidden, NotFound, ValidationFailed
from services.gate import Entry, enter, enter_as_owner, enter_to_change, next_seq, refuse_closed
from services.transaction import Transaction

MOST_FELLOWS = 200
"""Memberships of others that are looked at to describe people before anyone asks for them."""

WELCOME_USERS = 100
"""Members that the news of a chat brings along; the others are read when they are needed."""


LOOKED_BACK = timedelta(minutes=2)
"""How long before the last look for admissions the next one begins; a transaction that admits someone takes less."""


@dataclass(frozen=True, slots=True)
class Audience:
    """A chat with the ids of its members, and some of the people in it."""

    chat: views.Chat
    member_ids: frozenset[UUID]
    users: list[views.User]


def member_key(chat_id: UUID, user_id: UUID) -> str:
    """Name the cached answer to whether someone is in a chat."""
    return f"member:{chat_id}:{user_id}"


async def list_of(tx: Transaction, *, actor: UUID, chat_id: UUID) -> list[views.Member]:
    """Return the members of a chat, by display name.

    :raises NotFound: the actor is not a member.
    """
    chat = (await enter(tx, actor=actor, chat_id=chat_id)).chat
    rows = await tx.session.execute(
        select(models.Member, models.User)
        .join(models.User, models.User.id == models.Member.user_id)
        .where(models.Member.chat_id == chat_id, models.Member.left_at.is_(None))
        .order_by(func.lower(models.User.display_name), models.User.username)
    )
    return [describe.member(member, user, chat.owner_id) for member, user in rows]


async def ids_of(tx: Transaction, *, chat_id: UUID) -> frozenset[UUID]:
    """Return the ids of a chat's members."""
    member = models.Member
    return frozenset(
        await tx.session.scalars(select(member.user_id).where(member.chat_id == chat_id, member.left_at.is_(None)))
    )


async def audience(tx: Transaction, *, chat_id: UUID) -> Audience | None:
    """Return a chat and who is in it, or None when there is no such chat.

    :param tx: a snapshot.
    """
    chat = await tx.session.get(models.Chat, chat_id)
    if chat is None:
        return None
    some = await describe.users(tx, await _some_members(tx, chat_id))
    return Audience(describe.chat(chat), await ids_of(tx, chat_id=chat_id), some)


async def admissions(tx: Transaction, *, since: datetime | None) -> tuple[datetime, list[tuple[UUID, UUID]]]:
    """Return who became a member of what (chat, person) since the last look, and the time of this one.

    Some of them were seen at the last look already: what is committed late counts from when it was begun.

    :param tx: a snapshot. :param since: the time of the last look, None for the first.
    """
    member, now = models.Member, (await tx.session.scalars(select(func.now()))).one()
    found = await tx.session.execute(
        select(member.chat_id, member.user_id).where(
            member.joined_at > (since or now) - LOOKED_BACK, member.left_at.is_(None)
        )
    )
    return now, [(chat_id, user_id) for chat_id, user_id in found]


async def find(tx: Transaction, *, chat_id: UUID, user_id: UUID) -> models.Member | None:
    """Return someone's membership of a chat if it holds now."""
    member = await tx.session.get(models.Member, (chat_id, user_id))
    return member if member is not None and member.left_at is None else None


async def is_member(tx: Transaction, *, chat_id: UUID, user_id: UUID) -> bool:
    """Tell whether someone is in a chat now."""
    return await find(tx, chat_id=chat_id, user_id=user_id) is not None


async def add(tx: Transaction, *, actor: UUID, chat_id: UUID, user_id: UUID) -> tuple[views.Member, bool]:
    """Take someone into a group; they see its whole history and start with everything read.

    :return: the membership, and whether it is new.
    :raises ParleyError: not a member, not the owner, private, closed, full, or no such person who is active.
    """
    chat = (await enter_as_owner(tx, actor=actor, chat_id=chat_id)).chat
    refuse_closed(chat)
    user = await tx.session.get(models.User, user_id)
    if user is None:
        raise ValidationFailed("user_id", "names someone who does not exist")
    member = await tx.session.get(models.Member, (chat_id, user_id))
    if member is not None and member.left_at is None:
        return describe.member(member, user, chat.owner_id), False
    refuse_deactivated("user_id", user)
    await _refuse_full(tx, chat_id)
    # The database's clock, because every node looks for admissions by their time.
    now = (await tx.session.scalars(select(func.clock_timestamp()))).one()
    if member is None:
        member = models.Member(chat_id=chat_id, user_id=user_id)
        tx.session.add(member)
    member.joined_at, member.left_at = now, None
    member.version = member.read_seq = next_seq(chat)
    member.read_ordinal = chat.message_count
    await tx.session.flush()
    welcome = await describe.users(tx, [user_id, *await _some_members(tx, chat_id)])
    tx.announce(events.member_added(describe.chat(chat), describe.user(user), welcome))
    tx.outdate(member_key(chat_id, user_id))
    return describe.member(member, user, chat.owner_id), True


async def remove(tx: Transaction, *, actor: UUID, chat_id: UUID, user_id: UUID) -> None:
    """Remove someone from a group, or leave it when that is oneself.

    An owner who is alone leaves too, and the chat closes.

    :raises ParleyError: not a member, not allowed, private, no such member, or an owner who has not handed over.
    """
    entry = await enter_to_change(tx, actor=actor, chat_id=chat_id)
    chat = entry.chat
    if chat.kind == "private":
        raise Forbidden("Nobody leaves a private chat.")
    if user_id == actor:
        await _refuse_ownerless(tx, entry)
        member: models.Member | None = entry.member
    else:
        if chat.owner_id != actor:
            raise Forbidden("Only the owner of the chat may remove others.")
        refuse_closed(chat)
        member = await find(tx, chat_id=chat_id, user_id=user_id)
    user = await tx.session.get(models.User, user_id)
    if member is None or user is None:
        raise NotFound("There is no such member.")
    member.left_at = datetime.now(UTC)
    member.version = next_seq(chat)
    if chat.owner_id == user_id and chat.closed_at is None:
        chat.closed_at = member.left_at
    await tx.session.flush()
    tx.announce(events.member_removed(describe.chat(chat), describe.user(user)))
    tx.outdate(member_key(chat_id, user_id))


def refuse_deactivated(field: str, *people: models.User) -> None:
    """Let only people pass who can sign in.

    :param field: the input that names them.
    :raises ValidationFailed: the account of one of them is deactivated.
    """
    if any(person.deactivated_at is not None for person in people):
        raise ValidationFailed(field, "names someone whose account is deactivated")


async def _refuse_ownerless(tx: Transaction, entry: Entry) -> None:
    if entry.chat.owner_id == entry.member.user_id and len(await _some_members(tx, entry.chat.id, most=2)) > 1:
        raise Conflict("Hand the chat over to another member before you leave.")


async def _refuse_full(tx: Transaction, chat_id: UUID) -> None:
    member, most = models.Member, tx.settings.max_chat_members
    count = await tx.session.scalar(select(func.count()).where(member.chat_id == chat_id, member.left_at.is_(None)))
    if (count or 0) >= most:
        raise Conflict(f"A chat has at most {most} members.")


async def _some_members(tx: Transaction, chat_id: UUID, *, most: int = WELCOME_USERS) -> list[UUID]:
    member = models.Member
    query = select(member.user_id).where(member.chat_id == chat_id, member.left_at.is_(None)).limit(most)
    return list(await tx.session.scalars(query))
