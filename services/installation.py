"""Which installation of Parley this is: what its nodes have in common, and a copy of its data has not."""

import hashlib

from sqlalchemy import text

from services.transaction import Transaction

# A cluster keeps its identifier, and a database its number, for as long as it exists; a copy that was restored from a
# backup has others, though all that is in it is the same (PostgreSQL, 9.28 System Information Functions).
_IDENTITY = text("""
SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()
""")


async def name_of(tx: Transaction) -> str:
    """Return 16 hexadecimal digits that name the database, for whatever shares a Redis with other installations."""
    identity = str(await tx.session.scalar(_IDENTITY))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
