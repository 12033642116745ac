"""Search."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer
from pages.endpoints.problems import documented
from services import search, views
from services.errors import NotFound, ValidationFailed

router = APIRouter(prefix="/search", tags=["search"])


@dataclass(frozen=True, slots=True)
class Hits:
    """Messages that a search found, newest first."""

    messages: list[views.Hit]
    more: bool


@router.get("", response_model=Hits, responses=documented(NotFound))
async def find(
    caller: Caller,
    parley: Node,
    q: Annotated[str, Query(description="beginnings of words, 1 to 200 characters", examples=["hello"])],
    chat_id: Annotated[UUID | None, Query(description="only in this chat")] = None,
    before: Annotated[
        str | None, Query(description="only older: a time (RFC 3339), or a seq with chat_id", examples=["120"])
    ] = None,
    limit: Annotated[int, Query(description="1 to 100")] = 50,
) -> Response:
    """Find messages, only among those that one may read."""
    async with parley.snapshot() as tx:
        found, more = await search.search(
            tx, actor=caller.user.id, query=q, chat_id=chat_id, before=_position(before), limit=limit
        )
    return answer(Hits(found, more))


def _position(before: str | None) -> datetime | int | None:
    if before is None:
        return None
    if before.isascii() and before.isdigit() and len(before) < 19:
        return int(before)
    try:
        time = datetime.fromisoformat(before)
    except ValueError:
        raise ValidationFailed("before", "must be a number or a time such as 2026-01-31T12:00:00Z") from None
    if time.tzinfo is None:
        raise ValidationFailed("before", "must say its time zone, such as 2026-01-31T12:00:00Z")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValidationFailed("before", "must be a time of the years 1 to 9999") from None
