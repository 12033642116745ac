"""The database's history: Alembic, run at start under an advisory lock so that several nodes may start together."""
