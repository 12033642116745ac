"""Chats."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import chats, reads, sync, views
from services.errors import Conflict, Forbidden, NotFound
from services.messages import LARGEST_SEQ

router = APIRouter(prefix="/chats", tags=["chats"])

Seq = Annotated[int, Field(ge=0, le=LARGEST_SEQ, strict=True)]


class NewChat(Input):
    """A chat to start; a private one has exactly one other member and no title."""

    kind: views.ChatKind
    title: Annotated[str | None, Field(examples=["Family"], description="1 to 80 characters, for a group")] = None
    member_ids: Annotated[list[UUID], Field(default_factory=list)]


class Title(Input):
    """A group's title."""

    title: Annotated[str, Field(examples=["The family"], description="1 to 80 characters")]


class Heir(Input):
    """The member to hand over to."""

    user_id: UUID


class Mark(Input):
    """How far one has read."""

    seq: Seq


@dataclass(frozen=True, slots=True)
class ChatList:
    """Chats."""

    chats: list[views.MyChat]


@router.get("", response_model=ChatList, responses=documented())
async def list_own(caller: Caller, parley: Node) -> Response:
    """Return one's chats, the one with the newest message first."""
    async with parley.snapshot() as tx:
        return answer(ChatList(await chats.list_for(tx, actor=caller.user.id)))


@router.post(
    "",
    status_code=201,
    response_model=views.MyChat,
    responses={200: {"model": views.MyChat, "description": "The private chat exists already."}, **documented()},
)
async def create(body: NewChat, caller: Caller, parley: Node) -> Response:
    """Start a chat. The private chat of a pair exists once: 200 with what exists."""
    async with parley.transaction() as tx:
        chat, is_new = await chats.create(
            tx, actor=caller.user.id, kind=body.kind, title=body.title, member_ids=body.member_ids
        )
    return answer(chat, 201 if is_new else 200)


@router.get("/{chat_id}", response_model=views.MyChat, responses=documented(NotFound))
async def get(chat_id: UUID, caller: Caller, parley: Node) -> Response:
    """Return one chat."""
    async with parley.snapshot() as tx:
        return answer(await chats.get(tx, actor=caller.user.id, chat_id=chat_id))


@router.patch("/{chat_id}", response_model=views.MyChat, responses=documented(Forbidden, NotFound, Conflict))
async def rename(chat_id: UUID, body: Title, caller: Caller, parley: Node) -> Response:
    """Rename a group; for its owner."""
    async with parley.transaction() as tx:
        chat = await chats.rename(tx, actor=caller.user.id, chat_id=chat_id, title=body.title)
    return answer(chat)


@router.post("/{chat_id}/close", response_model=views.MyChat, responses=documented(Forbidden, NotFound, Conflict))
async def close(chat_id: UUID, caller: Caller, parley: Node) -> Response:
    """Close a group; for its owner. A closed chat can be read, not written."""
    async with parley.transaction() as tx:
        chat = await chats.close(tx, actor=caller.user.id, chat_id=chat_id)
    return answer(chat)


@router.post("/{chat_id}/reopen", response_model=views.MyChat, responses=documented(Forbidden, NotFound))
async def reopen(chat_id: UUID, caller: Caller, parley: Node) -> Response:
    """Open a closed group again; for its owner."""
    async with parley.transaction() as tx:
        chat = await chats.reopen(tx, actor=caller.user.id, chat_id=chat_id)
    return answer(chat)


@router.post("/{chat_id}/transfer", response_model=views.MyChat, responses=documented(Forbidden, NotFound, Conflict))
async def transfer(chat_id: UUID, body: Heir, caller: Caller, parley: Node) -> Response:
    """Hand a group over to another member; for its owner."""
    async with parley.transaction() as tx:
        chat = await chats.transfer(tx, actor=caller.user.id, chat_id=chat_id, user_id=body.user_id)
    return answer(chat)


@router.post("/{chat_id}/read", status_code=204, responses=documented(NotFound))
async def mark_read(chat_id: UUID, body: Mark, caller: Caller, parley: Node) -> Response:
    """Move one's read mark forward; it never goes back and never beyond the chat's number."""
    async with parley.transaction() as tx:
        await reads.mark(tx, actor=caller.user.id, chat_id=chat_id, seq=body.seq)
    return nothing()


@router.get("/{chat_id}/changes", response_model=views.Changes, responses=documented(NotFound))
async def changes(
    chat_id: UUID,
    caller: Caller,
    parley: Node,
    since: Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="the number up to which one knows the chat")],
    limit: Annotated[int, Query(description="1 to 100")] = sync.SYNC_PAGE,
) -> Response:
    """Return what changed in a chat since a number: the same as ``sync`` over ``/ws``."""
    async with parley.snapshot() as tx:
        return answer(await sync.changes(tx, actor=caller.user.id, chat_id=chat_id, since=since, limit=limit))
