"""Messages: editing, deleting and reading them; :mod:`services.send_writer` writes new ones."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import json
from sqlalchemy import BigInteger, Integer, Select, Uuid, bindparam, select
from sqlalchemy import delete as delete_rows

import models
from models.prepared import Prepared
from services import describe, events, markdown, views
from services.cache import Cache, Lease
from services.errors import Forbidden, NotFound, ValidationFailed
from services.gate import enter, enter_to_look, enter_to_write, next_seq
from services.texts import clean_body
from services.transaction import Transaction

PAGE_SIZE = 50
"""Messages on a page when the caller does not say."""

PAGE_KEPT = 300.0
"""Seconds that the newest page of a chat is cached; its key holds the chat's number, so it is never outdated."""

LARGEST_SEQ = 2**63 - 1
"""No chat's number is higher."""

_decode_page = json.Decoder(views.MessagePage).decode


async def edit(tx: Transaction, *, actor: UUID, chat_id: UUID, message_id: UUID, body: str) -> views.Message:
    """Change the text of one's own message.

    :raises ParleyError: not a member, closed, no such message, not one's own, or the text is outside its limits.
    """
    chat = (await enter_to_write(tx, actor=actor, chat_id=chat_id)).chat
    message = await undeleted(tx, chat_id, message_id)
    if message.author_id != actor:
        raise Forbidden("Only the author may edit a message.")
    text = clean_body("body", body, longest=tx.settings.max_message_length)
    if text != message.body:
        message.body, message.html, message.edited_at = text, markdown.render(text), datetime.now(UTC)
        return await changed(tx, chat, message, actor=actor)
    return await describe.message_for(tx, message, actor=actor)


async def delete(tx: Transaction, *, actor: UUID, chat_id: UUID, message_id: UUID) -> views.Message:
    """Delete one's own message, or any as the chat's owner; its text and reactions are gone for good.

    :raises ParleyError: not a member, closed, no such message, or not allowed.
    """
    chat = (await enter_to_write(tx, actor=actor, chat_id=chat_id)).chat
    message = await _message(tx, chat_id, message_id)
    if actor not in {message.author_id, chat.owner_id}:
        raise Forbidden("Only the author and the chat's owner may delete a message.")
    if message.deleted_at is not None:
        return describe.message(message)
    message.body, message.html, message.deleted_at = None, None, datetime.now(UTC)
    await tx.session.execute(delete_rows(models.Reaction).where(models.Reaction.message_id == message_id))
    return await changed(tx, chat, message, actor=actor)


async def get(tx: Transaction, *, actor: UUID, message_id: UUID) -> views.Message:
    """Read one message.

    :raises NotFound: there is no such message, or the actor is not in its chat.
    """
    message = await tx.session.get(models.Message, message_id)
    if message is None:
        raise NotFound("There is no such message.")
    await enter(tx, actor=actor, chat_id=message.chat_id)
    return await describe.message_for(tx, message, actor=actor)


async def page(
    tx: Transaction, cache: Cache, *, actor: UUID, chat_id: UUID, before: int | None = None, limit: int = PAGE_SIZE
) -> views.MessagePage:
    """Read messages, newest first.

    :param tx: a snapshot. :param before: only messages with a lower ``seq``. :param limit: 1 to 100.
    :raises ParleyError: not a member, or the limit is outside its limits.
    """
    check_limit(tx, limit)
    if before is None and limit == PAGE_SIZE:
        return (await newest(tx, cache, actor=actor, chat_id=chat_id))[1]
    await enter_to_look(tx, actor=actor, chat_id=chat_id)
    return await _read_page(tx, chat_id, before=before, limit=limit, actor=actor)


async def newest(tx: Transaction, cache: Cache, *, actor: UUID, chat_id: UUID) -> tuple[int, views.MessagePage]:
    """Read the newest messages of a chat, from the cache where it knows them.

    :param tx: a snapshot.
    :return: the chat's number as of which they are, and the messages, newest first.
    :raises NotFound: not a member.
    """
    seq = await enter_to_look(tx, actor=actor, chat_id=chat_id)
    key = f"page:{chat_id}:{seq}"
    found = await cache.get(key)
    if isinstance(found, Lease):
        shown = await _read_page(tx, chat_id, before=None, limit=PAGE_SIZE, actor=None)
        await cache.fill(key, found, json.encode(shown), ttl=PAGE_KEPT)
    else:
        shown = _decode_page(found)
    return seq, await _own_reactions_first(tx, shown, actor)


def check_limit(tx: Transaction, limit: int) -> None:
    """Check a page size.

    :raises ValidationFailed: it is outside its limits.
    """
    if not 1 <= limit <= tx.settings.max_page_size:
        raise ValidationFailed("limit", f"must be 1 to {tx.settings.max_page_size}")


async def undeleted(tx: Transaction, chat_id: UUID, message_id: UUID) -> models.Message:
    """Fetch a message that still has a text.

    :raises NotFound: there is no such message in the chat, or it is deleted.
    """
    message = await _message(tx, chat_id, message_id)
    if message.deleted_at is not None:
        raise NotFound("This message is deleted.")
    return message


async def changed(tx: Transaction, chat: models.Chat, message: models.Message, *, actor: UUID) -> views.Message:
    """Number and announce a change of a message.

    :return: the message as the actor sees it.
    """
    message.version = next_seq(chat)
    await tx.session.flush()
    view = await describe.message_for(tx, message)
    tx.announce(events.message_updated(view))
    return await describe.message_for(tx, message, actor=actor) if view.reactions else view


async def _message(tx: Transaction, chat_id: UUID, message_id: UUID) -> models.Message:
    message = await tx.session.get(models.Message, message_id)
    if message is None or message.chat_id != chat_id:
        raise NotFound("There is no such message.")
    return message


async def _read_page(
    tx: Transaction, chat_id: UUID, *, before: int | None, limit: int, actor: UUID | None
) -> views.MessagePage:
    bound = LARGEST_SEQ if before is None else before
    rows = await tx.driver.fetch(_PAGE, chat_id=chat_id, before=bound, limit=limit + 1)
    described = await describe.read_messages(tx, rows[:limit], actor=actor)
    return views.MessagePage(messages=described, more=len(rows) > limit)


def _page() -> Select[Any]:
    message = models.Message
    return (
        select(*describe.message_columns())
        .where(
            message.chat_id == bindparam("chat_id", type_=Uuid()),
            message.seq < bindparam("before", type_=BigInteger()),
        )
        .order_by(message.seq.desc())
        .limit(bindparam("limit", type_=Integer()))
    )


_PAGE = Prepared(_page())


async def _own_reactions_first(tx: Transaction, page: views.MessagePage, actor: UUID) -> views.MessagePage:
    reacted = [message.id for message in page.messages if message.reactions]
    if not reacted:
        return page
    own = await describe.reactions(tx, reacted, actor=actor)
    messages = [
        replace(message, reactions=own.get(message.id, {})) if message.reactions else message
        for message in page.messages
    ]
    return views.MessagePage(messages=messages, more=page.more)
