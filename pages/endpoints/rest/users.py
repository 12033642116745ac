"""People to start a chat with."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer
from pages.endpoints.problems import documented
from services import accounts, views
from services.errors import NotFound

router = APIRouter(prefix="/users", tags=["people"])


@dataclass(frozen=True, slots=True)
class UserList:
    """People; administrators also see who administers."""

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
