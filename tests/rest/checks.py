"""What answers of the REST interface look like, exactly."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx

PROBLEM = "application/problem+json"

Shape = dict[str, Any]


def text(value: object) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def number(value: object) -> bool:
    """Whether it is a number without a fraction."""
    return isinstance(value, int) and not isinstance(value, bool)


def truth(value: object) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def identifier(value: object) -> bool:
    """Whether it is a UUID, as RFC 9562 writes one."""
    return isinstance(value, str) and str(UUID(value)) == value


def moment(value: object) -> bool:
    """Whether it is a time of RFC 3339, in UTC."""
    written = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"
    return isinstance(value, str) and re.fullmatch(written, value) is not None


def or_null(kind: Callable[[object], bool] | Shape) -> Callable[[object], bool]:
    """A value that may also be null."""
    return lambda value: value is None or _fits(value, kind)


def list_of(kind: Callable[[object], bool] | Shape) -> Callable[[object], bool]:
    """A list of such values."""
    return lambda value: isinstance(value, list) and all(_fits(one, kind) for one in value)


def map_of(kind: Callable[[object], bool] | Shape) -> Callable[[object], bool]:
    """An object with such values."""
    return lambda value: isinstance(value, dict) and all(_fits(one, kind) for one in value.values())


USER: Shape = {"id": identifier, "username": text, "display_name": text, "created_at": moment}
OWN_USER: Shape = {**USER, "is_admin": truth, "is_active": truth}
SESSION: Shape = {"id": identifier, "expires_at": moment}
OWN_SESSION: Shape = {
    **SESSION,
    "created_at": moment,
    "last_seen_at": moment,
    "device": text,
    "address": text,
    "current": truth,
}
SIGNED_IN: Shape = {"user": OWN_USER, "session": SESSION, "token": text}
INVITE: Shape = {"code": text, "url": text, "expires_at": moment, "uses_left": number}
MESSAGE: Shape = {
    "id": identifier,
    "chat_id": identifier,
    "seq": number,
    "version": number,
    "author_id": identifier,
    "body": or_null(text),
    "html": or_null(text),
    "nonce": or_null(text),
    "reply_to": or_null(identifier),
    "created_at": moment,
    "edited_at": or_null(moment),
    "deleted": truth,
    "reactions": map_of({"count": number, "user_ids": list_of(identifier)}),
    "attachments": list_of(text),
}
HIT: Shape = {**MESSAGE, "snippet": text}
CHAT: Shape = {
    "id": identifier,
    "kind": lambda value: value in {"private", "group"},
    "title": or_null(text),
    "seq": number,
    "owner_id": or_null(identifier),
    "created_at": moment,
    "closed_at": or_null(moment),
    "read_seq": number,
    "unread": number,
    "last_message": or_null(MESSAGE),
    "peer": or_null(USER),
}
MEMBER: Shape = {
    "user": USER,
    "role": lambda value: value in {"owner", "member"},
    "joined_at": moment,
    "version": number,
    "left_at": or_null(moment),
}
CHANGES: Shape = {
    "chat_id": identifier,
    "seq": number,
    "chat": CHAT,
    "messages": list_of(MESSAGE),
    "members": list_of(MEMBER),
    "users": list_of(USER),
    "reads": map_of(number),
    "more": truth,
    "reset": truth,
}


def fits(value: object, shape: Shape) -> None:
    """Expect exactly these fields, each of its kind."""
    assert _fits(value, shape), f"{value} is not {sorted(shape)}"


def done(response: httpx.Response, status: int = 200, shape: Shape | None = None) -> Any:
    """Expect that a request was done.

    :param status: the status that it has.
    :param shape: the shape of its body; nothing is expected of one without a shape.
    :return: the body.
    """
    assert response.status_code == status, f"{response.status_code} {response.text}"
    if status == 204:
        assert response.content == b""
        return None
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    if shape is not None:
        fits(body, shape)
    return body


def refused(response: httpx.Response, status: int, code: str, *, field: str | None = None, says: str = "") -> None:
    """Expect a problem document (RFC 9457).

    :param field: the input that it names. :param says: a part of its detail, such as the limit.
    """
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM), response.text
    body = response.json()
    wanted = {"type", "title", "status", "code", "detail"} | ({"field"} if field else set())
    waits = code in {"rate_limited", "unavailable"}
    assert set(body) == wanted | ({"retry_after"} if waits else set()), body
    assert (body["type"], body["status"], body["code"], body.get("field")) == ("about:blank", status, code, field)
    assert says in body["detail"], body["detail"]
    assert "Traceback" not in response.text
    if waits:
        assert int(response.headers["retry-after"]) >= max(1, body["retry_after"])


def time_of(written: str) -> datetime:
    """Read a time of an answer."""
    return datetime.fromisoformat(written).astimezone(UTC)


def _fits(value: object, kind: Callable[[object], bool] | Shape) -> bool:
    if not isinstance(kind, dict):
        return kind(value)
    if not isinstance(value, dict) or value.keys() != kind.keys():
        return False
    return all(_fits(value[name], inner) for name, inner in kind.items())
