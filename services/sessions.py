"""Sign-ins: opening, checking and ending them.

The cookie and the bearer token carry a random secret signed with the server's key; the table keeps only its SHA-256.
"""

import hashlib
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from itsdangerous import BadSignature, Signer
from msgspec import Struct, msgpack
from sqlalchemy import ARRAY, Uuid, delete, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

import models
from services import describe, views
from services.cache import Lease
from services.errors import NotFound, Unavailable
from services.single_reads import SingleReads
from services.transaction import Transaction

if TYPE_CHECKING:
    from services.parley import Parley

SEEN_EVERY = timedelta(seconds=60)
"""How exact 'last seen' is."""

KEPT = 1.0
"""Seconds that a cached session is believed: no longer than one may hold of whose end nobody could tell this node."""

LONGEST_DEVICE = 200
"""Characters of a browser's description that are kept."""


class ActiveSession(Struct, frozen=True):
    """A session that holds now; ``expires_at`` is when it ends whatever happens."""

    id: UUID
    user: views.OwnUser
    expires_at: datetime


class Tokens:
    """Signs secrets and reads them back, so that a made-up token costs no look-up.

    :param key: the server's signing key, the same on all nodes.
    """

    def __init__(self, key: str) -> None:
        self._signer = Signer(key, salt="parley-session", digest_method=hashlib.sha256)

    def issue(self) -> tuple[str, bytes]:
        """Make a token and the hash to store in its place."""
        secret = secrets.token_urlsafe(32)
        return self._signer.sign(secret).decode(), _hash(secret)

    def read(self, token: str) -> bytes | None:
        """Return the stored hash for a token, or None when we never signed it."""
        try:
            return _hash(self._signer.unsign(token).decode())
        except (BadSignature, UnicodeError):
            return None


async def signing_key(tx: Transaction) -> str:
    """Return the key that all nodes sign with: ``PARLEY_SECRET``, or one made once and kept in the database."""
    if tx.settings.secret is not None:
        return tx.settings.secret
    stored = models.ServerSecret
    await tx.session.execute(
        insert(stored).values(id=1, session_secret=secrets.token_urlsafe(32)).on_conflict_do_nothing()
    )
    return (await tx.session.scalars(select(stored.session_secret))).one()


async def open_session(
    tx: Transaction, tokens: Tokens, *, user: models.User, address: str, device: str
) -> views.SignedIn:
    """Sign someone in, for 7 hours."""
    token, secret_hash = tokens.issue()
    session = models.Session(
        id=models.new_id(),
        user_id=user.id,
        secret_hash=secret_hash,
        expires_at=datetime.now(UTC) + timedelta(hours=tx.settings.session_hours),
        device=device[:LONGEST_DEVICE],
        address=address,
    )
    tx.session.add(session)
    await tx.session.flush()
    return views.SignedIn(describe.own_user(user), views.Session(session.id, session.expires_at), token)


async def authenticate(parley: "Parley", token: str | None) -> ActiveSession | None:
    """Check a token.

    :return: the session, or None when it is unknown, ended or expired.
    :raises Unavailable: the database cannot be reached.
    """
    secret_hash = parley.tokens.read(token) if token else None
    if secret_hash is None:
        return None
    key = session_key(secret_hash)
    found = await parley.cache.get(key)
    if isinstance(found, Lease):
        session, seen_at = await _look_up(parley.reads, secret_hash)
        if session is not None:
            await _note_seen(parley, session, seen_at)
            await parley.cache.fill(key, found, msgpack.encode(session), ttl=KEPT)
    else:
        session = msgpack.decode(found, type=ActiveSession)
    return session if session is not None and parley.session_ends.holds(session.id, session.expires_at) else None


async def list_active(tx: Transaction, *, actor: UUID, current: UUID) -> list[views.OwnSession]:
    """Return where someone is signed in, the latest sign-in first."""
    row = models.Session
    found = await tx.session.scalars(
        select(row).where(row.user_id == actor, row.expires_at > func.now()).order_by(row.created_at.desc())
    )
    return [
        views.OwnSession(
            id=session.id,
            expires_at=session.expires_at,
            created_at=session.created_at,
            last_seen_at=session.last_seen_at,
            device=session.device,
            address=session.address,
            current=session.id == current,
        )
        for session in found
    ]


async def end(tx: Transaction, *, actor: UUID, session_id: UUID) -> None:
    """End one of one's own sessions.

    :raises NotFound: it is not one's own, or over already.
    """
    if not await _end_where(tx, models.Session.user_id == actor, models.Session.id == session_id):
        raise NotFound("There is no such session.")


async def end_others(tx: Transaction, *, actor: UUID, keep: UUID) -> None:
    """End all of one's own sessions but one."""
    await _end_where(tx, models.Session.user_id == actor, models.Session.id != keep)


async def end_all(tx: Transaction, *, user_id: UUID) -> None:
    """End all sessions of a person."""
    await _end_where(tx, models.Session.user_id == user_id)


async def forget_expired(tx: Transaction) -> None:
    """Delete the rows of sessions that are over."""
    await tx.session.execute(delete(models.Session).where(models.Session.expires_at <= func.now()))


async def ended_of(tx: Transaction, *, session_ids: list[UUID]) -> list[UUID]:
    """Return which of these sessions are over."""
    row, asked = models.Session, func.unnest(literal(session_ids, ARRAY(Uuid()))).column_valued("asked")
    holds = exists().where(row.id == asked, row.expires_at > func.now())
    return list(await tx.session.scalars(select(asked).where(~holds)))


async def outdate_of(tx: Transaction, *, user_id: UUID) -> None:
    """Let a change of a person reach what is cached of their sessions."""
    hashes = await tx.session.scalars(select(models.Session.secret_hash).where(models.Session.user_id == user_id))
    tx.outdate(*(session_key(secret_hash) for secret_hash in hashes))


def session_key(secret_hash: bytes) -> str:
    """Name the cached answer for a session."""
    return f"session:{secret_hash.hex()}"


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


async def _end_where(tx: Transaction, *conditions: Any) -> bool:
    row = models.Session
    ended = (await tx.session.execute(delete(row).where(*conditions).returning(row.id, row.secret_hash))).all()
    for session_id, secret_hash in ended:
        tx.end_session(session_id, session_key(secret_hash))
    return bool(ended)


_LOOK_UP = """
SELECT
    session.id, session.expires_at, session.last_seen_at,
    person.id, person.username, person.display_name, person.created_at, person.is_admin,
    person.deactivated_at IS NULL
FROM sessions AS session
JOIN users AS person ON person.id = session.user_id
WHERE session.secret_hash = $1 AND session.expires_at > now()
"""


async def _look_up(reads: SingleReads, secret_hash: bytes) -> tuple[ActiveSession | None, datetime]:
    for session_id, expires_at, seen_at, *person in await reads.fetch(_LOOK_UP, secret_hash):
        return ActiveSession(session_id, views.OwnUser(*person), expires_at), seen_at
    return None, datetime.now(UTC)


async def _note_seen(parley: "Parley", session: ActiveSession, seen_at: datetime) -> None:
    now = datetime.now(UTC)
    if now - seen_at <= SEEN_EVERY:
        return
    row = models.Session
    with suppress(Unavailable):  # whoever may read need not wait until the database can write
        async with parley.transaction() as tx:
            await tx.session.execute(
                update(row)
                .where(row.id == session.id)
                .values(last_seen_at=now)
                .execution_options(synchronize_session=False)
            )
