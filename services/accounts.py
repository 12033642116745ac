"""Accounts: signing up and in, and one's own name and password."""

from typing import TYPE_CHECKING
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import func, select, text

import models
from services import describe, invites, sessions, views
from services.errors import Conflict, Forbidden, NotAuthenticated, NotFound, RateLimited, ValidationFailed
from services.rate_limits import Rate
from services.texts import check_password, clean_line, clean_username
from services.transaction import Transaction

if TYPE_CHECKING:
    from services.parley import Parley

FIRST_ACCOUNT_LOCK = 0x5041524C
"""Key of the advisory lock under which it is decided who is first (PostgreSQL, 13.3.5 Advisory Locks)."""

FAILED_SIGN_INS = Counter("parley_sign_ins_failed_total", "Wrong user names and wrong passwords")

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
    check_password("password", password, settings=parley.settings)
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
    """Sign someone in; a wrong name or password and a deactivated account are told alike and take the same time.

    :raises NotAuthenticated: the name or the password is wrong, or the account is deactivated.
    :raises RateLimited: too many failed from this address, or for this account from this address.
    """
    name = username.strip().lower()
    while proven := await _proven(parley, name, password, address=address):
        outdated = parley.passwords.is_outdated(proven.password_hash)
        rehashed = await parley.passwords.hash(password) if outdated else proven.password_hash
        async with parley.transaction() as tx:
            if user := await _locked(tx, proven):
                user.password_hash = rehashed
                return await sessions.open_session(tx, parley.tokens, user=user, address=address, device=device)
    raise NotAuthenticated("The user name or the password is wrong.")


async def change_password(
    parley: "Parley", *, actor: UUID, session_id: UUID, current_password: str, new_password: str, address: str
) -> None:
    """Change one's password, which ends all of one's sessions but one.

    :param session_id: the session that goes on.
    :param current_password: a wrong one counts as a failed sign-in. :param new_password: 8 to 256 characters.
    :param address: where the request came from.
    :raises Forbidden: the current password is wrong.
    :raises ValidationFailed: the new one is outside its limits.
    :raises RateLimited: too many sign-ins failed from this address, or for this account from this address.
    """
    check_password("new_password", new_password, settings=parley.settings)
    async with parley.snapshot() as tx:
        username = (await tx.session.get_one(models.User, actor)).username
    while proven := await _proven(parley, username, current_password, address=address):
        password_hash = await parley.passwords.hash(new_password)
        async with parley.transaction() as tx:
            if user := await _locked(tx, proven):
                user.password_hash = password_hash
                await sessions.end_others(tx, actor=actor, keep=session_id)
                return
    raise Forbidden("The current password is wrong.", field="current_password")


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


async def search(
    tx: Transaction, *, actor: UUID, query: str, limit: int = 50, only_active: bool = False
) -> list[views.User]:
    """Find people by a part of their user name or display name; an empty query finds the first by name.

    :param query: at most 200 characters.
    :param only_active: whether administrators too find only people who can sign in, as all others do.
    :return: at most ``limit`` people; administrators see who administers and who is active.
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
    if only_active or not asking.is_admin:
        found = found.where(user.deactivated_at.is_(None))
    seen = describe.own_user if asking.is_admin else describe.user
    return [seen(row) for row in await tx.session.scalars(found)]


async def exist(tx: Transaction) -> bool:
    """Tell whether anyone has an account yet."""
    return bool(await tx.session.scalar(text("SELECT EXISTS (SELECT FROM users)")))


async def _admit(tx: Transaction, invite: str | None) -> None:
    if tx.settings.registration == "closed":
        raise Forbidden("This server takes no new accounts.")
    if tx.settings.registration == "invite":
        if not invite:
            raise Forbidden("You need an invitation to sign up here.")
        await invites.use(tx, code=invite)


async def _proven(parley: "Parley", username: str, password: str, *, address: str) -> models.User | None:
    """Return whose password this is; failing is limited, as guesses are."""
    limits = [
        (f"sign-in:{address}", Rate(parley.settings.failed_sign_ins_per_hour, HOUR)),
        (f"sign-in:{address}:{username[:64]}", Rate(parley.settings.failed_sign_ins_per_account, TEN_MINUTES)),
    ]
    await _take_all(parley, limits)
    try:
        user = await _verified(parley, username, password)
    except RateLimited:
        await _give_back(parley, limits)
        raise
    if user is None:
        FAILED_SIGN_INS.inc()
    else:
        await _give_back(parley, limits)
    return user


async def _locked(tx: Transaction, proven: models.User) -> models.User | None:
    """Return the same person for a change; None when the account changed since, and has to be proven again."""
    user = await tx.session.get_one(models.User, proven.id, with_for_update={"key_share": True})
    same = user.deactivated_at is None and user.password_hash == proven.password_hash
    return user if same else None


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
    return user if user is not None and known and user.deactivated_at is None else None


async def _by_username(tx: Transaction, username: str) -> models.User | None:
    return await tx.session.scalar(select(models.User).where(models.User.username == username))
