"""What all nodes of one installation share."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ServerSecret(Base):
    """The one row with the key that signs session cookies when ``PARLEY_SECRET`` is unset."""

    __tablename__ = "server_secrets"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    session_secret: Mapped[str]
