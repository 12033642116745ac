"""Chats and who is in them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, PrimaryId


class Chat(Base):
    """A private chat of two or a group.

    ``seq`` is the number of the chat's last change; whoever changes the chat locks this row first and takes the next.
    ``owner_id`` is the only record of ownership, so that a chat can never have two owners or lose its last one.
    A private chat has no owner and no title but the ordered pair (``low_user_id``, ``high_user_id``).
    """

    __tablename__ = "chats"
    __table_args__ = (
        CheckConstraint("kind IN ('private', 'group')", name="kind"),
        CheckConstraint(
            "(kind = 'private') = (low_user_id IS NOT NULL AND high_user_id IS NOT NULL)",
            name="private_has_pair",
        ),
        CheckConstraint("(kind = 'group') = (owner_id IS NOT NULL AND title IS NOT NULL)", name="group_has_owner"),
        CheckConstraint("low_user_id < high_user_id", name="pair_is_ordered"),
        UniqueConstraint("low_user_id", "high_user_id", name="uq_chats_pair"),
    )

    id: Mapped[PrimaryId]
    kind: Mapped[str]
    title: Mapped[str | None]
    seq: Mapped[int] = mapped_column(BigInteger)
    message_count: Mapped[int] = mapped_column(BigInteger, default=0)
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    low_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    high_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]


class Member(Base):
    """A person's membership of a chat; it stays with ``left_at`` when it ends, so that others can catch up on it.

    ``read_ordinal`` is the ordinal of the last message at or before ``read_seq``: unread is one subtraction.
    """

    __tablename__ = "members"
    __table_args__ = (
        Index("ix_members_user_id_active", "user_id", postgresql_where=text("left_at IS NULL")),
        Index("ix_members_chat_id_version", "chat_id", "version"),
        Index("ix_members_joined_at_active", "joined_at", postgresql_where=text("left_at IS NULL")),
    )

    chat_id: Mapped[UUID] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())
    left_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(BigInteger)
    read_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    read_ordinal: Mapped[int] = mapped_column(BigInteger, default=0)
