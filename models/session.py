"""Sign-ins."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, PrimaryId


class Session(Base):
    """One sign-in. The row is the session: deleting it, or ``expires_at`` passing, ends it.

    ``secret_hash`` is the SHA-256 of the secret in the cookie, so that a copy of the table opens no session.
    """

    __tablename__ = "sessions"

    id: Mapped[PrimaryId]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    device: Mapped[str]
    address: Mapped[str]
