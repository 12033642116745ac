"""Whatever comes over `/ws`, the answer is an `error` or what was asked for, and the connection goes on."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from typing import Any
from uuid import uuid4

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from services import frames
from tests.fuzz.conftest import Effort
from tests.support.person import Person
from tests.support.server import ParleyServer

CASES = 300
"""Frames in `make test`."""

MIB = 2**20
LARGEST = 256 * 1024
TOO_LARGE = {4413, 1009, 1006}
"""The server's own limit cuts off what is four times as large, maybe before its code is read."""

CODES = {"forbidden", "not_found", "conflict", "chat_closed", "validation_failed"}
ANSWERS = {"error", "ack", "history", "sync", "chat.removed", "pong"}

HOSTILE_TEXTS = [
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udc00\ud800",
    "\u202eevil\u202c",
    "\u2066\u2067\u2068",
    "\ufeff",
    "\u200b" * 100,
    "a" + "\u0301" * 100_000,
    "Z" + "\u0363\u0364\u0365" * 5_000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 1_000,
    "\U0001f600" * 1_000,
    "\uffff\U0010ffff",
    "x" * 16_000,
    "x" * 16_001,
    "> " * 8_000,
    "[" * 16_000,
    "**a" * 5_000,
    "|a" * 8_000,
    "<script>alert(1)</script>",
    "' OR 1=1; --",
    "%00%s%n{0}${7*7}{{7*7}}",
    "../../../etc/passwd",
    "NaN",
]
HOSTILE_NUMBERS = [0, -1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, float("nan")]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(HOSTILE_NUMBERS)
    | st.sampled_from(HOSTILE_TEXTS)
    | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
DEPTHS = st.sampled_from([10, 500, 1_000, 20_000, 60_000])


class Chat:
    """A connection to a running Parley, and what its frames can name.

    :param person: who connects. :param known: values for the fields of these names.
    """

    def __init__(self, person: Person, known: dict[str, Any]) -> None:
        self.known = known
        self.answers: Counter[str] = Counter()
        self._person = person
        self._open = ExitStack()
        self._connection = self._connect()

    def try_frame(self, send: Callable[[ClientConnection], None], size: int) -> None:
        """Send something, then a ping, and look at all that comes until the answer to that.

        :param size: bytes of the frame, of which too many end the connection.
        """
        number = uuid4().hex
        with suppress(ConnectionClosed):
            send(self._connection)
            self._connection.send(json.dumps({"type": "ping", "id": number}))
        if self._answered(number):
            return
        assert size > LARGEST
        assert self._connection.close_code in TOO_LARGE
        self.answers["closed"] += 1
        self.end()
        self._connection = self._connect()

    def end(self) -> None:
        """Close the connection."""
        self._open.close()

    def _answered(self, number: str) -> bool:
        with suppress(ConnectionClosed):
            while (frame := json.loads(self._connection.recv(timeout=60)))["type"] != "pong" or frame["re"] != number:
                self._look_at(frame)
            return True
        return False

    def _look_at(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "error":
            assert frame["code"] in CODES, frame
            assert frame["detail"]
            self.answers["refused"] += 1
        elif "re" in frame or frame["type"] in ANSWERS:
            assert frame["type"] in ANSWERS, frame
            self.answers["answered"] += 1

    def _connect(self) -> ClientConnection:
        headers = {"Authorization": f"Bearer {self._person.token}"}
        address = self._person.url.replace("http", "ws", 1) + "/ws"
        settings: dict[str, Any] = {"proxy": None, "max_size": None, "ping_interval": None}
        connection: ClientConnection = self._open.enter_context(
            connect(address, additional_headers=headers, **settings)
        )
        return connection


@pytest.fixture
async def chat(parley: ParleyServer) -> AsyncIterator[Chat]:
    """The owner's connection to a chat of two, with a message that bears a reaction."""
    async with Person.registered(parley.url) as owner, Person.registered(parley.url) as member:
        group = await owner.group_chat(member)
        message = await owner.say(group["id"], "Hello")
        await owner.put(f"/chats/{group['id']}/messages/{message['id']}/reactions/👍")
        known = {
            "chat_id": group["id"],
            "message_id": message["id"],
            "reply_to": message["id"],
            "nonce": "n",
            "body": "Hello",
            "emoji": "👍",
            "seq": 1,
            "before": 3,
            "limit": 10,
            "chats": {group["id"]: 0},
            "id": 7,
        }
        chat = Chat(owner, known)
        yield chat
        chat.end()


def dumped(value: Any) -> str:
    """JSON that a frame can hold: what is no Unicode is escaped, all else is not."""
    text = json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if re.search("[\ud800-\udfff]", text) else text


@st.composite
def texts(draw: st.DrawFn, known: dict[str, Any]) -> str:
    """Frames that are valid but for something."""
    kind = draw(st.sampled_from(frames.CLIENT_FRAMES))
    frame = {name: known[name] for name in kind.__struct_fields__ if name in known}
    frame["type"] = kind.__struct_config__.tag
    for _ in range(draw(st.integers(0, 2))):
        change = draw(st.sampled_from(["replace", "leave out", "add"]))
        name = draw(st.sampled_from(sorted(frame)))
        if change == "replace":
            frame[name] = draw(st.sampled_from(HOSTILE_TEXTS) | JSON)
        elif change == "add":
            frame[draw(st.text(max_size=10))] = draw(JSON)
        elif len(frame) > 1:
            del frame[name]
    text = dumped(frame)
    match draw(st.sampled_from(["whole", "whole", "whole", "whole", "cut", "twice", "deep", "spoilt"])):
        case "cut":
            return text[: draw(st.integers(0, len(text)))]
        case "twice":
            return text[:-1] + "," + text[1:]
        case "deep":
            opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
            depth = min(draw(DEPTHS), LARGEST // len(opening + closing))
            return text[:-1] + ',"x":' + opening * depth + "1" + closing * depth * draw(st.integers(0, 1)) + "}"
        case "spoilt":
            at = draw(st.integers(0, len(text)))
            return (
                text[:at]
                + draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3))
                + text[at:]
            )
        case _:
            return text


def ways_to_send(known: dict[str, Any]) -> st.SearchStrategy[tuple[Callable[[ClientConnection], None], int]]:
    """Something to send: as text, in pieces, as bytes, or among control frames; and its size in bytes."""

    def whole(text: str) -> tuple[Callable[[ClientConnection], None], int]:
        return lambda to: to.send(text), len(text.encode())

    def in_pieces(text: str, size: int) -> tuple[Callable[[ClientConnection], None], int]:
        pieces = [text[at : at + size] for at in range(0, len(text), size)] or [""]
        return lambda to: to.send(iter(pieces)), len(text.encode())

    def with_control(text: str, payload: bytes) -> tuple[Callable[[ClientConnection], None], int]:
        def send(to: ClientConnection) -> None:
            to.ping(payload + uuid4().bytes)
            to.pong(payload)
            to.send(text)

        return send, len(text.encode())

    def binary(data: bytes) -> tuple[Callable[[ClientConnection], None], int]:
        return lambda to: to.send(data), len(data)

    framed = texts(known)
    return st.one_of(
        framed.map(whole),
        framed.map(whole),
        st.builds(in_pieces, framed, st.sampled_from([1_000, 40_000]) | st.integers(200, 500)),
        st.builds(with_control, framed, st.binary(max_size=100)),
        st.binary(max_size=200).map(binary),
        framed.map(lambda text: binary(text.encode())),
    )


def test_no_frame_gets_more_than_an_error_and_the_connection_answers_on(
    parley: ParleyServer, chat: Chat, effort: Effort, tried: Callable[[str], None]
) -> None:
    process = psutil.Process(parley.pid)
    for text in HOSTILE_TEXTS:  # so that what is kept of large texts is there before memory is looked at
        frame = dumped({"type": "message.send", **chat.known, "body": text, "nonce": uuid4().hex})
        chat.try_frame(lambda to, frame=frame: to.send(frame), len(frame.encode()))  # type: ignore[misc]
    before = process.memory_info().rss
    cases = 0

    @effort.settings(CASES)
    @given(ways_to_send(chat.known))
    def is_answered(way: tuple[Callable[[ClientConnection], None], int]) -> None:
        nonlocal cases
        cases += 1
        chat.try_frame(*way)

    is_answered()
    grown = (process.memory_info().rss - before) // MIB
    assert grown < 64
    tried(f"{cases} frames, {dict(chat.answers)}; memory grew by {grown} MiB")


def test_a_megabyte_of_combining_marks_ends_the_connection_and_takes_no_memory(
    parley: ParleyServer, chat: Chat
) -> None:
    process = psutil.Process(parley.pid)
    frame = dumped({"type": "message.send", **chat.known, "body": "a" + "\u0301" * (MIB // 2)})
    assert len(frame.encode()) > MIB
    before = process.memory_info().rss
    for _ in range(10):
        chat.try_frame(lambda to: to.send(frame), len(frame.encode()))
    assert process.memory_info().rss < before + 32 * MIB
