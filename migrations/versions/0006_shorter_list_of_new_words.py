"""Enter the words of new messages into the search index more often, fewer at a time."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Apply this version."""
    op.execute("ALTER INDEX ix_messages_search SET (gin_pending_list_limit = 256)")


def downgrade() -> None:
    """Return to the version before."""
    op.execute("ALTER INDEX ix_messages_search RESET (gin_pending_list_limit)")
