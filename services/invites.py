"""Invitations: links by which an administrator admits people."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update

import models
from services import views
from services.administration import only_administrators
from services.errors import Forbidden, NotFound, ValidationFailed
from services.transaction import Transaction

LONGEST_SECONDS = 365 * 24 * 3600
MOST_USES = 10_000


async def create(tx: Transaction, *, actor: UUID, expires_in: int, uses: int, origin: str) -> views.Invite:
    """Make an invitation.

    :param expires_in: seconds until it ends, at most a year. :param uses: people it admits, 1 to 10,000.
    :param origin: the address of this server, for the link.
    :raises ParleyError: not an administrator, or a number is outside its limits.
    """
    await only_administrators(tx, actor)
    if not 1 <= expires_in <= LONGEST_SECONDS:
        raise ValidationFailed("expires_in", f"must be 1 to {LONGEST_SECONDS} seconds")
    if not 1 <= uses <= MOST_USES:
        raise ValidationFailed("uses", f"must be 1 to {MOST_USES}")
    invite = models.Invite(
        code=secrets.token_urlsafe(16),
        created_by=actor,
        expires_at=datetime.now(UTC) + timedelta(seconds=expires_in),
        uses_left=uses,
    )
    tx.session.add(invite)
    await tx.session.flush()
    return _describe(invite, origin)


async def list_all(tx: Transaction, *, actor: UUID, origin: str) -> list[views.Invite]:
    """Return the invitations that still admit someone, the newest first.

    :raises Forbidden: not an administrator.
    """
    await only_administrators(tx, actor)
    row = models.Invite
    found = await tx.session.scalars(
        select(row).where(row.expires_at > func.now(), row.uses_left > 0).order_by(row.created_at.desc())
    )
    return [_describe(invite, origin) for invite in found]


async def withdraw(tx: Transaction, *, actor: UUID, code: str) -> None:
    """Make an invitation useless.

    :raises ParleyError: not an administrator, or no such invitation.
    """
    await only_administrators(tx, actor)
    deleted = await tx.session.execute(
        delete(models.Invite).where(models.Invite.code == _storable(code)).returning(models.Invite.code)
    )
    if deleted.first() is None:
        raise NotFound("There is no such invitation.")


async def use(tx: Transaction, *, code: str) -> None:
    """Take one of an invitation's uses.

    :raises Forbidden: it does not exist, is used up or is over.
    """
    row = models.Invite
    used = await tx.session.execute(
        update(row)
        .where(row.code == _storable(code), row.uses_left > 0, row.expires_at > func.now())
        .values(uses_left=row.uses_left - 1)
        .returning(row.code)
        .execution_options(synchronize_session=False)
    )
    if used.first() is None:
        raise Forbidden("This invitation is no longer valid.", field="invite")


def _storable(code: str) -> str:
    return code.replace("\x00", "")


def _describe(invite: models.Invite, origin: str) -> views.Invite:
    return views.Invite(
        code=invite.code,
        url=f"{origin}/sign-up?invite={invite.code}",
        expires_at=invite.expires_at,
        uses_left=invite.uses_left,
    )
