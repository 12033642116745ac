"""Every frame of the WebSocket protocol, version 1, in both directions.

``docs/protocol.md`` is made from these types. A request may carry ``id``; its answer carries it as ``re``.
"""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from services.errors import ParleyError, ValidationFailed
from services.views import Changes, Chat, Member, Message, MyChat, OwnUser, User

PROTOCOL = 1

Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
RequestId = Annotated[str, Meta(max_length=128)] | Annotated[int, Meta(ge=-(2**53), le=2**53)]


class ClientFrame(Struct, tag_field="type", kw_only=True):
    """A request from a client."""

    id: RequestId | None = None


class MessageSend(ClientFrame, kw_only=True, tag="message.send"):
    """Write a message; ``nonce`` makes a retry harmless. Answer: ``ack`` once it is durable."""

    chat_id: UUID
    nonce: str
    body: str
    reply_to: UUID | None = None


class MessageEdit(ClientFrame, kw_only=True, tag="message.edit"):
    """Change the text of one's own message. Answer: ``ack``."""

    chat_id: UUID
    message_id: UUID
    body: str


class MessageDelete(ClientFrame, kw_only=True, tag="message.delete"):
    """Delete one's own message, or any as the chat's owner. Answer: ``ack``."""

    chat_id: UUID
    message_id: UUID


class ReactionAdd(ClientFrame, kw_only=True, tag="reaction.add"):
    """React with an emoji. Answer: ``ack``."""

    chat_id: UUID
    message_id: UUID
    emoji: str


class ReactionRemove(ClientFrame, kw_only=True, tag="reaction.remove"):
    """Take a reaction back. Answer: ``ack``."""

    chat_id: UUID
    message_id: UUID
    emoji: str


class Typing(ClientFrame, kw_only=True, tag="typing"):
    """Say that one is typing. No answer."""

    chat_id: UUID


class Read(ClientFrame, kw_only=True, tag="read"):
    """Move one's read mark forward to ``seq``. Answer: ``ack``."""

    chat_id: UUID
    seq: Seq


class History(ClientFrame, kw_only=True, tag="history"):
    """Read a page of messages, newest first, older than ``before``. Answer: ``history``."""

    chat_id: UUID
    before: Seq | None = None
    limit: int = 50


class Sync(ClientFrame, kw_only=True, tag="sync"):
    """Catch up with chats from the numbers given. Answer: one ``sync`` or ``chat.removed`` for each chat."""

    chats: dict[UUID, Seq]


class Ping(ClientFrame, kw_only=True, tag="ping"):
    """Ask for a sign of life. Answer: ``pong``."""


ChatRequest = MessageSend | MessageEdit | MessageDelete | ReactionAdd | ReactionRemove | Typing | Read | History
Request = ChatRequest | Sync | Ping


class ServerFrame(Struct, tag_field="type", kw_only=True):
    """An answer or an event from the server."""


class Answer(ServerFrame, kw_only=True):
    """The answer to a request; ``re`` is the request's ``id``, when it had one."""

    re: RequestId | UnsetType | None = UNSET


class Ack(Answer, kw_only=True, tag="ack"):
    """The request is done; ``message`` is the message as it is now, where the request was about one."""

    message: Message | UnsetType = UNSET


class HistoryPage(Answer, kw_only=True, tag="history"):
    """A page of messages, newest first; ``more`` says that older ones follow."""

    chat_id: UUID
    messages: list[Message]
    more: bool


class SyncPage(Answer, kw_only=True, tag="sync"):
    """What changed in a chat; also sent unasked (without ``re``) to fill a gap.

    ``seq`` is the cursor to go on from; ask again while ``more``. When ``reset``, this replaces what the client has.
    """

    chat_id: UUID
    seq: int
    chat: MyChat | Chat
    messages: list[Message]
    members: list[Member]
    users: list[User]
    reads: dict[UUID, int]
    more: bool
    reset: bool

    @classmethod
    def of(cls, changes: Changes, re: RequestId | UnsetType | None = UNSET) -> "SyncPage":
        """Turn a page of changes into a frame."""
        return cls(re=re, **{field: getattr(changes, field) for field in cls.__struct_fields__ if field != "re"})


class Pong(Answer, kw_only=True, tag="pong"):
    """A sign of life."""


class Error(Answer, kw_only=True, tag="error"):
    """The request failed; the connection goes on. ``retry_after`` is in seconds."""

    code: str
    detail: str
    field: str | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET

    @classmethod
    def of(cls, error: ParleyError, re: RequestId | UnsetType | None = UNSET) -> "Error":
        """Turn a refusal into a frame."""
        return cls(
            re=re,
            code=error.code,
            detail=error.detail,
            field=UNSET if error.field is None else error.field,
            retry_after=UNSET if error.retry_after is None else error.retry_after,
        )


class Hello(ServerFrame, kw_only=True, tag="hello"):
    """The first frame: who one is, one's chats, the people they refer to, and who of one's fellows is online."""

    protocol: int
    user: OwnUser
    session_expires_at: datetime
    chats: list[MyChat]
    users: list[User]
    online: list[UUID]


class MessageCreated(ServerFrame, kw_only=True, tag="message.created"):
    """A new message."""

    chat_id: UUID
    seq: int
    message: Message


class MessageUpdated(ServerFrame, kw_only=True, tag="message.updated"):
    """A message was edited or deleted, or its reactions changed."""

    chat_id: UUID
    seq: int
    message: Message


class ChatAdded(ServerFrame, kw_only=True, tag="chat.added"):
    """You joined a chat."""

    chat: Chat
    users: list[User]


class ChatUpdated(ServerFrame, kw_only=True, tag="chat.updated"):
    """A chat was renamed, closed, reopened or handed over."""

    chat_id: UUID
    seq: int
    chat: Chat


class ChatRemoved(Answer, kw_only=True, tag="chat.removed"):
    """You left a chat or were removed; with ``re``, the answer to a ``sync`` of a chat one is not in."""

    chat_id: UUID


class MemberAdded(ServerFrame, kw_only=True, tag="member.added"):
    """Someone joined a chat."""

    chat_id: UUID
    seq: int
    user: User


class MemberRemoved(ServerFrame, kw_only=True, tag="member.removed"):
    """Someone left a chat or was removed."""

    chat_id: UUID
    seq: int
    user: User


class TypingNotice(ServerFrame, kw_only=True, tag="typing"):
    """Someone is typing; stale after 5 seconds."""

    chat_id: UUID
    user_id: UUID


class Presence(ServerFrame, kw_only=True, tag="presence"):
    """Who of one's fellows came online or went offline."""

    online: list[UUID]
    offline: list[UUID]


class ReadNotice(ServerFrame, kw_only=True, tag="read"):
    """Someone's read mark moved, on whichever of their devices."""

    chat_id: UUID
    user_id: UUID
    seq: int


SERVER_FRAMES = (
    Hello, Ack, HistoryPage, SyncPage, Pong, Error, MessageCreated, MessageUpdated, ChatAdded, ChatUpdated,
    ChatRemoved, MemberAdded, MemberRemoved, TypingNotice, Presence, ReadNotice,
)  # fmt: skip
CLIENT_FRAMES = (
    MessageSend, MessageEdit, MessageDelete, ReactionAdd, ReactionRemove, Typing, Read, History, Sync, Ping,
)  # fmt: skip

encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def decode_request(text: str) -> Request:
    """Read a client's frame.

    :raises ValidationFailed: it is not JSON, of no known type, or a field is malformed; names the field.
    """
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        raise ValidationFailed(_field_of(problem, place), problem) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ValidationFailed("frame", "must be one JSON object") from None


def request_id(text: str) -> RequestId | UnsetType:
    """Find the ``id`` of a frame that could not be read as a request, so that its error can name it."""
    try:
        # Unlike msgspec this reads half a surrogate pair too, for which a frame is refused (RFC 8259, section 8.2).
        frame: Any = json.loads(text)
    except (ValueError, RecursionError):
        return UNSET
    found = frame.get("id") if isinstance(frame, dict) else None
    try:
        known: RequestId = msgspec.convert(found, RequestId)
        encode(known)
    except (msgspec.ValidationError, UnicodeError):
        return UNSET
    return known


def _field_of(problem: str, place: str) -> str:
    """Read the field out of places like ``$.chats[...]`` and ``key`` in ``$.chats``."""
    named = place.partition("`$.")[2].rstrip("`")
    if named:
        return named
    missing = problem.partition("missing required field `")[2]
    return missing.rstrip("`") or "frame"
