"""Makes `docs/protocol.md` from the types of the frames, so that the document cannot differ from the server.

`python -m tests.ws.protocol_document` writes it. What is not in the types stands in `protocol.template.md`.
"""

import dataclasses
import types
import typing
from datetime import UTC, datetime
from inspect import getdoc
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Meta, UnsetType

from services import frames, notices, presence, views
from services.settings import Settings

TEMPLATE = Path(__file__).with_name("protocol.template.md")
DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"

WORDS = {UUID: "id", datetime: "time", str: "string", int: "integer", float: "number", bool: "boolean"}
THINGS = (
    views.User, views.OwnUser, views.Chat, views.MyChat, views.Member, views.Message, views.Reactions,
)  # fmt: skip
LIMITS = (
    "max_frame_bytes", "max_send_buffer_bytes", "frames_per_second", "frames_burst", "sends_per_second",
    "sends_burst", "max_connections_per_person", "max_message_length", "max_page_size", "max_sync_changes",
)  # fmt: skip


def _id(number: int) -> UUID:
    return UUID(f"01936b2e-5d00-7000-8000-{number:012x}")


NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ALICE = views.User(_id(1), "alice", "Alice", NOON)
BOB = views.User(_id(2), "bob", "Bob", NOON)
CHAT = views.Chat(
    id=_id(16), kind="group", title="Kitchen", seq=7, owner_id=ALICE.id, created_at=NOON, closed_at=None
)
MESSAGE = views.Message(
    id=_id(32),
    chat_id=CHAT.id,
    seq=7,
    version=7,
    author_id=ALICE.id,
    body="Is there *coffee*?",
    html="<p>Is there <em>coffee</em>?</p>\n",
    nonce="4f1c2a",
    reply_to=None,
    created_at=NOON,
    edited_at=None,
    deleted=False,
)
REACTED = dataclasses.replace(MESSAGE, version=8, reactions={"👍": views.Reactions(1, [BOB.id])})
MY_CHAT = views.MyChat(
    **{field.name: getattr(CHAT, field.name) for field in dataclasses.fields(CHAT)},
    read_seq=5,
    unread=1,
    last_message=MESSAGE,
    peer=None,
)
ME = views.OwnUser(BOB.id, BOB.username, BOB.display_name, NOON, is_admin=False)

REQUESTS: tuple[frames.Request, ...] = (
    frames.MessageSend(id=1, chat_id=CHAT.id, nonce="4f1c2a", body="Is there *coffee*?"),
    frames.MessageEdit(id=2, chat_id=CHAT.id, message_id=MESSAGE.id, body="Is there *tea*?"),
    frames.MessageDelete(id=3, chat_id=CHAT.id, message_id=MESSAGE.id),
    frames.ReactionAdd(id=4, chat_id=CHAT.id, message_id=MESSAGE.id, emoji="👍"),
    frames.ReactionRemove(id=5, chat_id=CHAT.id, message_id=MESSAGE.id, emoji="👍"),
    frames.Typing(chat_id=CHAT.id),
    frames.Read(id=6, chat_id=CHAT.id, seq=7),
    frames.History(id=7, chat_id=CHAT.id, before=7, limit=20),
    frames.Sync(id=8, chats={CHAT.id: 6}),
    frames.Ping(id="still there?"),
)
ANSWERS: tuple[frames.Answer, ...] = (
    frames.Ack(re=1, message=MESSAGE),
    frames.HistoryPage(re=7, chat_id=CHAT.id, messages=[MESSAGE], more=False),
    frames.SyncPage(
        re=8,
        chat_id=CHAT.id,
        seq=7,
        chat=MY_CHAT,
        messages=[MESSAGE],
        members=[],
        users=[ALICE],
        reads={ALICE.id: 7, BOB.id: 5},
        more=False,
        reset=False,
    ),
    frames.Pong(re="still there?"),
    frames.Error(re=2, code="forbidden", detail="Only the author may edit a message."),
)
EVENTS: tuple[frames.ServerFrame, ...] = (
    frames.Hello(
        protocol=frames.PROTOCOL,
        user=ME,
        session_expires_at=NOON,
        chats=[MY_CHAT],
        users=[ALICE],
        online=[ALICE.id],
    ),
    frames.MessageCreated(chat_id=CHAT.id, seq=7, message=MESSAGE),
    frames.MessageUpdated(chat_id=CHAT.id, seq=8, message=REACTED),
    frames.ChatAdded(chat=CHAT, users=[ALICE, BOB]),
    frames.ChatUpdated(chat_id=CHAT.id, seq=7, chat=CHAT),
    frames.ChatRemoved(chat_id=CHAT.id),
    frames.MemberAdded(chat_id=CHAT.id, seq=7, user=BOB),
    frames.MemberRemoved(chat_id=CHAT.id, seq=7, user=BOB),
    frames.TypingNotice(chat_id=CHAT.id, user_id=ALICE.id),
    frames.Presence(online=[ALICE.id], offline=[]),
    frames.ReadNotice(chat_id=CHAT.id, user_id=ALICE.id, seq=7),
)


def document() -> str:
    """The whole document."""
    sections = {
        "requests": "\n".join(map(_frame_section, REQUESTS)),
        "answers": "\n".join(map(_frame_section, ANSWERS)),
        "events": "\n".join(map(_frame_section, EVENTS)),
        "things": "\n".join(map(_thing_section, THINGS)),
        "limits": "\n".join(map(_limit_row, LIMITS)),
        "protocol": str(frames.PROTOCOL),
        "typing_every": f"{notices.TYPING_EVERY:g}",
        "reads_gathered_for": f"{1000 * notices.READS_GATHERED_FOR:g}",
        "presence_gathered_for": f"{1000 * presence.GATHERED_FOR:g}",
        "presence_grace": f"{presence.GRACE:g}",
    }
    text = TEMPLATE.read_text()
    for name, section in sections.items():
        text = text.replace("{{" + name + "}}", section.rstrip("\n"))
    return text


def _frame_section(example: msgspec.Struct) -> str:
    frame = type(example)
    hints = typing.get_type_hints(frame, include_extras=True)
    rows = [
        f"| `{field.encode_name}` | {_type(hints[field.name])} | {'yes' if _required(field) else 'no'} |"
        for field in msgspec.structs.fields(frame)
    ]
    shown = msgspec.json.format(frames.encode(example), indent=2).decode()
    return "\n".join(
        [
            f"### `{frame.__struct_config__.tag}`",
            "",
            _docstring(frame),
            "",
            *(["| Field | Type | Always there |", "| --- | --- | --- |", *rows, ""] if rows else []),
            "```json",
            shown,
            "```",
            "",
        ]
    )


def _thing_section(thing: type[Any]) -> str:
    hints = typing.get_type_hints(thing, include_extras=True)
    rows = [f"| `{field.name}` | {_type(hints[field.name])} |" for field in dataclasses.fields(thing)]
    heading = [f"### {thing.__name__}", "", _docstring(thing), ""]
    return "\n".join([*heading, "| Field | Type |", "| --- | --- |", *rows, ""])


def _limit_row(name: str) -> str:
    field = Settings.model_fields[name]
    return f"| {field.description} | {field.default:,} | `PARLEY_{name.upper()}` |"


def _docstring(described: type[Any]) -> str:
    return (getdoc(described) or "").replace("``", "`")


def _required(field: msgspec.structs.FieldInfo) -> bool:
    return field.default is NODEFAULT and field.default_factory is NODEFAULT


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return f"{_type(arguments[0])} {_bounds(arguments[1])}"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_type(one) for one in arguments if one is not UnsetType))
    if origin is typing.Literal:
        return " or ".join(f'`"{one}"`' for one in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object: {_type(arguments[0])} to {_type(arguments[1])}"
    if hint is types.NoneType:
        return "null"
    return WORDS.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"


def _bounds(bounds: Meta) -> str:
    if bounds.max_length is not None:
        return f"of at most {bounds.max_length} characters"
    return f"from {bounds.ge} to {bounds.le}"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
