"""What administrators do to the accounts of others: deactivating them, and setting a password that was forgotten."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import delete, select

import models
from services import sessions
from services.errors import Conflict, Forbidden, NotFound
from services.texts import check_password
from services.transaction import Transaction

if TYPE_CHECKING:
    from services.parley import Parley


async def deactivate(tx: Transaction, *, actor: UUID, user_id: UUID) -> None:
    """End someone's access: they are signed out everywhere and cannot sign in; what they wrote stays.

    Their invitations end too, so that none admits them under another name. Nobody deactivates themselves, so that
    an active administrator always remains.

    :raises ParleyError: not an administrator, no such person, or oneself.
    """
    user = await _to_administer(tx, actor, user_id)
    if user_id == actor:
        raise Conflict("You cannot deactivate yourself; another administrator can.")
    if user.deactivated_at is None:
        user.deactivated_at = datetime.now(UTC)
        await tx.session.execute(delete(models.Invite).where(models.Invite.created_by == user_id))
        await sessions.end_all(tx, user_id=user_id)


async def reactivate(tx: Transaction, *, actor: UUID, user_id: UUID) -> None:
    """Let someone sign in again who was deactivated.

    :raises ParleyError: not an administrator, or no such person.
    """
    (await _to_administer(tx, actor, user_id)).deactivated_at = None


async def set_password(parley: "Parley", *, actor: UUID, user_id: UUID, new_password: str) -> None:
    """Give someone another password who forgot theirs, which ends all their sessions.

    :param new_password: 8 to 256 characters.
    :raises ParleyError: not an administrator, no such person, oneself, or the password is outside its limits.
    """
    async with parley.snapshot() as tx:
        await only_administrators(tx, actor)
    if user_id == actor:
        raise Forbidden("Change your own password with the one that you have.")
    check_password("new_password", new_password, settings=parley.settings)
    password_hash = await parley.passwords.hash(new_password)
    async with parley.transaction() as tx:
        (await _to_administer(tx, actor, user_id)).password_hash = password_hash
        await sessions.end_all(tx, user_id=user_id)


async def only_administrators(tx: Transaction, actor: UUID) -> None:
    """Let only administrators pass.

    :raises Forbidden: not an administrator.
    """
    _refuse_others(await tx.session.get_one(models.User, actor))


async def _to_administer(tx: Transaction, actor: UUID, user_id: UUID) -> models.User:
    """Lock both accounts, in one order, so that of two administrators who deactivate each other one remains."""
    row = models.User
    locked = (
        select(row)
        .where(models.among(row.id, {actor, user_id}))
        .order_by(row.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    people = {person.id: person for person in await tx.session.scalars(locked)}
    _refuse_others(people[actor])
    if user_id not in people:
        raise NotFound("There is no such person.")
    return people[user_id]


def _refuse_others(person: models.User) -> None:
    if not person.is_admin or person.deactivated_at is not None:
        raise Forbidden("Only administrators may do this.")
