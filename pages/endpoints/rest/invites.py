"""Invitations, for administrators."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from pages.credentials import origin_of
from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import invites, views
from services.errors import Forbidden, NotFound

router = APIRouter(prefix="/invites", tags=["invitations"])


class NewInvite(Input):
    """How long an invitation holds, and how many it admits."""

    expires_in: Annotated[int, Field(strict=True, examples=[86400], description="seconds, at most a year")]
    uses: Annotated[int, Field(strict=True, examples=[1], description="1 to 10,000")]


@dataclass(frozen=True, slots=True)
class InviteList:
    """Invitations."""

    invites: list[views.Invite]


@router.get("", response_model=InviteList, responses=documented(Forbidden))
async def list_all(request: Request, caller: Caller, parley: Node) -> Response:
    """Return the invitations that still admit someone, the newest first."""
    async with parley.snapshot() as tx:
        found = await invites.list_all(tx, actor=caller.user.id, origin=origin_of(request, parley))
    return answer(InviteList(found))


@router.post("", status_code=201, response_model=views.Invite, responses=documented(Forbidden))
async def create(body: NewInvite, request: Request, caller: Caller, parley: Node) -> Response:
    """Make an invitation."""
    async with parley.transaction() as tx:
        invite = await invites.create(
            tx,
            actor=caller.user.id,
            expires_in=body.expires_in,
            uses=body.uses,
            origin=origin_of(request, parley),
        )
    return answer(invite, 201)


@router.delete("/{code}", status_code=204, responses=documented(Forbidden, NotFound))
async def withdraw(code: str, caller: Caller, parley: Node) -> Response:
    """Make an invitation useless."""
    async with parley.transaction() as tx:
        await invites.withdraw(tx, actor=caller.user.id, code=code)
    return nothing()
