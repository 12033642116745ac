"""What each request over ``/ws`` does: one service function, and its answers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from services import frames, limits, messages, reactions, reads, sync
from services.errors import NotFound
from services.frames import Answer
from services.parley import Parley
from services.send_writer import Sent


async def perform(parley: Parley, actor: UUID, request: frames.Request) -> list[Answer]:
    """Do what a request asks.

    :return: the answers to send, in order.
    :raises ParleyError: it is refused.
    """
    return await HANDLERS[type(request)](parley, actor, request)


async def message_send(parley: Parley, actor: UUID, request: frames.MessageSend) -> list[Answer]:
    """Write a message."""
    message, _ = await (await queue_send(parley, actor, request))
    return [frames.Ack(re=request.id, message=message)]


async def queue_send(parley: Parley, actor: UUID, request: frames.MessageSend) -> asyncio.Future[Sent]:
    """Line a message up to be written; what is queued after it is written after it.

    :return: done once the message is durable. :raises ParleyError: it is refused already.
    """
    await limits.take_send(parley, user_id=actor)
    return parley.sends.send(
        actor=actor,
        chat_id=request.chat_id,
        body=request.body,
        nonce=request.nonce,
        reply_to=request.reply_to,
    )


async def message_edit(parley: Parley, actor: UUID, request: frames.MessageEdit) -> list[Answer]:
    """Change the text of one's own message."""
    async with parley.transaction() as tx:
        message = await messages.edit(
            tx, actor=actor, chat_id=request.chat_id, message_id=request.message_id, body=request.body
        )
    return [frames.Ack(re=request.id, message=message)]


async def message_delete(parley: Parley, actor: UUID, request: frames.MessageDelete) -> list[Answer]:
    """Delete a message."""
    async with parley.transaction() as tx:
        message = await messages.delete(tx, actor=actor, chat_id=request.chat_id, message_id=request.message_id)
    return [frames.Ack(re=request.id, message=message)]


async def reaction_add(parley: Parley, actor: UUID, request: frames.ReactionAdd) -> list[Answer]:
    """React to a message."""
    async with parley.transaction() as tx:
        message = await reactions.add(
            tx, actor=actor, chat_id=request.chat_id, message_id=request.message_id, emoji=request.emoji
        )
    return [frames.Ack(re=request.id, message=message)]


async def reaction_remove(parley: Parley, actor: UUID, request: frames.ReactionRemove) -> list[Answer]:
    """Take a reaction back."""
    async with parley.transaction() as tx:
        message = await reactions.remove(
            tx, actor=actor, chat_id=request.chat_id, message_id=request.message_id, emoji=request.emoji
        )
    return [frames.Ack(re=request.id, message=message)]


async def typing(parley: Parley, actor: UUID, request: frames.Typing) -> list[Answer]:
    """Show the others that one is typing."""
    await parley.typed(actor=actor, chat_id=request.chat_id)
    return []


async def read(parley: Parley, actor: UUID, request: frames.Read) -> list[Answer]:
    """Move one's read mark."""
    async with parley.transaction() as tx:
        await reads.mark(tx, actor=actor, chat_id=request.chat_id, seq=request.seq)
    return [frames.Ack(re=request.id)]


async def history(parley: Parley, actor: UUID, request: frames.History) -> list[Answer]:
    """Read a page of messages."""
    async with parley.snapshot() as tx:
        page = await messages.page(
            tx, parley.cache, actor=actor, chat_id=request.chat_id, before=request.before, limit=request.limit
        )
    return [frames.HistoryPage(re=request.id, chat_id=request.chat_id, messages=page.messages, more=page.more)]


async def catch_up(parley: Parley, actor: UUID, request: frames.Sync) -> list[Answer]:
    """Read what changed in chats."""
    return [await _changes(parley, actor, request, chat_id, since) for chat_id, since in request.chats.items()]


async def ping(_parley: Parley, _actor: UUID, request: frames.Ping) -> list[Answer]:
    """Give a sign of life."""
    return [frames.Pong(re=request.id)]


Handler = Callable[[Parley, UUID, Any], Coroutine[Any, Any, list[Answer]]]

HANDLERS: dict[type[frames.Request], Handler] = {
    frames.MessageSend: message_send,
    frames.MessageEdit: message_edit,
    frames.MessageDelete: message_delete,
    frames.ReactionAdd: reaction_add,
    frames.ReactionRemove: reaction_remove,
    frames.Typing: typing,
    frames.Read: read,
    frames.History: history,
    frames.Sync: catch_up,
    frames.Ping: ping,
}


async def _changes(parley: Parley, actor: UUID, request: frames.Sync, chat_id: UUID, since: int) -> Answer:
    try:
        async with parley.snapshot() as tx:
            changes = await sync.changes(tx, actor=actor, chat_id=chat_id, since=since)
    except NotFound:
        return frames.ChatRemoved(re=request.id, chat_id=chat_id)
    return frames.SyncPage.of(changes, request.id)
