"""Where one is signed in."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.problems import documented
from services import sessions, views
from services.errors import NotFound

router = APIRouter(prefix="/sessions", tags=["sessions"])


@dataclass(frozen=True, slots=True)
class SessionList:
    """Sign-ins."""

    sessions: list[views.OwnSession]


@router.get("", response_model=SessionList, responses=documented())
async def list_active(caller: Caller, parley: Node) -> Response:
    """Return where one is signed in, the latest sign-in first."""
    async with parley.snapshot() as tx:
        found = await sessions.list_active(tx, actor=caller.user.id, current=caller.id)
    return answer(SessionList(found))


@router.delete("/{session_id}", status_code=204, responses=documented(NotFound))
async def end(session_id: UUID, caller: Caller, parley: Node) -> Response:
    """End one of one's sessions."""
    async with parley.transaction() as tx:
        await sessions.end(tx, actor=caller.user.id, session_id=session_id)
    return nothing()


@router.delete("", status_code=204, responses=documented())
async def end_others(caller: Caller, parley: Node) -> Response:
    """End all of one's sessions but this one."""
    async with parley.transaction() as tx:
        await sessions.end_others(tx, actor=caller.user.id, keep=caller.id)
    return nothing()
