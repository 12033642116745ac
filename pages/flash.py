"""What a form page must know after a refused form was sent: in a cookie that only the next page reads.

The answer to a refused form is a redirect, so that loading the page again does not send the form again. The password
never travels back.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import Request
from fastapi.responses import Response

from services.errors import ParleyError

COOKIE: Final = "parley_form"
SECONDS: Final = 60
LONGEST: Final = 200
"""Characters of a typed value that are kept."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a form was refused, and what was typed into it."""

    detail: str = ""
    at: str = ""
    typed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: ParleyError, typed: Mapping[str, Any]) -> "Refusal":
        """Keep an error and what was typed, but for passwords."""
        kept = {name: str(value)[:LONGEST] for name, value in typed.items() if "password" not in name}
        detail = error.detail.removeprefix(f"{error.field}: ") if error.field else error.detail
        return cls(detail=detail[:1].upper() + detail[1:], at=error.field or "", typed=kept)

    def error_at(self, name: str) -> str:
        """The error to show beside a field."""
        return self.detail if self.at == name else ""

    def keep(self, response: Response, *, path: str, secure: bool) -> None:
        """Hand this to the page at ``path`` that the browser is sent to."""
        value = urlsafe_b64encode(msgspec.json.encode(self)).decode()
        response.set_cookie(
            COOKIE, value, max_age=SECONDS, path=path, secure=secure, httponly=True, samesite="strict"
        )


def refusal_for(request: Request) -> Refusal:
    """Read what the last form left behind; an empty refusal when that is nothing."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(request.cookies.get(COOKIE, "")), type=Refusal)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return Refusal()
