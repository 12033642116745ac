"""Accounts: signing up and in, and one's own name."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select, text

import models
from services import describe, invites, sessions, views
from services.errors import Conflict, Forbidden, NotAuthenticated, NotFound, RateLimited, ValidationFailed
from services.rate_limits import Rate
from services.texts import clean_line, clean_username
from services.transaction import Transaction

if TYPE_CHECKING:
    from services.parley import Parley

FIRST_ACCOUNT_LOCK = 0x5041524C
"""Key of the advisory lock under which it is decided who is first (PostgreSQL, 13.3.5 Advisory Locks)."""

HOUR = 3600.0
TEN_MINUTES = 600.0


async def register(
    parley: "Parley",
    *,
    username: str,
    password: str,
    display_name: str | None = None,
    invite: str | None = None,
    address: str,
    device: str,
) -> views.SignedIn:
    """Make an account and sign it in; the first account is the administrator.

    :param username: 3 to 32 characters of ``a-z0-9_.-``. :param password: 8 to 256 characters.
    :param display_name: 1 to 64 characters after trimming; the user name when left out.
    :param invite: the code of an invitation, where they are needed.
    :param address: where the request came from. :param device: the browser's description.
    :raises ParleyError: a field is outside its limits, the name is taken, registration does not admit it, or too
        many sign-ups came from the address.
    """
    clean_username(username)
    _check_password(parley, password)
    name = username if display_name is None else display_name
    name = clean_line("display_name", name, longest=parley.settings.max_display_name_length)
    per_hour = Rate(parley.settings.sign_ups_per_hour, HOUR)
    if wait := await parley.limits.take(f"sign-up:{address}", per_hour):
        raise RateLimited(wait, "Too many sign-ups from your address; try again later.")
    password_hash = await parley.passwords.hash(password)
    async with parley.transaction() as tx:
        await tx.session.execute(select(func.pg_advisory_xact_lock(FIRST_ACCOUNT_LOCK)))
        first = not await exist(tx)
        if await _by_username(tx, username) is not None:
            raise Conflict("This user name is taken.", field="username")
        if not first:
            await _admit(tx, invite)
        user = models.User(
            id=models.new_id(),
            username=username,
            display_name=name,
            password_hash=password_hash,
            is_admin=first,
        )
        tx.session.add(user)
        await tx.session.flush()
        return await sessions.open_session(tx, parley.tokens, user=user, address=address, device=device)


async def sign_in(parley: "Parley", *, username: str, password: str, address: str, device: str) -> views.SignedIn:
    """Sign someone in; a wrong name and a wrong password are told alike and take the same time.

    :raises NotAuthenticated: the name or the password is wrong.
    :raises RateLimited: too many failed from this address, or for this account from this address.
    """
    name = username.strip().lower()
    limits = [
        (f"sign-in:{address}", Rate(parley.settings.failed_sign_ins_per_hour, HOUR)),
        (f"sign-in:{address}:{name[:64]}", Rate(parley.settings.failed_sign_ins_per_account, TEN_MINUTES)),
    ]
    await _take_all(parley, limits)
    try:
        user = await _verified(parley, name, password)
    except RateLimited:
        await _give_back(parley, limits)
        raise
    if user is None:
        raise NotAuthenticated("The user name or the password is wrong.")
    await _give_back(parley, limits)
    rehashed = await parley.passwords.hash(password) if parley.passwords.is_outdated(user.password_hash) else None
    async with parley.transaction() as tx:
        user = await tx.session.get_one(models.User, user.id)
        user.password_hash = rehashed or user.password_hash
        return await sessions.open_session(tx, parley.tokens, user=user, address=address, device=device)


async def me(tx: Transaction, *, actor: UUID) -> views.OwnUser:
    """Describe the signed-in person."""
    return describe.own_user(await tx.session.get_one(models.User, actor))


async def rename(tx: Transaction, *, actor: UUID, display_name: str) -> views.OwnUser:
    """Change one's display name.

    :param display_name: 1 to 64 characters after trimming.
    :raises ValidationFailed: it is outside its limits.
    """
    user = await tx.session.get_one(models.User, actor)
    user.display_name = clean_line("display_name", display_name, longest=tx.settings.max_display_name_length)
    await sessions.outdate_of(tx, user_id=actor)
    await tx.session.flush()
    return describe.own_user(user)


async def get(tx: Transaction, *, actor: UUID, user_id: UUID) -> views.User:
    """Describe a person; administrators and oneself also see whether they administer.

    :raises NotFound: there is no such person.
    """
    user = await tx.session.get(models.User, user_id)
    if user is None:
        raise NotFound("There is no such person.")
    asking = await tx.session.get_one(models.User, actor)
    return describe.own_user(user) if asking.is_admin or actor == user_id else describe.user(user)


async def search(tx: Transaction, *, actor: UUID, query: str, limit: int = 50) -> list[views.User]:
    """Find people by a part of their user name or display name; an empty query finds the first by name.

    :param query: at most 200 characters. :return: at most ``limit`` people; administrators see who administers.
    :raises ValidationFailed: the query is too long.
    """
    wanted = query.strip().lower()
    if len(wanted) > tx.settings.max_search_length:
        raise ValidationFailed("q", f"must be at most {tx.settings.max_search_length} characters")
    if "\x00" in wanted:
        raise ValidationFailed("q", "must not contain NUL characters")
    user = models.User
    name = func.lower(user.display_name)
    found = (
        select(user)
        .where(user.username.contains(wanted, autoescape=True) | name.contains(wanted, autoescape=True))
        .order_by(~user.username.startswith(wanted, autoescape=True), name, user.username)
        .limit(limit)
    )
    asking = await tx.session.get_one(user, actor)
    seen = describe.own_user if asking.is_admin else describe.user
    return [seen(row) for row in await tx.session.scalars(found)]


async def exist(tx: Transaction) -> bool:
    """Tell whether anyone has an account yet."""
    return bool(await tx.session.scalar(text("SELECT EXISTS (SELECT FROM users)")))


def _check_password(parley: "Parley", password: str) -> None:
    least, most = parley.settings.min_password_length, parley.settings.max_password_length
    if not least <= len(password) <= most:
        raise ValidationFailed("password", f"must be {least} to {most} characters")


async def _admit(tx: Transaction, invite: str | None) -> None:
    if tx.settings.registration == "closed":
        raise Forbidden("This server takes no new accounts.")
    if tx.settings.registration == "invite":
        if not invite:
            raise Forbidden("You need an invitation to sign up here.")
        await invites.use(tx, code=invite)


async def _take_all(parley: "Parley", limits: list[tuple[str, Rate]]) -> None:
    taken: list[tuple[str, Rate]] = []
    for key, rate in limits:
        if wait := await parley.limits.take(key, rate):
            await _give_back(parley, taken)
            raise RateLimited(wait, "Too many failed sign-ins; wait before you try again.")
        taken.append((key, rate))


async def _give_back(parley: "Parley", limits: list[tuple[str, Rate]]) -> None:
    for key, rate in limits:
        await parley.limits.give_back(key, rate)


async def _verified(parley: "Parley", username: str, password: str) -> models.User | None:
    async with parley.snapshot() as tx:
        user = await _by_username(tx, username) if "\x00" not in username else None
    possible = len(password) <= parley.settings.max_password_length
    stored = user.password_hash if user is not None and possible else None
    known = await parley.passwords.verify(password if possible else "", stored)
    return user if known else None


async def _by_username(tx: Transaction, username: str) -> models.User | None:
    return await tx.session.scalar(select(models.User).where(models.User.username == username))
