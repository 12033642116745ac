"""People to start a chat with, and what administrators do to their accounts."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import accounts, administration, views
from services.errors import Conflict, Forbidden, NotFound, RateLimited

router = APIRouter(prefix="/users", tags=["people"])


class NewPassword(Input):
    """A password for someone else."""

    new_password: Annotated[str, Field(examples=["staple battery horse"], description="8 to 256 characters")]


@dataclass(frozen=True, slots=True)
class UserList:
    """People; administrators also see who administers, and those who are not active."""

    users: list[views.OwnUser | views.User]


@router.get("", response_model=UserList, responses=documented())
async def search(
    caller: Caller, parley: Node, q: Annotated[str, Query(description="part of a name", examples=["ada"])] = ""
) -> Response:
    """Find people by part of their name; at most 50."""
    async with parley.snapshot() as tx:
        return answer(UserList(list(await accounts.search(tx, actor=caller.user.id, query=q))))


@router.get("/{user_id}", response_model=views.OwnUser | views.User, responses=documented(NotFound))
async def get(user_id: UUID, caller: Caller, parley: Node) -> Response:
    """Return one person."""
    async with parley.snapshot() as tx:
        return answer(await accounts.get(tx, actor=caller.user.id, user_id=user_id))


@router.post("/{user_id}/deactivate", status_code=204, responses=documented(Forbidden, NotFound, Conflict))
async def deactivate(user_id: UUID, caller: Caller, parley: Node) -> Response:
    """End someone's access, for administrators: all their sessions end, and they cannot sign in."""
    async with parley.transaction() as tx:
        await administration.deactivate(tx, actor=caller.user.id, user_id=user_id)
    return nothing()


@router.post("/{user_id}/reactivate", status_code=204, responses=documented(Forbidden, NotFound))
async def reactivate(user_id: UUID, caller: Caller, parley: Node) -> Response:
    """Let someone sign in again, for administrators."""
    async with parley.transaction() as tx:
        await administration.reactivate(tx, actor=caller.user.id, user_id=user_id)
    return nothing()


@router.post("/{user_id}/password", status_code=204, responses=documented(Forbidden, NotFound, RateLimited))
async def set_password(user_id: UUID, body: NewPassword, caller: Caller, parley: Node) -> Response:
    """Give someone another password who forgot theirs, for administrators: all their sessions end."""
    await administration.set_password(parley, actor=caller.user.id, user_id=user_id, new_password=body.new_password)
    return nothing()
