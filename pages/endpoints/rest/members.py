"""Who is in a chat."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import members, views
from services.errors import Conflict, Forbidden, NotFound

router = APIRouter(prefix="/chats/{chat_id}/members", tags=["members"])


class NewMember(Input):
    """The person to add."""

    user_id: UUID


@dataclass(frozen=True, slots=True)
class MemberList:
    """Members."""

    members: list[views.Member]


@router.get("", response_model=MemberList, responses=documented(NotFound))
async def list_of(chat_id: UUID, caller: Caller, parley: Node) -> Response:
    """Return the members of a chat, by name."""
    async with parley.snapshot() as tx:
        return answer(MemberList(await members.list_of(tx, actor=caller.user.id, chat_id=chat_id)))


@router.post(
    "",
    status_code=201,
    response_model=views.Member,
    responses={
        200: {"model": views.Member, "description": "The person is a member already."},
        **documented(Forbidden, NotFound, Conflict),
    },
)
async def add(chat_id: UUID, body: NewMember, caller: Caller, parley: Node) -> Response:
    """Add someone to a group; for its owner."""
    async with parley.transaction() as tx:
        member, is_new = await members.add(tx, actor=caller.user.id, chat_id=chat_id, user_id=body.user_id)
    return answer(member, 201 if is_new else 200)


@router.delete("/{user_id}", status_code=204, responses=documented(Forbidden, NotFound, Conflict))
async def remove(chat_id: UUID, user_id: UUID, caller: Caller, parley: Node) -> Response:
    """Remove someone from a group, or leave it when it is oneself."""
    async with parley.transaction() as tx:
        await members.remove(tx, actor=caller.user.id, chat_id=chat_id, user_id=user_id)
    return nothing()
