import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services import frames
from services.errors import ValidationFailed
from tests.support.person import Person
from tests.support.server import ParleyServer
from tests.support.socket import Frame, Socket

CHAT = "01936b2e-5d00-7000-8000-000000000010"
NOT_OBJECTS = [
    "",
    " ",
    "{",
    "}",
    "nonsense",
    "[]",
    "[1]",
    "1",
    '"ping"',
    "null",
    "true",
    '{"type":"ping"} {}',
    "\ufeff{}",
]
WRONG_TYPES: list[Any] = [None, 1, True, [], {}, "", "Ping", "message", "hello", "ack", "ping\u0000", "x" * 10_000]
WRONG_IDS: list[Any] = [None, 1, 1.5, True, [], {}, "", "x", "01936b2e", f"{CHAT}0", f"{{{CHAT}}}0", "\u0000"]
WRONG_NUMBERS: list[Any] = [None, -1, 1.5, "1", True, [], {}, 2**63, 10**400, -(10**400)]
DEEP = 100_000


async def refused(socket: Socket, text: str | bytes) -> Frame:
    """The one answer to a malformed frame: an `error`, and the connection goes on."""
    await socket.send_raw(text)
    error = await socket.expect("error")
    assert error["code"] == "validation_failed", error
    assert (await socket.request("ping"))["type"] == "pong"
    return error


async def test_a_binary_frame_is_refused(administrator: Person) -> None:
    async with administrator.socket() as socket:
        for data in (b"", b"\x00\xff", b'{"type":"ping"}', b"\xed\xa0\x80"):
            assert (await refused(socket, data))["field"] == "frame"


async def test_what_is_no_json_object_is_refused(administrator: Person) -> None:
    async with administrator.socket() as socket:
        for text in NOT_OBJECTS:
            await refused(socket, text)


async def test_an_unknown_type_is_refused(administrator: Person) -> None:
    async with administrator.socket() as socket:
        assert (await refused(socket, "{}"))["field"] == "type"
        for kind in WRONG_TYPES:
            error = await refused(socket, json.dumps({"type": kind, "id": "mine"}))
            assert (error["field"], error["re"]) == ("type", "mine")


REQUIRED = [
    (frame.__struct_config__.tag, name)
    for frame in frames.CLIENT_FRAMES
    for name in frame.__struct_fields__
    if name not in {"id", "reply_to", "before", "limit"}
]


def whole(kind: str) -> dict[str, Any]:
    """A request of this kind that the server can read."""
    every = {
        "chat_id": CHAT,
        "message_id": CHAT,
        "nonce": "n",
        "body": "Hello",
        "emoji": "👍",
        "seq": 1,
        "chats": {CHAT: 1},
    }
    fields = next(frame.__struct_fields__ for frame in frames.CLIENT_FRAMES if frame.__struct_config__.tag == kind)
    return {"type": kind, "id": "mine"} | {name: every[name] for name in fields if name in every}


async def test_a_missing_field_is_named(administrator: Person) -> None:
    async with administrator.socket() as socket:
        for kind, name in REQUIRED:
            request = whole(str(kind))
            del request[name]
            error = await refused(socket, json.dumps(request))
            assert (error["field"], error["re"]) == (name, "mine")


async def test_a_malformed_field_is_named(administrator: Person) -> None:
    wrong = {"chat_id": WRONG_IDS, "message_id": WRONG_IDS, "seq": WRONG_NUMBERS}
    async with administrator.socket() as socket:
        for kind, name in REQUIRED:
            for value in wrong.get(name, [None, 1, [], {}] if name != "chats" else [None, 1, [], "x"]):
                error = await refused(socket, json.dumps(whole(str(kind)) | {name: value}))
                assert (error["field"], error["re"]) == (name, "mine")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "history", "chat_id": CHAT, "limit": "10"}, "limit"),
        ({"type": "history", "chat_id": CHAT, "limit": None}, "limit"),
        ({"type": "history", "chat_id": CHAT, "limit": 10**400}, "limit"),
        ({"type": "history", "chat_id": CHAT, "before": -1}, "before"),
        ({"type": "history", "chat_id": CHAT, "before": 2**63}, "before"),
        ({"type": "message.send", "chat_id": CHAT, "nonce": "n", "body": "b", "reply_to": "x"}, "reply_to"),
        ({"type": "sync", "chats": {"x": 1}}, "chats"),
        ({"type": "sync", "chats": {CHAT: -1}}, "chats"),
        ({"type": "sync", "chats": {CHAT: 2**63}}, "chats"),
        ({"type": "sync", "chats": {CHAT: None}}, "chats"),
    ],
)
async def test_a_malformed_optional_or_nested_field_is_named(
    administrator: Person, fields: dict[str, Any], field: str
) -> None:
    async with administrator.socket() as socket:
        error = await refused(socket, json.dumps(fields | {"id": 7}))
        assert error["field"].startswith(field)
        assert error["re"] == 7


@pytest.mark.parametrize("request_id", [1.5, True, [], {}, "x" * 129, 2**53 + 1, -(2**53) - 1, 10**400])
async def test_an_id_that_is_no_id_is_refused_and_not_echoed(administrator: Person, request_id: object) -> None:
    async with administrator.socket() as socket:
        error = await refused(socket, json.dumps({"type": "ping", "id": request_id}))
        assert (error["field"], "re" in error) == ("id", False)


async def test_unknown_fields_are_ignored(administrator: Person) -> None:
    async with administrator.socket() as socket:
        answer = await socket.request("ping", re="forged", user_id=CHAT, nested={"deep": [1, 2, {"er": None}]})
    assert answer["type"] == "pong"


async def test_texts_that_are_not_unicode_are_refused(administrator: Person) -> None:
    chat = await administrator.group_chat()
    async with administrator.socket() as socket:
        for body in ("\\ud800", "a\\udfffb", "\\ud83d", "\\udc4d\\ud83d"):
            text = f'{{"type":"message.send","id":7,"chat_id":"{chat["id"]}","nonce":"n","body":"{body}"}}'
            assert (await refused(socket, text))["re"] == 7
        assert "re" not in await refused(socket, '{"type":"ping","id":"\\ud800"}')
        await socket.nothing("message.created")


async def test_deep_nesting_is_refused(administrator: Person) -> None:
    async with administrator.socket() as socket:
        for text in (
            "[" * DEEP,
            '{"a":' * (DEEP // 5),
            '{"type":"ping","a":' + "[" * DEEP + "]" * DEEP + "}",
            '{"type":"sync","chats":' + '{"a":' * (DEEP // 10) + "1" + "}" * (DEEP // 10) + "}",
        ):
            await refused(socket, text)


async def test_malformed_frames_leave_no_traceback(server: ParleyServer, administrator: Person) -> None:
    before = len(server.output())
    async with administrator.socket() as socket:
        for text in ("nonsense", b"\x00", "[" * DEEP, '{"type":"read","chat_id":[]}', '{"type":"ping","id":{}}'):
            await refused(socket, text)
    assert "Traceback" not in server.output()[before:]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(CHAT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = sorted({name for frame in frames.CLIENT_FRAMES for name in frame.__struct_fields__})
KINDS = [str(frame.__struct_config__.tag) for frame in frames.CLIENT_FRAMES]


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.builds(
        lambda kind, fields: json.dumps({"type": kind} | fields),
        st.sampled_from(KINDS),
        st.dictionaries(st.sampled_from(NAMES), JSON),
    )
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_a_request_or_is_refused(text: str) -> None:
    with suppress(ValidationFailed):
        frames.decode_request(text)
    frames.request_id(text)
