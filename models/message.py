"""Messages and the reactions to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, PrimaryId


class Message(Base):
    """A message; a deleted one stays as a row with neither body nor HTML.

    ``seq`` is the chat's number that it was created with, ``version`` that of its last change, ``ordinal`` says the
    how-manieth message of its chat it is. ``nonce`` is the sender's own mark and makes a retry harmless. The author
    has a membership, which stays as a row when it ends: to refer to it is one check for each message instead of two.
    """

    __tablename__ = "messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["chat_id", "author_id"],
            ["members.chat_id", "members.user_id"],
            name="fk_messages_member",
            ondelete="CASCADE",
        ),
        UniqueConstraint("chat_id", "seq"),
        UniqueConstraint("chat_id", "author_id", "nonce"),
        Index("ix_messages_chat_id_version", "chat_id", "version"),
        Index("ix_messages_created_at", "created_at"),
        # In kB: all wait while the index takes its list of new words in, which it does when that is full.
        Index(
            "ix_messages_search",
            text("to_tsvector('simple', body)"),
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        CheckConstraint("(deleted_at IS NULL) = (body IS NOT NULL AND html IS NOT NULL)", name="deleted_is_empty"),
    )

    id: Mapped[PrimaryId]
    chat_id: Mapped[UUID]
    seq: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    ordinal: Mapped[int] = mapped_column(BigInteger)
    author_id: Mapped[UUID]
    nonce: Mapped[str | None]
    body: Mapped[str | None]
    html: Mapped[str | None]
    reply_to: Mapped[UUID | None] = mapped_column(ForeignKey("messages.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Reaction(Base):
    """One person's emoji on one message."""

    __tablename__ = "reactions"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
