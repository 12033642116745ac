"""Messages: sending, editing, deleting, reading them."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from msgspec import json
from sqlalchemy import delete as delete_rows
from sqlalchemy import select

import models
from services import describe, events, markdown, views
from services.cache import Cache, Lease
from services.errors import Forbidden, NotFound, ValidationFailed
from services.gate import Entry, enter, enter_to_change, enter_to_write, next_seq, refuse_closed
from services.texts import clean_body, clean_nonce
from services.transaction import Transaction

PAGE_SIZE = 50
"""Messages on a page when the caller does not say."""

PAGE_KEPT = 300.0
"""Seconds that the newest page of a chat is cached; its key holds the chat's number, so it is never outdated."""

_decode_page = json.Decoder(views.MessagePage).decode


async def send(
    tx: Transaction,
    *,
    actor: UUID,
    chat_id: UUID,
    body: str,
    nonce: str | None = None,
    reply_to: UUID | None = None,
) -> tuple[views.Message, bool]:
    """Write a message.

    :param body: Markdown, 1 to 16,000 characters after trimming.
    :param nonce: the sender's own mark, 1 to 64 printable ASCII characters. A known one answers with its message
        as it is now, whatever the rest says.
    :param reply_to: a message of the same chat.
    :return: the message, and whether it is new.
    :raises ParleyError: not a member, closed, or a field is outside its limits.
    """
    if nonce is not None:
        clean_nonce(nonce)
    entry = await enter_to_change(tx, actor=actor, chat_id=chat_id)
    known = await _known(tx, actor, chat_id, nonce)
    if known is not None:
        return await describe.message_for(tx, known, actor=actor), False
    refuse_closed(entry.chat)
    text = clean_body("body", body, longest=tx.settings.max_message_length)
    if reply_to is not None:
        await _message(tx, chat_id, reply_to, field="reply_to")
    view = describe.message(await _insert(tx, entry, text, nonce, reply_to))
    tx.announce(events.message_created(view))
    tx.moved_read(chat_id, actor, view.seq)
    return view, True


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


async def page(
    tx: Transaction, cache: Cache, *, actor: UUID, chat_id: UUID, before: int | None = None, limit: int = PAGE_SIZE
) -> views.MessagePage:
    """Read messages, newest first.

    :param tx: a snapshot. :param before: only messages with a lower ``seq``. :param limit: 1 to 100.
    :raises ParleyError: not a member, or the limit is outside its limits.
    """
    check_limit(tx, limit)
    chat = (await enter(tx, actor=actor, chat_id=chat_id)).chat
    if before is not None or limit != PAGE_SIZE:
        return await _read_page(tx, chat_id, before=before, limit=limit, actor=actor)
    key = f"page:{chat_id}:{chat.seq}"
    found = await cache.get(key)
    if isinstance(found, Lease):
        newest = await _read_page(tx, chat_id, before=None, limit=limit, actor=None)
        await cache.fill(key, found, json.encode(newest), ttl=PAGE_KEPT)
    else:
        newest = _decode_page(found)
    return await _own_reactions_first(tx, newest, actor)


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


async def _known(tx: Transaction, actor: UUID, chat_id: UUID, nonce: str | None) -> models.Message | None:
    if nonce is None:
        return None
    row = models.Message
    return await tx.session.scalar(
        select(row).where(row.chat_id == chat_id, row.author_id == actor, row.nonce == nonce)
    )


async def _insert(
    tx: Transaction, entry: Entry, body: str, nonce: str | None, reply_to: UUID | None
) -> models.Message:
    chat, member = entry.chat, entry.member
    seq = next_seq(chat)
    chat.message_count += 1
    message = models.Message(
        id=models.new_id(),
        chat_id=chat.id,
        seq=seq,
        version=seq,
        ordinal=chat.message_count,
        author_id=member.user_id,
        nonce=nonce,
        body=body,
        html=markdown.render(body),
        reply_to=reply_to,
        created_at=datetime.now(UTC),
    )
    member.read_seq, member.read_ordinal = seq, chat.message_count
    tx.session.add(message)
    await tx.session.flush()
    return message


async def _message(tx: Transaction, chat_id: UUID, message_id: UUID, *, field: str | None = None) -> models.Message:
    message = await tx.session.get(models.Message, message_id)
    if message is not None and message.chat_id == chat_id:
        return message
    if field:
        raise ValidationFailed(field, "names no message of this chat")
    raise NotFound("There is no such message.")


async def _read_page(
    tx: Transaction, chat_id: UUID, *, before: int | None, limit: int, actor: UUID | None
) -> views.MessagePage:
    row = models.Message
    query = select(row).where(row.chat_id == chat_id).order_by(row.seq.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(row.seq < before)
    rows = list(await tx.session.scalars(query))
    return views.MessagePage(messages=await describe.messages(tx, rows[:limit], actor=actor), more=len(rows) > limit)


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
