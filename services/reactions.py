"""Reactions to messages."""

from uuid import UUID

import emoji as emojis
from sqlalchemy import func, select

import models
from services import describe, messages, views
from services.errors import Conflict, ValidationFailed
from services.gate import enter, enter_to_write
from services.transaction import Transaction

MAX_EMOJI_PER_MESSAGE = 20
"""Different emoji that one message can bear."""


async def add(tx: Transaction, *, actor: UUID, chat_id: UUID, message_id: UUID, emoji: str) -> views.Message:
    """React to a message; changes nothing when the reaction is there already.

    :param emoji: one emoji (Unicode Technical Standard 51).
    :raises ParleyError: not a member, closed, no such message, no emoji, or too many different ones.
    """
    _check(emoji)
    chat = (await enter_to_write(tx, actor=actor, chat_id=chat_id)).chat
    message = await messages.undeleted(tx, chat_id, message_id)
    if await tx.session.get(models.Reaction, (message_id, emoji, actor)) is not None:
        return await describe.message_for(tx, message, actor=actor)
    await _refuse_too_many(tx, message_id, emoji)
    tx.session.add(models.Reaction(message_id=message_id, emoji=emoji, user_id=actor))
    return await messages.changed(tx, chat, message, actor=actor)


async def remove(tx: Transaction, *, actor: UUID, chat_id: UUID, message_id: UUID, emoji: str) -> views.Message:
    """Take one's reaction back; changes nothing when there is none.

    :raises ParleyError: not a member, closed, no such message, or no emoji.
    """
    _check(emoji)
    chat = (await enter_to_write(tx, actor=actor, chat_id=chat_id)).chat
    message = await messages.undeleted(tx, chat_id, message_id)
    reaction = await tx.session.get(models.Reaction, (message_id, emoji, actor))
    if reaction is None:
        return await describe.message_for(tx, message, actor=actor)
    await tx.session.delete(reaction)
    return await messages.changed(tx, chat, message, actor=actor)


async def list_of(tx: Transaction, *, actor: UUID, chat_id: UUID, message_id: UUID) -> dict[str, list[views.User]]:
    """Return everyone who reacted to a message, by emoji, the first first.

    :raises NotFound: not a member, or no such message.
    """
    await enter(tx, actor=actor, chat_id=chat_id)
    await messages.undeleted(tx, chat_id, message_id)
    rows = await tx.session.execute(
        select(models.Reaction.emoji, models.User)
        .join(models.User, models.User.id == models.Reaction.user_id)
        .where(models.Reaction.message_id == message_id)
        .order_by(models.Reaction.created_at)
    )
    reacted: dict[str, list[views.User]] = {}
    for emoji, user in rows:
        reacted.setdefault(emoji, []).append(describe.user(user))
    return reacted


def _check(emoji: str) -> None:
    if not emojis.is_emoji(emoji):
        raise ValidationFailed("emoji", "must be one emoji")


async def _refuse_too_many(tx: Transaction, message_id: UUID, emoji: str) -> None:
    reaction = models.Reaction
    others = await tx.session.scalar(
        select(func.count(reaction.emoji.distinct())).where(
            reaction.message_id == message_id, reaction.emoji != emoji
        )
    )
    if (others or 0) >= MAX_EMOJI_PER_MESSAGE:
        raise Conflict(f"A message bears at most {MAX_EMOJI_PER_MESSAGE} different emoji.")
