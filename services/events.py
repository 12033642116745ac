"""What services announce once a change is committed; a node's hub delivers it, the bus carries it to other nodes.

Frames are encoded here, once, whoever and however many receive them.
"""

from uuid import UUID

import msgspec
from msgspec import Struct

from services import frames, views


class Announcement(Struct, frozen=True, kw_only=True):
    """One numbered change of one chat.

    :param frame: what all members get. :param joined: who became a member with it, and gets ``welcome`` before it.
    :param left: who stopped being one with it, and gets only that news.
    :param written_at: when a new message was written, in seconds since 1970; to measure how long it takes.
    """

    chat_id: UUID
    seq: int
    frame: bytes | None = None
    joined: tuple[UUID, ...] = ()
    welcome: bytes | None = None
    left: UUID | None = None
    written_at: float | None = None


class ReadMoved(Struct, frozen=True):
    """Someone's read mark moved; takes no number."""

    chat_id: UUID
    user_id: UUID
    seq: int


class Typed(Struct, frozen=True):
    """Someone is typing; takes no number."""

    chat_id: UUID
    user_id: UUID


def message_created(message: views.Message) -> Announcement:
    """Announce a new message."""
    frame = frames.MessageCreated(chat_id=message.chat_id, seq=message.seq, message=message)
    return Announcement(
        chat_id=message.chat_id,
        seq=message.seq,
        frame=frames.encode(frame),
        written_at=message.created_at.timestamp(),
    )


def message_updated(message: views.Message) -> Announcement:
    """Announce that a message's text, reactions or existence changed."""
    frame = frames.MessageUpdated(chat_id=message.chat_id, seq=message.version, message=message)
    return Announcement(chat_id=message.chat_id, seq=message.version, frame=frames.encode(frame))


def chat_created(chat: views.Chat, users: list[views.User]) -> Announcement:
    """Announce a new chat to those in it."""
    return Announcement(
        chat_id=chat.id,
        seq=chat.seq,
        joined=tuple(user.id for user in users),
        welcome=frames.encode(frames.ChatAdded(chat=chat, users=users)),
    )


def chat_updated(chat: views.Chat) -> Announcement:
    """Announce that a chat was renamed, closed, reopened or handed over."""
    frame = frames.ChatUpdated(chat_id=chat.id, seq=chat.seq, chat=chat)
    return Announcement(chat_id=chat.id, seq=chat.seq, frame=frames.encode(frame))


def member_added(chat: views.Chat, user: views.User, welcome_users: list[views.User]) -> Announcement:
    """Announce a new member to the chat, and the chat to the new member."""
    return Announcement(
        chat_id=chat.id,
        seq=chat.seq,
        frame=frames.encode(frames.MemberAdded(chat_id=chat.id, seq=chat.seq, user=user)),
        joined=(user.id,),
        welcome=frames.encode(frames.ChatAdded(chat=chat, users=welcome_users)),
    )


def member_removed(chat: views.Chat, user: views.User) -> Announcement:
    """Announce to the chat, and to the one concerned, that someone is no longer in it."""
    frame = frames.MemberRemoved(chat_id=chat.id, seq=chat.seq, user=user)
    return Announcement(chat_id=chat.id, seq=chat.seq, frame=frames.encode(frame), left=user.id)


def chat_removed(chat_id: UUID) -> bytes:
    """Encode what someone gets who is no longer a member."""
    return frames.encode(frames.ChatRemoved(chat_id=chat_id))


pack = msgspec.msgpack.Encoder().encode
unpack_announcements = msgspec.msgpack.Decoder(list[Announcement]).decode
unpack_reads = msgspec.msgpack.Decoder(list[ReadMoved]).decode
unpack_typed = msgspec.msgpack.Decoder(Typed).decode
