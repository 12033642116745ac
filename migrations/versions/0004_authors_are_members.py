"""Authors are members."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Apply this version."""
    op.create_foreign_key(
        "fk_messages_member",
        "messages",
        "members",
        ["chat_id", "author_id"],
        ["chat_id", "user_id"],
        ondelete="CASCADE",
    )
    op.drop_constraint("fk_messages_author_id", "messages", type_="foreignkey")
    op.drop_constraint("fk_messages_chat_id", "messages", type_="foreignkey")


def downgrade() -> None:
    """Return to the version before."""
    op.create_foreign_key("fk_messages_chat_id", "messages", "chats", ["chat_id"], ["id"], ondelete="CASCADE")
    op.create_foreign_key("fk_messages_author_id", "messages", "users", ["author_id"], ["id"])
    op.drop_constraint("fk_messages_member", "messages", type_="foreignkey")
