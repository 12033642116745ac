"""Messages and the reactions to them."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from pages.endpoints.access import Caller, Node, answer, nothing
from pages.endpoints.inputs import Input
from pages.endpoints.problems import documented
from services import limits, messages, reactions, views
from services.errors import Conflict, Forbidden, NotFound, RateLimited
from services.messages import LARGEST_SEQ

router = APIRouter(prefix="/chats/{chat_id}/messages", tags=["messages"])


class NewMessage(Input):
    """A message to send; ``nonce`` makes a retry harmless."""

    body: Annotated[str, Field(examples=["Hello **all**"], description="Markdown, 1 to 16,000 characters")]
    nonce: Annotated[str | None, Field(examples=["3f1c"], description="1 to 64 printable ASCII characters")] = None
    reply_to: UUID | None = None


class NewBody(Input):
    """A message's new text."""

    body: Annotated[str, Field(examples=["Hello everyone"], description="Markdown, 1 to 16,000 characters")]


@dataclass(frozen=True, slots=True)
class ReactionList:
    """Everyone who reacted, by emoji."""

    reactions: dict[str, list[views.User]]


@router.get("", response_model=views.MessagePage, responses=documented(NotFound))
async def page(
    chat_id: UUID,
    caller: Caller,
    parley: Node,
    before: Annotated[int | None, Query(ge=0, le=LARGEST_SEQ, description="only messages with a lower seq")] = None,
    limit: Annotated[int, Query(description="1 to 100")] = messages.PAGE_SIZE,
) -> Response:
    """Read messages, newest first."""
    async with parley.snapshot() as tx:
        found = await messages.page(
            tx, parley.cache, actor=caller.user.id, chat_id=chat_id, before=before, limit=limit
        )
    return answer(found)


@router.post(
    "",
    status_code=201,
    response_model=views.Message,
    responses={
        200: {"model": views.Message, "description": "The nonce is known; this is its message."},
        **documented(NotFound, Conflict, RateLimited),
    },
)
async def send(chat_id: UUID, body: NewMessage, caller: Caller, parley: Node) -> Response:
    """Send a message. A known nonce answers 200 with the message it made."""
    await limits.take_send(parley, user_id=caller.user.id)
    message, is_new = await parley.sends.send(
        actor=caller.user.id, chat_id=chat_id, body=body.body, nonce=body.nonce, reply_to=body.reply_to
    )
    return answer(message, 201 if is_new else 200)


@router.patch("/{message_id}", response_model=views.Message, responses=documented(Forbidden, NotFound, Conflict))
async def edit(chat_id: UUID, message_id: UUID, body: NewBody, caller: Caller, parley: Node) -> Response:
    """Change the text of one's own message."""
    async with parley.transaction() as tx:
        message = await messages.edit(
            tx, actor=caller.user.id, chat_id=chat_id, message_id=message_id, body=body.body
        )
    return answer(message)


@router.delete("/{message_id}", status_code=204, responses=documented(Forbidden, NotFound, Conflict))
async def delete(chat_id: UUID, message_id: UUID, caller: Caller, parley: Node) -> Response:
    """Delete one's own message, or any as the chat's owner."""
    async with parley.transaction() as tx:
        await messages.delete(tx, actor=caller.user.id, chat_id=chat_id, message_id=message_id)
    return nothing()


@router.get("/{message_id}/reactions", response_model=ReactionList, responses=documented(NotFound))
async def reactions_of(chat_id: UUID, message_id: UUID, caller: Caller, parley: Node) -> Response:
    """Return everyone who reacted, by emoji."""
    async with parley.snapshot() as tx:
        found = await reactions.list_of(tx, actor=caller.user.id, chat_id=chat_id, message_id=message_id)
    return answer(ReactionList(found))


@router.put(
    "/{message_id}/reactions/{emoji}",
    response_model=views.Message,
    responses=documented(NotFound, Conflict),
)
async def react(chat_id: UUID, message_id: UUID, emoji: str, caller: Caller, parley: Node) -> Response:
    """React to a message with an emoji."""
    async with parley.transaction() as tx:
        message = await reactions.add(tx, actor=caller.user.id, chat_id=chat_id, message_id=message_id, emoji=emoji)
    return answer(message)


@router.delete("/{message_id}/reactions/{emoji}", status_code=204, responses=documented(NotFound, Conflict))
async def take_back(chat_id: UUID, message_id: UUID, emoji: str, caller: Caller, parley: Node) -> Response:
    """Take a reaction back."""
    async with parley.transaction() as tx:
        await reactions.remove(tx, actor=caller.user.id, chat_id=chat_id, message_id=message_id, emoji=emoji)
    return nothing()
