"""The refusals that services raise, and nothing else they raise on purpose.

::

    ParleyError
    ├── NotAuthenticated   401  not_authenticated
    ├── Forbidden          403  forbidden
    ├── NotFound           404  not_found
    ├── Conflict           409  conflict
    │   └── ChatClosed     409  chat_closed
    ├── TooLarge           413  too_large
    ├── ValidationFailed   422  validation_failed
    ├── RateLimited        429  rate_limited
    └── Unavailable        503  unavailable

The doors (REST, ``/ws``, pages) translate them; codes and numbers are part of the public contract.
"""

from typing import ClassVar


class ParleyError(Exception):
    """A refusal that a user may see.

    :param detail: one sentence for people, free of secrets.
    :param field: the input at fault, if one is.
    :param retry_after: seconds to wait before trying again, if waiting helps.
    """

    code: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, detail: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after = retry_after


class NotAuthenticated(ParleyError):
    """No valid session, or wrong credentials."""

    code, status = "not_authenticated", 401

    def __init__(self, detail: str = "Sign in first.") -> None:
        super().__init__(detail)


class Forbidden(ParleyError):
    """The person is known, and may not do this."""

    code, status = "forbidden", 403


class NotFound(ParleyError):
    """There is no such thing, or none that this person may know of."""

    code, status = "not_found", 404


class Conflict(ParleyError):
    """The state of things does not allow it now."""

    code, status = "conflict", 409


class ChatClosed(Conflict):
    """The chat is closed and can only be read."""

    code = "chat_closed"

    def __init__(self) -> None:
        super().__init__("This chat is closed.")


class TooLarge(ParleyError):
    """The request is larger than the server takes."""

    code, status = "too_large", 413


class ValidationFailed(ParleyError):
    """An input is malformed or outside its limit; names the field and the limit."""

    code, status = "validation_failed", 422

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}", field=field)


class RateLimited(ParleyError):
    """Too much at once; ``retry_after`` says how long to wait."""

    code, status = "rate_limited", 429

    def __init__(self, retry_after: float, detail: str = "Too many requests; wait a moment.") -> None:
        super().__init__(detail, retry_after=retry_after)


class Unavailable(ParleyError):
    """The database cannot be reached, or the server is stopping."""

    code, status = "unavailable", 503

    def __init__(
        self, detail: str = "The server cannot do this right now; try again.", retry_after: float = 1.0
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
