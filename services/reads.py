"""Read marks: how far someone has read a chat."""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select, update

import models
from models.prepared import Prepared
from services.errors import ValidationFailed
from services.gate import enter
from services.transaction import Transaction


async def mark(tx: Transaction, *, actor: UUID, chat_id: UUID, seq: int) -> None:
    """Move one's read mark forward; it never goes back and never beyond the chat's number.

    :param seq: a number of the chat; what is at or before it counts as read.
    :raises ParleyError: not a member, or the number is negative.
    """
    if seq < 0:
        raise ValidationFailed("seq", "must be 0 or more")
    entry = await enter(tx, actor=actor, chat_id=chat_id)
    read_seq = min(seq, entry.chat.seq)
    member, message = models.Member, models.Message
    ordinal = (
        select(message.ordinal)
        .where(message.chat_id == chat_id, message.seq <= read_seq)
        .order_by(message.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    moved = await tx.session.execute(
        update(member)
        .where(
            member.chat_id == chat_id,
            member.user_id == actor,
            member.left_at.is_(None),
            member.read_seq < read_seq,
        )
        .values(read_seq=read_seq, read_ordinal=func.greatest(member.read_ordinal, func.coalesce(ordinal, 0)))
        .returning(member.read_seq)
        .execution_options(synchronize_session=False)
    )
    if moved.first() is not None:
        tx.moved_read(chat_id, actor, read_seq)


async def of_members(tx: Transaction, *, chat_id: UUID) -> dict[UUID, int]:
    """Return the read mark of each member of a chat."""
    return dict(await tx.driver.fetch(_READS, chat_id=chat_id))


_READS = Prepared(
    select(models.Member.user_id, models.Member.read_seq).where(
        models.Member.chat_id == bindparam("chat_id", type_=Uuid()), models.Member.left_at.is_(None)
    )
)
