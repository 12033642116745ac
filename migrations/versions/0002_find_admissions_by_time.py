"""Find admissions by their time: each node looks for those that nobody announced to it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Apply this version."""
    op.create_index(
        "ix_members_joined_at_active",
        "members",
        ["joined_at"],
        unique=False,
        postgresql_where=sa.text("left_at IS NULL"),
    )


def downgrade() -> None:
    """Return to the version before."""
    op.drop_index("ix_members_joined_at_active", table_name="members", postgresql_where=sa.text("left_at IS NULL"))
