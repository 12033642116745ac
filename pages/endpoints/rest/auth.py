"""Signing up, in and out, and oneself."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from pages.credentials import address_of, clear_cookie, device_of, set_cookie
from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import accounts, sessions, views
from services.errors import Conflict, Forbidden, NotAuthenticated, RateLimited

router = APIRouter(tags=["accounts"])


class Registration(Input):
    """A new account."""

    username: Annotated[str, Field(examples=["ada"], description="3 to 32 characters of a-z, 0-9, _, . and -")]
    password: Annotated[str, Field(examples=["correct horse battery"], description="8 to 256 characters")]
    display_name: Annotated[str | None, Field(examples=["Ada"], description="1 to 64 characters")] = None
    invite: Annotated[str | None, Field(description="the code of an invitation, where they are needed")] = None


class Credentials(Input):
    """A user name and its password."""

    username: Annotated[str, Field(examples=["ada"])]
    password: Annotated[str, Field(examples=["correct horse battery"])]


class Profile(Input):
    """What one may change of oneself."""

    display_name: Annotated[str, Field(examples=["Ada L."], description="1 to 64 characters")]


class PasswordChange(Input):
    """The password one has, and the one that replaces it."""

    current_password: Annotated[str, Field(examples=["correct horse battery"])]
    new_password: Annotated[str, Field(examples=["staple battery horse"], description="8 to 256 characters")]


@router.post(
    "/auth/register",
    status_code=201,
    response_model=views.SignedIn,
    responses=documented(Forbidden, Conflict, RateLimited),
)
async def register(body: Registration, request: Request, parley: Node) -> Response:
    """Make an account and sign it in. The first account is the administrator."""
    signed_in = await accounts.register(
        parley,
        username=body.username,
        password=body.password,
        display_name=body.display_name,
        invite=body.invite,
        address=address_of(request),
        device=device_of(request),
    )
    response = answer(signed_in, 201)
    set_cookie(response, request, parley, signed_in)
    return response


@router.post("/auth/login", response_model=views.SignedIn, responses=documented(NotAuthenticated, RateLimited))
async def login(body: Credentials, request: Request, parley: Node) -> Response:
    """Sign in."""
    signed_in = await accounts.sign_in(
        parley,
        username=body.username,
        password=body.password,
        address=address_of(request),
        device=device_of(request),
    )
    response = answer(signed_in)
    set_cookie(response, request, parley, signed_in)
    return response


@router.post("/auth/logout", status_code=204, responses=documented())
async def logout(caller: Caller, parley: Node) -> Response:
    """End this session, here and wherever it is in use."""
    async with parley.transaction() as tx:
        await sessions.end(tx, actor=caller.user.id, session_id=caller.id)
    response = nothing()
    clear_cookie(response)
    return response


@router.get("/me", response_model=views.OwnUser, responses=documented())
async def me(caller: Caller, parley: Node) -> Response:
    """Return the signed-in person."""
    async with parley.snapshot() as tx:
        return answer(await accounts.me(tx, actor=caller.user.id))


@router.patch("/me", response_model=views.OwnUser, responses=documented())
async def rename(body: Profile, caller: Caller, parley: Node) -> Response:
    """Change one's display name."""
    async with parley.transaction() as tx:
        changed = await accounts.rename(tx, actor=caller.user.id, display_name=body.display_name)
    return answer(changed)


@router.post("/me/password", status_code=204, responses=documented(Forbidden, RateLimited))
async def change_password(body: PasswordChange, request: Request, caller: Caller, parley: Node) -> Response:
    """Change one's password, which ends all of one's other sessions; a wrong one counts as a failed sign-in."""
    await accounts.change_password(
        parley,
        actor=caller.user.id,
        session_id=caller.id,
        current_password=body.current_password,
        new_password=body.new_password,
        address=address_of(request),
    )
    return nothing()
