"""A client as `docs/protocol.md` asks for it: it applies events and `sync`, a row only when its version is higher."""

import json
from typing import Any
from uuid import UUID

from websockets.frames import Frame
from websockets.protocol import Protocol, Side

from services import chats, frames, members, sync
from services.errors import NotFound
from services.hub import Seat
from tests.support.actor import Actor

Row = dict[str, Any]


class ChatState:
    """What a client knows of one chat.

    ``seq`` is the number up to which it knows everything, ``heard`` that of the last event. The first is lower while
    the client is behind, and higher where an answer to `sync` overtook events.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.heard = 0
        self.chat: Row = {}
        self.messages: dict[str, Row] = {}
        self.members: dict[str, tuple[int, bool]] = {}
        self.reads: dict[str, int] = {}

    def take_chat(self, chat: Row) -> None:
        if chat["seq"] >= self.chat.get("seq", 0):
            self.chat = {name: chat[name] for name in ("id", "kind", "title", "seq", "owner_id", "closed_at")}

    def take_message(self, message: Row) -> None:
        known = self.messages.get(message["id"])
        if known is None or message["version"] > known["version"]:
            self.messages[message["id"]] = message

    def take_member(self, user_id: str, version: int, *, present: bool) -> None:
        if version > self.members.get(user_id, (0, False))[0]:
            self.members[user_id] = version, present

    def take_page(self, page: Row) -> None:
        """Apply a `sync`, whether asked for or not."""
        if page["reset"]:
            self.messages, self.members = {}, {}
        for message in page["messages"]:
            self.take_message(message)
        for member in page["members"]:
            self.take_member(member["user"]["id"], member["version"], present=member["left_at"] is None)
        self.take_chat(page["chat"])
        self.reads = page["reads"]

    @property
    def present(self) -> set[str]:
        """The ids of those who are members."""
        return {user_id for user_id, (_, present) in self.members.items() if present}


class ChatClient:
    """A connection of the hub that keeps what it was told, and complains about what it should not have been told.

    :param actor: whose connection it is; what the socket would ask for is read as theirs.
    """

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.frames: list[Row] = []
        self.chats: dict[str, ChatState] = {}
        self.to_sync: set[str] = set()
        self.gone: set[str] = set()
        self.seat: Seat | None = None
        self._parser = Protocol(Side.CLIENT, max_size=None)

    def write(self, framed: bytes) -> None:
        """Take frames from the hub."""
        self._parser.receive_data(framed)
        for frame in self._parser.events_received():
            assert isinstance(frame, Frame)
            row = json.loads(bytes(frame.data))
            self.frames.append(row)
            self._apply(row)

    def of_type(self, kind: str) -> list[Row]:
        """The frames of a type that came so far."""
        return [frame for frame in self.frames if frame["type"] == kind]

    def numbers(self, chat_id: UUID) -> list[int]:
        """The numbers of the chat's events and pages in the order in which they came."""
        numbered = [frame for frame in self.frames if "seq" in frame and frame["type"] != "read"]
        return [frame["seq"] for frame in numbered if frame["chat_id"] == str(chat_id)]

    async def catch_up(self, *, limit: int = sync.SYNC_PAGE) -> None:
        """Ask for what changed in the chats that the client knows to be behind in.

        :param limit: changes on a page.
        """
        while self.to_sync:
            chat_id = min(self.to_sync)
            try:
                more = await self._ask(self.chats.setdefault(chat_id, ChatState()), chat_id, limit)
            except NotFound:
                # The event that tells it may still come, and others before it.
                self.chats.pop(chat_id, None)
                self.gone.add(chat_id)
                more = False
            if not more:
                self.to_sync.discard(chat_id)

    async def _ask(self, state: ChatState, chat_id: str, limit: int) -> bool:
        found = await self.actor.see(sync.changes, chat_id=UUID(chat_id), since=state.seq, limit=limit)
        page = json.loads(frames.encode(frames.SyncPage.of(found)))
        state.take_page(page)
        # The events since `hello` came without a hole, so that the last page and they are everything.
        state.seq = page["seq"] if page["more"] else max(page["seq"], state.heard)
        return found.more

    def _apply(self, frame: Row) -> None:
        kind, chat_id = frame["type"], frame.get("chat_id", "")
        if chat_id in self.gone - self.chats.keys():
            return
        if kind == "hello":
            self._greet(frame["chats"])
        elif kind == "chat.added":
            state = self.chats.setdefault(frame["chat"]["id"], ChatState())
            state.take_chat(frame["chat"])
            state.heard = frame["chat"]["seq"]
            self.to_sync.add(frame["chat"]["id"])
        elif kind == "chat.removed":
            assert chat_id in self.chats, f"removed from a chat never heard of: {frame}"
            del self.chats[chat_id]
            self.to_sync.discard(chat_id)
        elif "seq" in frame and kind != "read":
            self._apply_numbered(kind, frame, self.chats[chat_id])

    def _greet(self, chats: list[Row]) -> None:
        numbers = {chat["id"]: chat["seq"] for chat in chats}
        self.chats = {chat_id: self.chats.get(chat_id, ChatState()) for chat_id in numbers}
        for chat_id, state in self.chats.items():
            state.heard = numbers[chat_id]
        self.to_sync = {chat_id for chat_id, state in self.chats.items() if state.seq < state.heard}

    def _apply_numbered(self, kind: str, frame: Row, state: ChatState) -> None:
        if kind == "sync":
            assert frame["seq"] >= state.heard, f"{frame} came after {state.heard}"
            state.take_page(frame)
        else:
            own_arrival = kind == "member.added" and frame["user"]["id"] == str(self.actor.id)
            assert frame["seq"] == state.heard + (0 if own_arrival else 1), f"{frame} came after {state.heard}"
        if kind in {"message.created", "message.updated"}:
            state.take_message(frame["message"])
        elif kind in {"member.added", "member.removed"}:
            state.take_member(frame["user"]["id"], frame["seq"], present=kind == "member.added")
        elif kind == "chat.updated":
            state.take_chat(frame["chat"])
        state.heard = frame["seq"]
        if frame["chat_id"] not in self.to_sync:
            state.seq = max(state.seq, state.heard)


async def fresh(actor: Actor) -> dict[str, Row]:
    """All that someone may read, fetched anew: for each chat its row, messages, members and read marks."""
    found: dict[str, Row] = {}
    for chat in await actor.see(chats.list_for):
        before, rows = None, []
        while True:
            page = await actor.page(chat.id, before=before, limit=100)
            rows += page.messages
            if not page.more:
                break
            before = page.messages[-1].seq
        listed = await actor.see(members.list_of, chat_id=chat.id)
        found[str(chat.id)] = {
            "seq": chat.seq,
            "title": chat.title,
            "owner_id": chat.owner_id and str(chat.owner_id),
            "closed": chat.closed_at is not None,
            "messages": {str(row.id): _plain(json.loads(frames.encode(row))) for row in rows},
            "members": {str(member.user.id) for member in listed},
        }
    return found


def known(client: ChatClient) -> dict[str, Row]:
    """The same, as far as a client knows it."""
    return {
        chat_id: {
            "seq": state.seq,
            "title": state.chat["title"],
            "owner_id": state.chat["owner_id"],
            "closed": state.chat["closed_at"] is not None,
            "messages": {message_id: _plain(message) for message_id, message in state.messages.items()},
            "members": state.present,
        }
        for chat_id, state in client.chats.items()
    }


def _plain(message: Row) -> Row:
    """A message without the order of those who reacted, which differs by reader."""
    reacted = {emoji: (one["count"], sorted(one["user_ids"])) for emoji, one in message["reactions"].items()}
    return message | {"reactions": reacted}
